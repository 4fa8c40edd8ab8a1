package network

import (
	"context"
	"errors"
	"net/netip"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/daemon"
	"github.com/labctl/labctl/provider/libvirt/metadata"
	"github.com/labctl/labctl/schema"
)

// Forget implements provider.Forgetter.
func (p *Provider) Forget(ctx context.Context, lab string, have provider.Object) error {
	if !have.Owned(lab) {
		return foreign(have.Addr, &have)
	}
	return p.remark(ctx, have.Aux.(*live).uuid, "")
}

// Import implements provider.Importer.
func (p *Provider) Import(ctx context.Context, lab string, want schema.Resource, id string) error {
	all, err := p.list()
	if err != nil {
		return err
	}
	for _, o := range all {
		if o.ID != id {
			continue
		}
		if o.Mark.Lab != "" && !o.Owned(lab) {
			return foreign(want.Addr, &o)
		}
		mark, err := Meta{Mark: provider.MarkOf(lab, &want), Declared: o.Body.(*schema.Network)}.XML()
		if err != nil {
			return err
		}
		return p.remark(ctx, o.Aux.(*live).uuid, mark)
	}
	return &provider.Error{Op: "import", Addr: want.Addr, Err: errors.New("there is no network " + id)}
}

// remark defines the network with another mark and all else as it is: libvirt before 9.7 has no call for the mark alone.
func (p *Provider) remark(ctx context.Context, uuid, mark string) error {
	if err := provider.Step(ctx, "mark"); err != nil {
		return err
	}
	return daemon.Failed("mark network", p.conn.Use(func(link *libvirt.Connect) error {
		net, err := link.LookupNetworkByUUIDString(uuid)
		if err != nil {
			return err
		}
		defer net.Free() //nolint:errcheck // drops the reference
		text, err := definition(net)
		if err != nil {
			return err
		}
		x := new(libvirtxml.Network)
		if err := x.Unmarshal(text); err != nil {
			return err
		}
		rest := ""
		if x.Metadata != nil {
			if _, rest, _, err = metadata.Parse[schema.Network](x.Metadata.XML); err != nil {
				return err
			}
		}
		x.Metadata = nil
		if mark+rest != "" {
			x.Metadata = &libvirtxml.NetworkMetadata{XML: mark + rest}
		}
		if text, err = x.Marshal(); err != nil {
			return err
		}
		again, err := link.NetworkDefineXML(text)
		if err != nil {
			return err
		}
		return again.Free()
	}))
}

func prefixFor(text string) (netip.Prefix, bool) {
	prefix, err := netip.ParsePrefix(text)
	return prefix, err == nil
}

func rangeOf(r schema.DHCPRange) libvirtxml.NetworkDHCPRange {
	return libvirtxml.NetworkDHCPRange{Start: r.Start, End: r.End}
}
