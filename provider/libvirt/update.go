package libvirt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"libvirt.org/go/libvirt"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/daemon"
	"github.com/labctl/labctl/provider/libvirt/domainxml"
	"github.com/labctl/labctl/provider/libvirt/machine"
	"github.com/labctl/labctl/schema"
)

// update converges a domain that is there: what can be changed while it runs is, and it is stopped only where the plan
// said so.
func (j *job) update(ctx context.Context) error {
	list, err := machine.Details(j.want, j.have)
	if err != nil {
		return err
	}
	if err := j.checkSizes(ctx, list); err != nil {
		return err
	}
	if err := j.files(ctx, j.madeDisks()); err != nil {
		return err
	}
	m := j.now()
	ran := m.Active
	if err := j.redefine(ctx, list); err != nil {
		return err
	}
	if m.Active {
		err = j.live(ctx)
	} else {
		err = j.growOff(ctx)
	}
	if err != nil {
		return err
	}
	if err := j.autostart(ctx); err != nil {
		return err
	}
	if j.body.Running && !m.Running {
		if err := j.start(ctx); err != nil {
			return j.putBack(ctx, ran && !m.Active, err)
		}
	}
	if err := j.mark(false); err != nil {
		return err
	}
	return j.removeDisks(ctx)
}

// redefine stores the definition and stops the machine where that is needed. The definition comes first: where libvirt
// refuses it, nothing has happened to the machine yet. Only a new name needs the machine to be off before.
func (j *job) redefine(ctx context.Context, list []provider.Detail) error {
	m := j.now()
	stop := m.Active && (provider.Worst(list) == provider.OnRestart || !j.body.Running)
	ran := m.Active
	if j.have.ID != j.body.Name {
		if stop {
			if err := j.shutDown(ctx, m); err != nil {
				return err
			}
		}
		if err := j.rename(ctx); err != nil {
			return err
		}
	}
	if j.changesDefinition(list) {
		if err := j.define(ctx); err != nil {
			return j.putBack(ctx, ran && !m.Active, err)
		}
	}
	if stop && m.Active {
		return j.shutDown(ctx, m)
	}
	return nil
}

// putBack defines the domain as it was after a start that failed, and starts it again where it ran before: what the lab
// says now cannot run here. cause is returned, with what has been done about it.
func (j *job) putBack(ctx context.Context, ran bool, cause error) error {
	if j.have.Mark.Incomplete || errors.Is(cause, provider.ErrIncomplete) || ctx.Err() != nil {
		return cause // it was never whole, or it did start
	}
	text, err := j.now().Defined.Marshal()
	if err == nil {
		err = j.conn.Use(func(link *libvirt.Connect) error {
			if j.have.ID != j.body.Name {
				dom, err := link.LookupDomainByUUIDString(j.uuid)
				if err != nil {
					return err
				}
				defer dom.Free() //nolint:errcheck // drops the reference
				if err := dom.Rename(j.have.ID, 0); err != nil {
					return err
				}
			}
			dom, err := link.DomainDefineXML(text)
			if err != nil {
				return err
			}
			defer dom.Free() //nolint:errcheck // drops the reference
			if ran {
				return daemon.PowerOn(dom)
			}
			return nil
		})
	}
	if err != nil {
		return errors.Join(cause, fmt.Errorf("put the old definition back: %w", daemon.Message(err)))
	}
	if known, ok := errors.AsType[*provider.Error](cause); ok && known.Hint == "" {
		known.Hint = "the old definition is back in place"
		if ran {
			known.Hint += " and the machine runs on it"
		}
	}
	return cause
}

// changesDefinition is false where only the power state differs: a stopped machine is started without being touched.
func (j *job) changesDefinition(list []provider.Detail) bool {
	for _, d := range list {
		if d.Path != "running" && d.Path != "autostart" {
			return true
		}
	}
	return j.have.Mark.Incomplete
}

func (j *job) shutDown(ctx context.Context, m *machine.Machine) error {
	if err := provider.Step(ctx, "shut down"); err != nil {
		return err
	}
	within := daemon.ShutdownTimeout
	if t := j.body.Timeouts.Shutdown; t > 0 {
		within = time.Duration(t * float64(time.Second))
	}
	if err := j.conn.PowerOff(ctx, daemon.ByUUID(j.uuid), within); err != nil {
		return daemon.Failed("shut down domain "+j.have.ID, err)
	}
	m.Active, m.Running = false, false
	return nil
}

// rename gives a domain that is off its new name: libvirt refuses a definition that changes it.
func (j *job) rename(ctx context.Context) error {
	if err := provider.Step(ctx, "rename"); err != nil {
		return err
	}
	return daemon.Failed("rename domain "+j.have.ID, j.conn.Domain(daemon.ByUUID(j.uuid), func(dom *libvirt.Domain) error {
		return dom.Rename(j.body.Name, 0)
	}))
}

// madeDisks are the disks that the domain has already: one of them whose file has gone is not made anew and blank, libvirt
// says that it is missing.
func (j *job) madeDisks() map[string]bool {
	made := map[string]bool{}
	if j.have.Mark.Incomplete {
		return made
	}
	for _, disk := range domainxml.Read(j.now().Defined, j.now().Meta).Disks {
		if disk.Source == "" { // one of labctl's own
			made[disk.Name] = true
		}
	}
	return made
}

// growOff makes the disks of a domain that is off larger.
func (j *job) growOff(ctx context.Context) error {
	for _, disk := range j.body.Disks {
		path := j.diskPath(disk)
		err := j.grow(ctx, disk, path, func(size uint64) error {
			_, err := j.host.Run(ctx, host.Cmd("qemu-img", "resize", "-q", "-f", domainxml.Format(disk), path, strconv.FormatUint(size, 10)))
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// checkSizes refuses to make a disk smaller before anything is touched: the mark knows declared sizes, the files the real ones.
func (j *job) checkSizes(ctx context.Context, list []provider.Detail) error {
	made := j.madeDisks()
	for _, disk := range j.body.Disks {
		changes := slices.ContainsFunc(list, func(d provider.Detail) bool {
			return d.Path == "disk."+disk.Name || strings.HasPrefix(d.Path, "disk."+disk.Name+".")
		})
		there := made[disk.Name] || j.isRoot(disk) && !j.have.Mark.Incomplete
		if !changes || !there {
			continue
		}
		if err := j.grow(ctx, disk, j.diskPath(disk), nil); err != nil {
			return err
		}
	}
	return nil
}

func (j *job) diskPath(disk schema.Disk) string {
	if j.isRoot(disk) {
		return domainxml.RootPath(j.spec.Folder)
	}
	return domainxml.DiskPath(j.spec.Folder, disk)
}

// removeDisks removes the files of labctl's own disks that are declared no longer.
func (j *job) removeDisks(ctx context.Context) error {
	was := j.now().Meta.Declared
	if was == nil || j.spec.Folder == "" {
		return nil
	}
	for _, disk := range was.Disks {
		kept := slices.ContainsFunc(j.body.Disks, func(d schema.Disk) bool { return d.Name == disk.Name && d.Source == "" })
		if kept || disk.Source != "" || disk.Name == "root" {
			continue
		}
		if err := provider.Step(ctx, "remove disk "+disk.Name); err != nil {
			return err
		}
		if err := j.host.Remove(ctx, domainxml.DiskPath(j.spec.Folder, disk)); err != nil {
			return err
		}
	}
	return nil
}
