package libvirt

import (
	"context"
	"errors"
	"slices"
	"strings"

	"libvirt.org/go/libvirt"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/daemon"
	"github.com/labctl/labctl/provider/libvirt/domainxml"
	"github.com/labctl/labctl/provider/libvirt/machine"
	"github.com/labctl/labctl/schema"
)

// Forget implements provider.Forgetter.
func (p *Provider) Forget(ctx context.Context, lab string, have provider.Object) error {
	if !have.Owned(lab) {
		return foreign(have.Addr, &have)
	}
	if err := provider.Step(ctx, "take the mark off"); err != nil {
		return err
	}
	m := have.Aux.(*machine.Machine)
	if m.UUID != "" { // else only the files of a machine that somebody undefined
		err := p.conn.Domain(daemon.ByUUID(m.UUID), func(dom *libvirt.Domain) error { return setMetadata(dom, "") })
		if err != nil {
			return daemon.Failed("take the mark off domain "+have.ID, err)
		}
	}
	if m.Meta.Folder == "" {
		return nil
	}
	return p.folders().Unmark(ctx, lab, m.Meta.Folder)
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
	text, err := domainxml.Meta{Mark: provider.MarkOf(lab, &want), Declared: adopted(have, &want)}.Bare()
	if err != nil {
		return err
	}
	err = p.conn.Domain(daemon.ByName(id), func(dom *libvirt.Domain) error { return setMetadata(dom, text) })
	return daemon.Failed("mark domain "+id, err)
}

// adopted is the domain as it is, as if it had been declared so, so that everything the lab says is compared with it. Its
// cards get the names of those in the lab that have their MACs, or else their places.
func adopted(have *provider.Object, want *schema.Resource) *schema.Domain {
	body := *have.Body.(*schema.Domain)
	body.Interfaces = slices.Clone(body.Interfaces)
	declared := want.Body.(*schema.Domain).Interfaces
	taken := map[string]bool{}
	for i := range body.Interfaces {
		for _, nic := range declared {
			if strings.EqualFold(nic.MAC, body.Interfaces[i].MAC) {
				body.Interfaces[i].Name, taken[nic.Name] = nic.Name, true
			}
		}
	}
	for i := range body.Interfaces {
		if nic := &body.Interfaces[i]; nic.Name == nic.MAC && i < len(declared) && !taken[declared[i].Name] {
			nic.Name = declared[i].Name
		}
	}
	return &body
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
