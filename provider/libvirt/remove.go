package libvirt

import (
	"context"

	"libvirt.org/go/libvirt"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/daemon"
	"github.com/labctl/labctl/provider/libvirt/machine"
	"github.com/labctl/labctl/schema"
)

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
