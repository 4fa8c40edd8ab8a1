package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"libvirt.org/go/libvirt"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/daemon"
	"github.com/labctl/labctl/provider/libvirt/domainxml"
	"github.com/labctl/labctl/provider/libvirt/metadata"
	"github.com/labctl/labctl/schema"
)

// Restore puts the lab back as it was. All machines stand still until the last one is back; then those that ran go on. A
// machine's definition goes back too, so the next plan tells what was declared since.
func (l Lab) Restore(ctx context.Context, name string) (Snapshot, error) {
	set, machines, err := l.named(ctx, name)
	if err != nil {
		return Snapshot{}, err
	}
	if err := same(set, machines); err != nil {
		return Snapshot{}, err
	}
	if err := step(ctx, "pause all machines"); err != nil {
		return Snapshot{}, err
	}
	if err := together(machines, machine.pause); err != nil {
		return Snapshot{}, errors.Join(err, together(machines, machine.goOn))
	}
	if err := step(ctx, "put memory and disks back"); err != nil {
		return Snapshot{}, errors.Join(err, together(machines, machine.goOn))
	}
	if err := together(machines, func(m machine) error { return m.backTo(ctx, set, name) }); err != nil {
		// Some are as they were then and some as they were now: to let them go on would show a lab that never was.
		return Snapshot{}, fmt.Errorf("%w\nThe machines that could be paused are left so; restore again, or let them go on with 'labctl start'", err)
	}
	if err := step(ctx, "let machines go on"); err != nil {
		return Snapshot{}, err
	}
	return set, together(set.Machines, Member.goOn)
}

// same refuses a snapshot that is not of just the machines that the lab has now: one that is put back beside one that is not
// would be a lab that never was.
func same(set Snapshot, machines []machine) error {
	if !set.Whole() {
		return fmt.Errorf("snapshot %s was taken of %d machines and is left in %d: the others were made anew since", set.Name, set.Of, len(set.Machines))
	}
	var younger []string
	for _, m := range machines {
		if !slices.ContainsFunc(set.Machines, func(in Member) bool { return in.uuid == m.uuid }) {
			younger = append(younger, m.Addr.String())
		}
	}
	if len(younger) == 0 {
		return nil
	}
	return fmt.Errorf("%s was made after snapshot %s: take it out of the lab first (labctl destroy -target=…)", strings.Join(younger, ", "), set.Name)
}

// backTo puts one machine back in the way that it was kept.
func (m machine) backTo(ctx context.Context, set Snapshot, name string) error {
	for _, in := range set.Machines {
		if in.uuid == m.uuid && in.inFiles {
			return m.backFiles(ctx, name)
		}
	}
	return m.back(name)
}

// back puts one machine back, paused where it ran.
func (m machine) back(name string) error {
	return m.domain(func(dom *libvirt.Domain) error {
		now, err := metaOf(dom)
		if err != nil {
			return err
		}
		snap, err := dom.SnapshotLookupByName(name, 0)
		if err != nil {
			return err
		}
		defer snap.Free() //nolint:errcheck // drops the reference
		// By force: where a device was added or taken since, libvirt has to start another QEMU.
		err = snap.RevertToSnapshot(libvirt.DOMAIN_SNAPSHOT_REVERT_PAUSED | libvirt.DOMAIN_SNAPSHOT_REVERT_FORCE)
		if err != nil {
			return err
		}
		return keepAddress(dom, now)
	})
}

// goOn lets a machine run that ran when the snapshot was taken, and looks whether a paused one is as it was.
func (m Member) goOn() error {
	return m.domain(func(dom *libvirt.Domain) error {
		if m.Running {
			if err := resume(dom); err != nil {
				return err
			}
		}
		state, _, err := dom.GetState()
		if err != nil {
			return err
		}
		if runs := state == libvirt.DOMAIN_RUNNING || state == libvirt.DOMAIN_BLOCKED; runs != m.Running {
			return fmt.Errorf("it runs: %t; when the snapshot was taken: %t", runs, m.Running)
		}
		return nil
	})
}

func metaOf(dom *libvirt.Domain) (domainxml.Meta, error) {
	text, err := dom.GetMetadata(libvirt.DOMAIN_METADATA_ELEMENT, schema.XMLNamespace, libvirt.DOMAIN_AFFECT_CONFIG)
	if err != nil {
		return domainxml.Meta{}, err
	}
	return domainxml.ParseBare(text)
}

// keepAddress gives a machine the address in the lab that it had before it was put back. A 'moved' block may have given it
// another since, and may be gone: under the old address the next plan would destroy it.
func keepAddress(dom *libvirt.Domain, now domainxml.Meta) error {
	then, err := metaOf(dom)
	if err != nil {
		return err
	}
	if then.Mark.Addr == now.Mark.Addr && then.Mark.PreventDestroy == now.Mark.PreventDestroy {
		return nil
	}
	then.Mark.Addr, then.Mark.PreventDestroy = now.Mark.Addr, now.Mark.PreventDestroy
	text, err := then.Bare()
	if err != nil {
		return err
	}
	flags := libvirt.DOMAIN_AFFECT_CONFIG
	if active, err := dom.IsActive(); err != nil {
		return err
	} else if active {
		flags |= libvirt.DOMAIN_AFFECT_LIVE
	}
	err = dom.SetMetadata(libvirt.DOMAIN_METADATA_ELEMENT, text, metadata.Prefix, schema.XMLNamespace, flags)
	if err != nil {
		return &provider.Error{Op: "write the mark", Err: daemon.Message(err)}
	}
	return nil
}
