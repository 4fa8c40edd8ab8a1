package machine

import (
	"errors"
	"slices"
	"strings"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/domainxml"
	"github.com/labctl/labctl/schema"
)

// Details are the differences, each with what it costs.
func Details(want *schema.Resource, have *provider.Object) ([]provider.Detail, error) {
	body := have.Body.(*schema.Domain)
	m := have.Aux.(*Machine)
	wanted := normal(want.Body.(*schema.Domain), body)
	list := provider.Diff(withRoot(body, wanted, m), withRoot(wanted, body, m))
	list = append(list, markDetails(want, have)...)
	for i := range list {
		d := &list[i]
		effect, why, err := effectOf(*d, m, wanted)
		if err != nil {
			return nil, &provider.Error{Op: "plan", Addr: want.Addr, Path: d.Path, Err: err}
		}
		d.Effect, d.Why = effect, why
		if effect == provider.OnRestart && !m.Active {
			d.Effect, d.Why = provider.Live, "" // nothing runs that would have to be stopped
		}
	}
	return list, nil
}

// withRoot names the root disk, which is there whether it is declared or not, where the other side declares it: so just
// what is said of it differs.
func withRoot(d, other *schema.Domain, m *Machine) *schema.Domain {
	isRoot := func(disk schema.Disk) bool { return disk.Name == "root" }
	if slices.ContainsFunc(d.Disks, isRoot) || !slices.ContainsFunc(other.Disks, isRoot) || !domainxml.HasDisk(m.Defined, "root") {
		return d
	}
	named := *d
	named.Disks = append(slices.Clone(d.Disks), schema.Disk{Name: "root"})
	return &named
}

// normal is the declaration in the form that Read gives: defaults of the language written out, and "auto" as it has
// been decided for the domain that is there.
func normal(want, have *schema.Domain) *schema.Domain {
	w := *want
	if w.Virt == "" || w.Virt == "auto" {
		w.Virt = have.Virt
	}
	// A default that is written out, or no longer, is no change: else a machine would be started anew for a word.
	w.Machine = sameAs(have.Machine, w.Machine, domainxml.DefaultMachine)
	w.Arch = sameAs(have.Arch, w.Arch, domainxml.DefaultArch)
	w.Firmware = sameAs(have.Firmware, w.Firmware, "bios")
	w.System.Clock = sameAs(have.System.Clock, w.System.Clock, "utc")
	w.System.Video = sameAs(have.System.Video, w.System.Video, "virtio")
	w.System.USB = sameAs(have.System.USB, w.System.USB, "qemu-xhci")
	if w.Virt != "kvm" { // which alone has it
		w.System.HyperV = have.System.HyperV
	}
	if max(w.VCPUs, w.MaxVCPUs) == 1 { // where both are the same
		w.System.Cores = have.System.Cores
	}
	if w.Image != nil && have.Image != nil {
		ref := *w.Image
		ref.Addr, ref.Build = have.Image.Addr, have.Image.Build // only the files count
		w.Image = &ref
	}
	w.Interfaces = slices.Clone(w.Interfaces)
	for i := range w.Interfaces {
		nic := &w.Interfaces[i]
		if nic.Model == "" {
			nic.Model = "virtio"
		}
		if nic.Link == "" {
			nic.Link = "up"
		}
	}
	return &w
}

// sameAs is what is declared, in the words of what is there where both mean the same.
func sameAs(is, should, usual string) string {
	if (is == "" || is == usual) && (should == "" || should == usual) {
		return is
	}
	return should
}

// markDetails are differences in what only the mark holds.
func markDetails(want *schema.Resource, have *provider.Object) []provider.Detail {
	var out []provider.Detail
	add := func(path string, is, should any) {
		out = append(out, provider.Detail{Path: path, Old: is, New: should})
	}
	if have.Mark.Addr != want.Addr {
		add("address", have.Mark.Addr.String(), want.Addr.String())
	}
	if have.Mark.PreventDestroy != want.Lifecycle.PreventDestroy {
		add("lifecycle.prevent_destroy", have.Mark.PreventDestroy, want.Lifecycle.PreventDestroy)
	}
	if is, should := addrs(have.Mark.Deps), addrs(want.Deps); !slices.Equal(is, should) {
		add("depends_on", is, should)
	}
	return out
}

// addrs is the addresses in a fixed order, as JSON has them.
func addrs(list []schema.Addr) []string {
	out := make([]string, 0, len(list))
	for _, addr := range list {
		out = append(out, addr.String())
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// splitPath splits interface.eth0.bridge into interface, eth0 and bridge; a name may be quoted in brackets.
func splitPath(path string) (kind, name, field string) {
	kind, rest, _ := strings.Cut(path, ".")
	if head, tail, quoted := strings.Cut(path, `["`); quoted && !strings.Contains(head, ".") {
		name, field, _ = strings.Cut(tail, `"]`)
		return head, name, strings.TrimPrefix(field, ".")
	}
	name, field, _ = strings.Cut(rest, ".")
	return kind, name, field
}

// ErrShrink is the refusal to lose what is at a disk's end.
var ErrShrink = errors.New("a disk is never made smaller: what is at its end would be lost")
