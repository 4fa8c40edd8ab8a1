package libvirt

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	m := j.now()
	restart := m.Active && provider.Worst(list) == provider.OnRestart
	if m.Active && (restart || !j.body.Running) {
		if err := j.shutDown(ctx); err != nil {
			return err
		}
		m.Active, m.Running = false, false
	}
	if err := j.files(ctx, j.madeDisks()); err != nil {
		return err
	}
	if err := j.rename(ctx); err != nil {
		return err
	}
	if j.changesDefinition(list) {
		if err := j.define(ctx); err != nil {
			return err
		}
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
			return err
		}
	}
	if err := j.mark(false); err != nil {
		return err
	}
	return j.removeDisks(ctx)
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

func (j *job) shutDown(ctx context.Context) error {
	if err := provider.Step(ctx, "shut down"); err != nil {
		return err
	}
	within := daemon.ShutdownTimeout
	if t := j.body.Timeouts.Shutdown; t > 0 {
		within = time.Duration(t * float64(time.Second))
	}
	return daemon.Failed("shut down domain "+j.body.Name, j.conn.PowerOff(ctx, daemon.ByUUID(j.uuid), within))
}

// rename gives a domain that is off its new name: libvirt refuses a definition that changes it.
func (j *job) rename(ctx context.Context) error {
	if j.have.ID == j.body.Name {
		return nil
	}
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
		made[disk.Name] = true
	}
	return made
}

// growOff makes the disks of a domain that is off larger.
func (j *job) growOff(ctx context.Context) error {
	for _, disk := range j.body.Disks {
		path := j.diskPath(disk)
		err := j.grow(ctx, disk, path, func(size uint64) error {
			_, err := j.host.Run(ctx, host.Cmd("qemu-img", "resize", "-q", "-f", domainxml.Format(disk), path, fmt.Sprint(size)))
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (j *job) diskPath(disk schema.Disk) string {
	if disk.Name == "root" && j.spec.HasRoot() {
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

// remove deletes a domain and everything that is its own. The definition goes last: until then it says whose the files are.
func (p *Provider) remove(ctx context.Context, lab string, c provider.Change) error {
	uuid := schema.UUID(lab, c.Addr)
	if c.Have != nil {
		uuid = c.Have.Aux.(*machine.Machine).UUID
	}
	have, err := p.reader().One(ctx, daemon.ByUUID(uuid))
	if err != nil || have == nil {
		return err
	}
	if !have.Owned(lab) {
		return foreign(c.Addr, have)
	}
	m := have.Aux.(*machine.Machine)
	if m.Active {
		if err := provider.Step(ctx, "stop"); err != nil {
			return err
		}
		if err := p.conn.PowerOff(ctx, daemon.ByUUID(uuid), 0); err != nil {
			return daemon.Failed("stop domain "+have.ID, err)
		}
	}
	if m.Meta.Folder != "" {
		if err := provider.Step(ctx, "remove files"); err != nil {
			return err
		}
		if err := p.removeFolder(ctx, lab, m.Meta.Folder); err != nil {
			return err
		}
	}
	if err := provider.Step(ctx, "undefine"); err != nil {
		return err
	}
	err = p.conn.Domain(daemon.ByUUID(uuid), func(dom *libvirt.Domain) error {
		return dom.UndefineFlags(libvirt.DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
			libvirt.DOMAIN_UNDEFINE_NVRAM | libvirt.DOMAIN_UNDEFINE_CHECKPOINTS_METADATA)
	})
	if daemon.Is(err, libvirt.ERR_NO_DOMAIN) {
		return nil
	}
	if daemon.Is(err, libvirt.ERR_NO_SUPPORT, libvirt.ERR_INVALID_ARG) { // test:///default takes fewer flags
		err = p.conn.Domain(daemon.ByUUID(uuid), func(dom *libvirt.Domain) error { return dom.Undefine() })
	}
	return daemon.Failed("undefine domain "+have.ID, err)
}

// Forget implements provider.Forgetter.
func (p *Provider) Forget(ctx context.Context, lab string, have provider.Object) error {
	if !have.Owned(lab) {
		return foreign(have.Addr, &have)
	}
	if err := provider.Step(ctx, "take the mark off"); err != nil {
		return err
	}
	err := p.conn.Domain(daemon.ByUUID(have.Aux.(*machine.Machine).UUID), func(dom *libvirt.Domain) error {
		return setMetadata(dom, "")
	})
	return daemon.Failed("take the mark off domain "+have.ID, err)
}

// Import implements provider.Importer.
func (p *Provider) Import(ctx context.Context, lab string, want schema.Resource, id string) error {
	have, err := p.reader().One(ctx, daemon.ByName(id))
	if err != nil {
		return err
	}
	if have == nil {
		return &provider.Error{Op: "import", Addr: want.Addr, Err: errors.New("there is no domain " + id)}
	}
	if have.Mark.Lab != "" && !have.Owned(lab) {
		return foreign(want.Addr, have)
	}
	if err := provider.Step(ctx, "mark"); err != nil {
		return err
	}
	// The declaration is left out: everything that the lab says will be compared with the domain as it is.
	text, err := domainxml.Meta{Mark: provider.MarkOf(lab, &want), Declared: have.Body.(*schema.Domain)}.Bare()
	if err != nil {
		return err
	}
	err = p.conn.Domain(daemon.ByName(id), func(dom *libvirt.Domain) error { return setMetadata(dom, text) })
	return daemon.Failed("mark domain "+id, err)
}

// setMetadata writes labctl's element, or removes it where text is "".
func setMetadata(dom *libvirt.Domain, text string) error {
	active, err := dom.IsActive()
	if err != nil {
		return err
	}
	flags := libvirt.DOMAIN_AFFECT_CONFIG
	if active {
		flags |= libvirt.DOMAIN_AFFECT_LIVE
	}
	return dom.SetMetadata(libvirt.DOMAIN_METADATA_ELEMENT, text, metadataKey, schema.XMLNamespace, flags)
}
