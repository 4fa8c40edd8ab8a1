// Package kvm finds out whether this machine can really run guests under KVM.
//
// That /dev/kvm is there and answers proves nothing: in many nested clouds it does, and no guest ever gets past its first
// instructions. So a guest of 512 bytes is booted, and only its own exit is taken as proof.
package kvm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/labctl/labctl/internal/host"
)

// Deadline is how long the proving guest may take. Under a KVM that works it needs some tenths of a second.
const Deadline = 5 * time.Second

// Verdict is what was found out.
type Verdict struct {
	Works  bool   `json:"works"`
	Why    string `json:"why"`     // one line: what the proof was, or what was seen instead
	BootID string `json:"boot_id"` // of the boot that the verdict is for, see random(4)
}

const (
	bootIDPath = "/proc/sys/kernel/random/boot_id"
	debugPort  = 0xf4
	proofByte  = 0x2a
	// QEMU's isa-debug-exit ends the process with (byte << 1) | 1.
	proofExit = proofByte<<1 | 1
)

// Prove tells whether the machine h runs guests under KVM. The verdict is kept in a file under root until the next boot.
// The error is for a machine that cannot be asked; a KVM that does not work is a Verdict.
func Prove(ctx context.Context, h host.Host, root string) (Verdict, error) {
	id, err := h.ReadFile(ctx, bootIDPath)
	if err != nil {
		return Verdict{}, fmt.Errorf("read the boot id: %w", err)
	}
	bootID := strings.TrimSpace(string(id))
	file := filepath.Join(root, "kvm.json")
	if text, err := h.ReadFile(ctx, file); err == nil {
		var known Verdict
		if json.Unmarshal(text, &known) == nil && known.BootID == bootID && known.Why != "" {
			return known, nil
		}
	}
	verdict, err := boot(ctx, h, root)
	if err != nil {
		return Verdict{}, err
	}
	verdict.BootID = bootID
	text, err := json.Marshal(verdict)
	if err != nil {
		return Verdict{}, err
	}
	if err := h.WriteFile(ctx, file, append(text, '\n'), 0o644); err != nil {
		return Verdict{}, fmt.Errorf("keep the verdict on KVM: %w", err)
	}
	return verdict, nil
}

// boot runs the proving guest. timeout(1) kills QEMU on the machine itself, whatever becomes of the way to it.
func boot(ctx context.Context, h host.Host, root string) (Verdict, error) {
	if _, err := h.Run(ctx, host.Cmd("test", "-c", "/dev/kvm")); err != nil {
		return without(ctx, "this machine has no /dev/kvm")
	}
	image := filepath.Join(root, "kvm-proof.img")
	if err := h.WriteFile(ctx, image, sector(), 0o644); err != nil {
		return Verdict{}, fmt.Errorf("write the guest that proves KVM: %w", err)
	}
	seconds := strconv.Itoa(int(Deadline / time.Second))
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, Deadline+2*time.Second)
	defer cancel()
	_, err := h.Run(ctx, command(seconds, image, "kvm", "host"))
	took := time.Since(began)
	failed, ran := errors.AsType[*host.CommandError](err)
	switch {
	case err == nil:
		return Verdict{Why: "QEMU under KVM ended without running the proving guest"}, nil
	case ran && failed.Exit == proofExit:
		return Verdict{Works: true, Why: fmt.Sprintf("a guest booted under KVM in %d ms", took.Milliseconds())}, nil
	case took >= Deadline:
		return without(ctx, fmt.Sprintf("/dev/kvm is there, but a guest under KVM did not run its first instructions in %s s", seconds))
	case ran && failed.Exit == 127:
		return Verdict{}, errors.New("prove KVM: qemu-system-x86_64 or timeout is not installed")
	}
	said := err.Error()
	if ran && failed.Stderr != "" {
		said = failed.Stderr
	}
	said, _, _ = strings.Cut(strings.TrimSpace(said), "\n")
	return without(ctx, "QEMU does not run under KVM here: "+said)
}

// command boots the sector in image and ends with proofExit if it runs.
func command(seconds, image, accel, cpu string) host.Command {
	return host.Cmd("timeout", "-s", "KILL", seconds, "qemu-system-x86_64",
		"-accel", accel, "-machine", "pc", "-cpu", cpu, "-m", "16", "-nodefaults", "-no-user-config", "-no-reboot",
		"-display", "none", "-drive", "file="+image+",format=raw,if=ide,snapshot=on",
		"-device", fmt.Sprintf("isa-debug-exit,iobase=%#x,iosize=1", debugPort))
}

// without is the verdict that KVM does not work, unless the caller itself has given up.
func without(ctx context.Context, why string) (Verdict, error) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return Verdict{}, ctx.Err()
	}
	return Verdict{Why: why}, nil
}

// sector is a boot sector that writes the proof to the debug port: mov al, proof; out port, al; hlt; jmp back.
func sector() []byte {
	code := make([]byte, 512)
	copy(code, []byte{0xb0, proofByte, 0xe6, debugPort, 0xf4, 0xeb, 0xfd})
	code[510], code[511] = 0x55, 0xaa
	return code
}
