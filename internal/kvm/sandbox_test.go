//go:build sandbox

package kvm

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/labctl/labctl/internal/host"
)

// TestSectorProves boots the same sector in software: what is taken as proof is really what the guest does.
func TestSectorProves(t *testing.T) {
	image := filepath.Join(t.TempDir(), "proof.img")
	if err := (host.Local{}).WriteFile(t.Context(), image, sector(), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := host.Local{}.Run(t.Context(), command("20", image, "tcg", "qemu64"))
	if failed, ok := errors.AsType[*host.CommandError](err); !ok || failed.Exit != proofExit {
		t.Fatalf("the sector ended with %v, want exit status %d", err, proofExit)
	}
	blank := make([]byte, 512)
	blank[510], blank[511] = 0x55, 0xaa
	copy(blank, []byte{0xf4, 0xeb, 0xfd}) // hlt; jmp back
	if err := (host.Local{}).WriteFile(t.Context(), image, blank, 0o644); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_, err = host.Local{}.Run(t.Context(), command("2", image, "tcg", "qemu64"))
	if failed, ok := errors.AsType[*host.CommandError](err); !ok || failed.Exit == proofExit {
		t.Fatalf("a guest that hangs ended with %v, want it killed", err)
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Fatalf("a guest that hangs was killed after %s, want 2 s", took)
	}
}

// TestThisMachine asks twice: whatever the verdict is, it comes in time and is the same.
func TestThisMachine(t *testing.T) {
	root := t.TempDir()
	began := time.Now()
	first, err := Prove(t.Context(), host.Local{}, root)
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > Deadline+2*time.Second {
		t.Fatalf("the verdict took %s", took)
	}
	t.Logf("%+v", first)
	began = time.Now()
	second, err := Prove(t.Context(), host.Local{}, root)
	if err != nil || second != first {
		t.Fatalf("asked again: %+v, %v; want %+v", second, err, first)
	}
	if took := time.Since(began); took > time.Second {
		t.Fatalf("the kept verdict took %s", took)
	}
}
