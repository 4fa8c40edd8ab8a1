package snapshot

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
	"time"

	"libvirt.org/go/libvirt"
)

// Save keeps the lab under a name. All machines are paused first, and go on when the last one has been kept: so no packet is
// lost between two of them that one has sent and the other never got. Where one fails, those that were made are removed.
func (l Lab) Save(ctx context.Context, name string) (saved Snapshot, err error) {
	if err := CheckName(name); err != nil {
		return Snapshot{}, err
	}
	machines, err := l.machines(ctx)
	if err != nil {
		return Snapshot{}, err
	}
	if len(machines) == 0 {
		return Snapshot{}, fmt.Errorf("lab %s has no machines here", l.Name)
	}
	if err := fit(machines, name); err != nil {
		return Snapshot{}, err
	}
	if err := step(ctx, "pause all machines"); err != nil {
		return Snapshot{}, err
	}
	defer func() { // whatever happens, those that ran go on
		err = errors.Join(err, together(machines, machine.goOn))
	}()
	if err := together(machines, machine.pause); err != nil {
		return Snapshot{}, err
	}
	taken := time.Now().UTC()
	err = step(ctx, "keep memory and disks")
	if err == nil {
		err = together(machines, func(m machine) error {
			k := mark{lab: l.Name, of: len(machines), running: m.runs(), files: m.files, taken: taken}
			if m.files {
				return m.keepFiles(ctx, name, k)
			}
			return m.keep(name, k)
		})
	}
	if err != nil {
		return Snapshot{}, errors.Join(err, together(machines, func(m machine) error { return m.removeTaken(ctx, name, taken) }))
	}
	list, err := l.List(ctx) // what is there counts, not what libvirt said
	for _, s := range list {
		if s.Name == name && s.Taken.Equal(taken) && s.Whole() {
			return s, nil
		}
	}
	return Snapshot{}, errors.Join(err, fmt.Errorf("libvirt said that snapshot %s was made, and does not list it in all machines", name))
}

// fit refuses, before anything is paused, what cannot be kept.
func fit(machines []machine, name string) error {
	var errs []error
	for _, m := range machines {
		if err := m.unfit(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", m.Addr, err))
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("the lab cannot be kept:\n%w", errors.Join(errs...))
	}
	var holders []string
	for _, m := range machines {
		err := m.domain(func(dom *libvirt.Domain) error {
			names, err := dom.SnapshotListNames(0)
			for _, have := range names {
				if have == name {
					holders = append(holders, m.Addr.String())
				}
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", m.Addr, err)
		}
	}
	if len(holders) > 0 {
		return fmt.Errorf("there is a snapshot %s already, of %s: delete it first, or take another name", name, strings.Join(holders, ", "))
	}
	return nil
}

func (m machine) pause() error {
	if !m.runs() {
		return nil
	}
	return m.domain(func(dom *libvirt.Domain) error { return dom.Suspend() })
}

// goOn lets a machine that ran run again.
func (m machine) goOn() error {
	if !m.runs() {
		return nil
	}
	return m.domain(resume)
}

func resume(dom *libvirt.Domain) error {
	state, _, err := dom.GetState()
	if err != nil || state != libvirt.DOMAIN_PAUSED {
		return err
	}
	return dom.Resume()
}

func (m machine) keep(name string, k mark) error {
	text, err := xml.Marshal(description{Name: name, Description: k.String()})
	if err != nil {
		return err
	}
	return m.domain(func(dom *libvirt.Domain) error {
		snap, err := dom.CreateSnapshotXML(string(text), 0)
		if err != nil {
			return err
		}
		return snap.Free()
	})
}

// removeTaken removes the snapshot where it is the one that was just taken.
func (m machine) removeTaken(ctx context.Context, name string, taken time.Time) error {
	if m.files {
		if err := m.dropFiles(context.WithoutCancel(ctx), name); err != nil {
			return err
		}
	}
	return m.domain(func(dom *libvirt.Domain) error {
		return each(dom, func(snap *libvirt.DomainSnapshot, have string, k mark) error {
			if have != name || !k.taken.Equal(taken) {
				return nil
			}
			return snap.Delete(deletion(k.files))
		})
	})
}
