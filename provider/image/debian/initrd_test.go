package debian

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cavaliergopher/cpio"
	"github.com/klauspost/compress/zstd"
)

// The initrd has what its first process calls, and the modules that the kernel has of those that lead to a disk.
func TestInitrd(t *testing.T) {
	object, err := os.ReadFile("/proc/self/exe") // an ELF file, though no module: stripping refuses it
	if err != nil {
		t.Fatal(err)
	}
	const modules = "lib/modules/6.1.0-1-cloud-amd64/"
	root := tree(t, map[string]string{
		"usr/bin/busybox":                  "static",
		modules + "modules.dep":            "kernel/net/other.ko:\n",
		modules + "kernel/fs/ext4/ext4.ko": string(object),
		modules + "modules.alias":          "", modules + "modules.symbols": "", modules + "modules.softdep": "", modules + "modules.builtin": "",
	})
	to := filepath.Join(t.TempDir(), "initrd")
	if err := writeInitrd(root, "6.1.0-1-cloud-amd64", to); err != nil {
		t.Fatal(err)
	}
	packed, err := os.Open(to)
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	plain, err := zstd.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	names := map[string]bool{}
	for r := cpio.NewReader(plain); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names[header.Name] = true
	}
	for _, name := range []string{"init", "bin/busybox", modules + "modules.dep"} {
		if !names[name] {
			t.Errorf("%s is not in it: %v", name, names)
		}
	}
	for _, applet := range applets {
		if !names["bin/"+applet] {
			t.Errorf("%s is not in it", applet)
		}
	}
	if names[modules+"kernel/net/other.ko"] {
		t.Errorf("a module that leads to no disk is in it")
	}
	// A module that is there and broken is an error, not a guest that finds no disk.
	if err := os.WriteFile(filepath.Join(root, modules, "modules.dep"), []byte("kernel/fs/ext4/ext4.ko:\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeInitrd(root, "6.1.0-1-cloud-amd64", to); err == nil || !strings.Contains(err.Error(), "ext4.ko") {
		t.Errorf("a broken module: %v", err)
	}
	if err := writeInitrd(t.TempDir(), "6.1.0-1-cloud-amd64", to); err == nil {
		t.Errorf("no BusyBox: no error")
	}
}
