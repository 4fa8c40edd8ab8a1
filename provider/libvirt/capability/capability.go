// Package capability knows what a host can give to machines, and refuses what it cannot before anything is touched: libvirt
// itself would say some of it only when a machine starts.
package capability

import (
	"errors"
	"fmt"
	"slices"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/daemon"
	"github.com/labctl/labctl/schema"
)

// board is what libvirt's answer about a sort of machine depends on.
type board struct{ arch, machine, virt string }

// Check is every declared machine that the host behind conn cannot run.
func Check(conn *daemon.Conn, want []schema.Resource) []error {
	most, err := conn.Memory()
	if err != nil {
		return []error{err}
	}
	var errs []error
	known := map[board]*libvirtxml.DomainCaps{}
	for _, r := range want {
		d, ok := r.Body.(*schema.Domain)
		if !ok {
			continue
		}
		refuse := func(path string, err error) {
			errs = append(errs, &provider.Error{Op: "check", Addr: r.Addr, Path: path, Err: err})
		}
		if d.Memory > most {
			refuse("memory", fmt.Errorf("%d MiB are more than the host has, %d MiB", d.Memory>>20, most>>20))
		}
		if d.Machine == "" && d.CPU == "" && d.Arch == "" {
			continue // labctl's own choice
		}
		b := board{d.Arch, d.Machine, d.Virt}
		caps, asked := known[b]
		if !asked {
			var err error
			if caps, err = capabilities(conn, b); err != nil {
				refuse(pathOf(d), daemon.Message(err))
			}
			known[b] = caps
		}
		if caps != nil && !hasCPU(caps, d.CPU) {
			refuse("cpu", fmt.Errorf("QEMU has no processor model %q here; virsh domcapabilities lists those it has", d.CPU))
		}
	}
	return errs
}

// pathOf is the attribute that decides about the board.
func pathOf(d *schema.Domain) string {
	if d.Machine != "" {
		return "machine"
	}
	return "arch"
}

// capabilities is what libvirt can give a machine on the board.
func capabilities(conn *daemon.Conn, b board) (*libvirtxml.DomainCaps, error) {
	virt := b.virt
	if virt != "kvm" {
		virt = "qemu" // what emulation has, KVM has or says clearly that it has not
	}
	machine, arch := b.machine, b.arch
	if arch == "" {
		arch = "x86_64"
	}
	if machine == "" && arch == "x86_64" {
		machine = "q35"
	}
	caps := new(libvirtxml.DomainCaps)
	err := conn.Use(func(link *libvirt.Connect) error {
		text, err := link.GetDomainCapabilities("", arch, machine, virt, 0)
		if err != nil {
			return err
		}
		return caps.Unmarshal(text)
	})
	if daemon.Is(err, libvirt.ERR_NO_SUPPORT) {
		return nil, nil // not QEMU
	}
	if err != nil && !errors.Is(err, provider.ErrUnreachable) {
		err = fmt.Errorf("this host cannot run it: %w", daemon.Message(err))
	}
	if err != nil {
		return nil, err
	}
	return caps, nil
}

// hasCPU reports whether the model is among those that QEMU knows.
func hasCPU(caps *libvirtxml.DomainCaps, name string) bool {
	switch name {
	case "", "host-passthrough", "host-model", "maximum":
		return true
	}
	if caps.CPU == nil {
		return true
	}
	for _, mode := range caps.CPU.Modes {
		if mode.Name == "custom" {
			return slices.ContainsFunc(mode.Models, func(m libvirtxml.DomainCapsCPUModel) bool { return m.Name == name })
		}
	}
	return true
}
