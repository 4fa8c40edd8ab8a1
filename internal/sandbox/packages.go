package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Program is a program that a lab host needs.
type Program struct {
	Name    string
	Package string // Debian package that brings it
}

// Programs lists what a lab host needs to have installed.
func Programs() []Program {
	return []Program{
		{"dbus-daemon", "dbus"},
		{networkd, "systemd"},
		{"ip", "iproute2"},
		{"libvirtd", "libvirt-daemon-system"},
		{"virtlogd", "libvirt-daemon-system"},
		{"virsh", "libvirt-clients"},
		{"qemu-system-x86_64", "qemu-system-x86"},
		{"qemu-img", "qemu-utils"},
		{"nft", "nftables"},
		{"netplan", "netplan.io"},
	}
}

const networkd = "/lib/systemd/systemd-networkd"

// Missing lists those of Programs that this machine does not have.
func Missing() []Program {
	var missing []Program
	for _, p := range Programs() {
		if _, err := lookPath(p.Name); err != nil {
			missing = append(missing, p)
		}
	}
	return missing
}

func missingError(missing []Program) error {
	if len(missing) == 0 {
		return nil
	}
	var names, packages []string
	for _, p := range missing {
		names = append(names, filepath.Base(p.Name))
		if !slices.Contains(packages, p.Package) {
			packages = append(packages, p.Package)
		}
	}
	return fmt.Errorf("this machine lacks %s: run\n  apt-get install --no-install-recommends %s",
		strings.Join(names, ", "), strings.Join(packages, " "))
}

var errNotFound = errors.New("not found")

// lookPath finds a program as shells do, in the folders for administrators too, which not every PATH has.
func lookPath(name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, executable(name)
	}
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/sbin", "/usr/bin", "/bin") {
		if dir == "" {
			continue
		}
		path := filepath.Join(dir, name)
		if executable(path) == nil {
			return path, nil
		}
	}
	return "", errNotFound
}

func executable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case info.IsDir() || info.Mode()&0o111 == 0:
		return os.ErrPermission
	}
	return nil
}
