package libvirt

import (
	"context"

	"libvirt.org/go/libvirt"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/daemon"
	"github.com/labctl/labctl/provider/libvirt/machine"
	"github.com/labctl/labctl/provider/libvirt/metadata"
	"github.com/labctl/labctl/provider/libvirt/snapshot"
	"github.com/labctl/labctl/schema"
)

// remove deletes a domain and everything that is its own.
func (p *Provider) remove(ctx context.Context, lab string, c provider.Change) error {
	uuid, name, sweep := schema.UUID(lab, c.Addr), "", true
	if c.Have != nil {
		m := c.Have.Aux.(*machine.Machine)
		if m.Defined == nil {
			return p.removeStray(ctx, lab, m.Meta.Folder)
		}
		uuid, sweep = m.UUID, m.OthersDisks()
	}
	err := p.conn.Domain(daemon.ByUUID(uuid), func(dom *libvirt.Domain) error {
		var err error
		if name, err = dom.GetName(); err != nil {
			return err
		}
		folder, err := owned(dom, lab, c.Addr)
		if err != nil {
			return err
		}
		if err := p.powerDown(ctx, dom, uuid); err != nil {
			return err
		}
		if sweep {
			if err := snapshot.RemoveAll(dom); err != nil {
				return err
			}
		}
		return p.removeDomain(ctx, lab, dom, folder)
	})
	if daemon.Is(err, libvirt.ERR_NO_DOMAIN) {
		return ctx.Err()
	}
	return daemon.Failed("remove domain "+name, err)
}

// removeStray removes the folder of a machine that somebody undefined.
func (p *Provider) removeStray(ctx context.Context, lab, path string) error {
	if err := provider.Step(ctx, "remove files"); err != nil {
		return err
	}
	return p.folders().Remove(ctx, lab, path)
}

// owned is the folder of a domain that the lab owns, told by one small question: a whole read costs ten times as much.
func owned(dom *libvirt.Domain, lab string, addr schema.Addr) (folder string, err error) {
	text, err := dom.GetMetadata(libvirt.DOMAIN_METADATA_ELEMENT, schema.XMLNamespace, libvirt.DOMAIN_AFFECT_CONFIG)
	have := &provider.Object{}
	switch {
	case err == nil:
		if have.Mark, folder, err = metadata.Owner(text); err != nil {
			return "", err
		}
	case !daemon.Is(err, libvirt.ERR_NO_DOMAIN_METADATA):
		return "", err
	}
	if have.Owned(lab) {
		return folder, nil
	}
	if have.ID, err = dom.GetName(); err != nil {
		return "", err
	}
	return "", foreign(addr, have)
}

func (p *Provider) powerDown(ctx context.Context, dom *libvirt.Domain, uuid string) error {
	if _, off := dom.GetID(); off != nil {
		return nil //nolint:nilerr // it had no ID when it was looked up: it is off
	}
	if err := provider.Step(ctx, "stop"); err != nil {
		return err
	}
	return p.conn.PowerOff(ctx, daemon.ByUUID(uuid), 0)
}

// removeDomain takes the definition away last: until then it says whose the files are.
func (p *Provider) removeDomain(ctx context.Context, lab string, dom *libvirt.Domain, folder string) error {
	if folder != "" {
		if err := provider.Step(ctx, "remove files"); err != nil {
			return err
		}
		if err := p.folders().Remove(ctx, lab, folder); err != nil {
			return err
		}
	}
	if err := provider.Step(ctx, "undefine"); err != nil {
		return err
	}
	err := dom.UndefineFlags(libvirt.DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
		libvirt.DOMAIN_UNDEFINE_NVRAM | libvirt.DOMAIN_UNDEFINE_CHECKPOINTS_METADATA)
	if daemon.Is(err, libvirt.ERR_NO_SUPPORT, libvirt.ERR_INVALID_ARG) { // test:///default takes fewer flags
		err = dom.Undefine()
	}
	return err
}
