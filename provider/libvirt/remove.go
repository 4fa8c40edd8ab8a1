package libvirt

import (
	"context"

	"libvirt.org/go/libvirt"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/daemon"
	"github.com/labctl/labctl/provider/libvirt/domainxml"
	"github.com/labctl/labctl/provider/libvirt/machine"
	"github.com/labctl/labctl/provider/libvirt/snapshot"
	"github.com/labctl/labctl/schema"
)

// remove deletes a domain and everything that is its own.
func (p *Provider) remove(ctx context.Context, lab string, c provider.Change) error {
	uuid, name := schema.UUID(lab, c.Addr), ""
	if c.Have != nil {
		m := c.Have.Aux.(*machine.Machine)
		if m.Defined == nil {
			return p.removeStray(ctx, lab, m.Meta.Folder)
		}
		uuid = m.UUID
	}
	err := p.conn.Domain(daemon.ByUUID(uuid), func(dom *libvirt.Domain) error {
		var err error
		if name, err = dom.GetName(); err != nil {
			return err
		}
		meta, err := owned(dom, lab, c.Addr)
		if err != nil {
			return err
		}
		return p.removeDomain(ctx, lab, dom, uuid, meta)
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

// owned is the mark of a domain that the lab owns, in one small question: a whole read costs ten times as much.
func owned(dom *libvirt.Domain, lab string, addr schema.Addr) (domainxml.Meta, error) {
	text, err := dom.GetMetadata(libvirt.DOMAIN_METADATA_ELEMENT, schema.XMLNamespace, libvirt.DOMAIN_AFFECT_CONFIG)
	if err != nil && !daemon.Is(err, libvirt.ERR_NO_DOMAIN_METADATA) {
		return domainxml.Meta{}, err
	}
	var meta domainxml.Meta
	if err == nil {
		if meta, err = domainxml.ParseBare(text); err != nil {
			return domainxml.Meta{}, err
		}
	}
	have := &provider.Object{Mark: meta.Mark}
	if have.Owned(lab) {
		return meta, nil
	}
	if have.ID, err = dom.GetName(); err != nil {
		return domainxml.Meta{}, err
	}
	return domainxml.Meta{}, foreign(addr, have)
}

// removeDomain takes the definition away last: until then it says whose the files are.
func (p *Provider) removeDomain(ctx context.Context, lab string, dom *libvirt.Domain, uuid string, meta domainxml.Meta) error {
	if _, err := dom.GetID(); err == nil { // it had one when it was looked up: it is active
		if err := provider.Step(ctx, "stop"); err != nil {
			return err
		}
		if err := p.conn.PowerOff(ctx, daemon.ByUUID(uuid), 0); err != nil {
			return err
		}
	}
	if err := snapshot.RemoveAll(dom); err != nil {
		return err
	}
	if meta.Folder != "" {
		if err := provider.Step(ctx, "remove files"); err != nil {
			return err
		}
		if err := p.folders().Remove(ctx, lab, meta.Folder); err != nil {
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
