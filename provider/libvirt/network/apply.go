package network

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"

	"libvirt.org/go/libvirt"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/daemon"
	"github.com/labctl/labctl/schema"
)

// Apply implements provider.Provider.
func (p *Provider) Apply(ctx context.Context, lab string, c provider.Change) error {
	p.turn.Lock()
	defer p.turn.Unlock()
	var err error
	switch c.Action {
	case provider.Create, provider.Update, provider.Restart:
		err = p.converge(ctx, lab, c)
	case provider.Replace:
		if err = p.remove(ctx, lab, c); err == nil {
			err = p.converge(ctx, lab, provider.Change{Addr: c.Addr, Want: c.Want})
		}
	case provider.Delete:
		err = p.remove(ctx, lab, c)
	case provider.Forget:
		err = p.Forget(ctx, lab, *c.Have)
	}
	if known, ok := errors.AsType[*provider.Error](err); ok && known.Addr == (schema.Addr{}) {
		known.Addr = c.Addr
	} else if err != nil && !ok {
		err = &provider.Error{Addr: c.Addr, Err: daemon.Message(err)}
	}
	return err
}

// network runs f on the network with the UUID; one that is not there is ERR_NO_NETWORK.
func (p *Provider) network(uuid string, f func(*libvirt.Network) error) error {
	return p.conn.Use(func(link *libvirt.Connect) error {
		net, err := link.LookupNetworkByUUIDString(uuid)
		if err != nil {
			return err
		}
		defer net.Free() //nolint:errcheck // drops the reference
		return f(net)
	})
}

// one reads one network anew; nil where there is none.
func (p *Provider) one(uuid string) (*provider.Object, error) {
	var o *provider.Object
	err := p.network(uuid, func(net *libvirt.Network) (err error) {
		o, err = object(net)
		return err
	})
	if daemon.Is(err, libvirt.ERR_NO_NETWORK) {
		return nil, nil
	}
	return o, daemon.Failed("read network", err)
}

func uuidOf(lab string, c provider.Change) string {
	if c.Have != nil {
		return c.Have.Aux.(*live).uuid
	}
	return schema.UUID(lab, c.Addr)
}

// converge makes the network as declared, from whatever is there.
func (p *Provider) converge(ctx context.Context, lab string, c provider.Change) error {
	uuid, body := uuidOf(lab, c), c.Want.Body.(*schema.Network)
	if body.Existing {
		return nil
	}
	have, err := p.one(uuid)
	if err != nil {
		return err
	}
	if have != nil && !have.Owned(lab) {
		return foreign(c.Addr, have)
	}
	var list []provider.Detail
	if have != nil {
		list = details(c.Want, have)
	}
	if err := p.define(ctx, lab, uuid, c.Want, have); err != nil {
		return err
	}
	if have != nil && have.Aux.(*live).active {
		if err := p.change(ctx, uuid, have, body, list); err != nil {
			return err
		}
	}
	if err := p.start(ctx, uuid, body); err != nil {
		return err
	}
	return p.verify(c.Want, uuid)
}

// define stores the definition over an old one. libvirt lets the machine-chosen bridge name and MAC of a definition go
// unless they are given again.
func (p *Provider) define(ctx context.Context, lab, uuid string, want *schema.Resource, have *provider.Object) error {
	body := want.Body.(*schema.Network)
	x, err := build(body, uuid, Meta{Mark: provider.MarkOf(lab, want), Declared: body})
	if err != nil {
		return &provider.Error{Op: "build network XML", Err: err}
	}
	if have != nil {
		old := have.Aux.(*live).xml
		x.MAC = old.MAC
		if x.Bridge.Name == "" && old.Bridge != nil {
			x.Bridge.Name = old.Bridge.Name
		}
	}
	if err := provider.Step(ctx, "define"); err != nil {
		return err
	}
	text, err := x.Marshal()
	if err != nil {
		return err
	}
	err = p.conn.Use(func(link *libvirt.Connect) error {
		if have != nil && have.ID != body.Name { // libvirt knows no renaming of networks
			return p.renamed(link, uuid, text, have)
		}
		net, err := link.NetworkDefineXML(text)
		if daemon.Is(err, libvirt.ERR_OPERATION_FAILED) && have == nil {
			if other, asked := link.LookupNetworkByName(body.Name); asked == nil {
				defer other.Free() //nolint:errcheck // drops the reference
				if o, asked := object(other); asked == nil {
					return foreign(want.Addr, o)
				}
			}
		}
		if err != nil {
			return err
		}
		return net.Free()
	})
	return daemon.Failed("define network "+body.Name, err)
}

// renamed gives a network another name: libvirt has no other way than to define it anew, and so the old definition is put
// back where the new one is refused.
func (p *Provider) renamed(link *libvirt.Connect, uuid, text string, have *provider.Object) error {
	old, err := link.LookupNetworkByUUIDString(uuid)
	if err != nil {
		return err
	}
	defer old.Free() //nolint:errcheck // drops the reference
	if active, err := old.IsActive(); err != nil {
		return err
	} else if active {
		if err := old.Destroy(); err != nil {
			return err
		}
		have.Aux.(*live).active = false
	}
	if err := old.Undefine(); err != nil {
		return err
	}
	net, err := link.NetworkDefineXML(text)
	if err == nil {
		return net.Free()
	}
	before, marshal := have.Aux.(*live).xml.Marshal()
	if marshal != nil {
		return errors.Join(err, marshal)
	}
	back, again := link.NetworkDefineXML(before)
	if again != nil {
		return errors.Join(err, again)
	}
	_ = back.Free()
	return err
}

// change brings a running network to its new definition: leases and names in place, the rest by starting it anew.
func (p *Provider) change(ctx context.Context, uuid string, have *provider.Object, body *schema.Network, list []provider.Detail) error {
	if provider.Worst(list) == provider.OnRestart && have.Aux.(*live).active {
		return p.restart(ctx, uuid, have.Aux.(*live).bridge)
	}
	is := have.Body.(*schema.Network)
	if slices.ContainsFunc(list, func(d provider.Detail) bool { return d.Path == "lease" || d.Path == "dns" || d.Path == "dhcp" }) {
		if err := provider.Step(ctx, "change leases and names"); err != nil {
			return err
		}
		return daemon.Failed("change network "+body.Name, p.network(uuid, func(net *libvirt.Network) error {
			return sections(net, is, body)
		}))
	}
	return nil
}

// sections takes out what is no longer declared and puts in what is new, in the running network.
func sections(net *libvirt.Network, is, should *schema.Network) error {
	return errors.Join(
		section(net, libvirt.NETWORK_SECTION_IP_DHCP_RANGE, is.DHCP, should.DHCP, func(r schema.DHCPRange) (string, any) {
			return r.Start, rangeOf(r)
		}, is, should),
		section(net, libvirt.NETWORK_SECTION_IP_DHCP_HOST, is.Leases, should.Leases, func(h schema.DHCPHost) (string, any) {
			return h.IP, dhcpHost(h)
		}, is, should),
		section(net, libvirt.NETWORK_SECTION_DNS_HOST, is.DNS, should.DNS, func(h schema.DNSHost) (string, any) {
			return "", dnsHost(h)
		}, is, should),
	)
}

func section[T any](net *libvirt.Network, which libvirt.NetworkUpdateSection, is, should []T, form func(T) (addr string, element any),
	old, now *schema.Network,
) error {
	text := func(element T) (string, int, string, error) {
		addr, value := form(element)
		out, err := xml.Marshal(value)
		return string(out), parent(now, addr), addr, err
	}
	contains := func(list []T, wanted string) bool {
		return slices.ContainsFunc(list, func(element T) bool {
			xml, _, _, err := text(element)
			return err == nil && xml == wanted
		})
	}
	for _, step := range []struct {
		list, other []T
		command     libvirt.NetworkUpdateCommand
	}{{is, should, libvirt.NETWORK_UPDATE_COMMAND_DELETE}, {should, is, libvirt.NETWORK_UPDATE_COMMAND_ADD_LAST}} {
		for _, element := range step.list {
			xml, index, addr, err := text(element)
			if err != nil {
				return err
			}
			if contains(step.other, xml) {
				continue
			}
			if step.command == libvirt.NETWORK_UPDATE_COMMAND_DELETE {
				index = parent(old, addr)
			}
			if err := net.Update(step.command, which, index, xml, libvirt.NETWORK_UPDATE_AFFECT_LIVE); err != nil {
				return err
			}
		}
	}
	return nil
}

// parent is the place of the host's address in whose subnet addr lies.
func parent(n *schema.Network, addr string) int {
	for i, text := range n.Addresses {
		if prefix, ok := prefixFor(text); ok && contains(prefix, addr) {
			return i
		}
	}
	return -1
}

// restart stops and starts the network, and puts the machines that were on its bridge back on it: libvirt itself leaves
// their taps on no bridge at all.
func (p *Provider) restart(ctx context.Context, uuid, bridge string) error {
	before, err := p.links.Read(ctx)
	if err != nil {
		return err
	}
	if err := provider.Step(ctx, "restart"); err != nil {
		return err
	}
	now := ""
	err = p.network(uuid, func(net *libvirt.Network) error {
		if err := net.Destroy(); err != nil {
			return err
		}
		if err := net.Create(); err != nil {
			return err
		}
		now, err = net.GetBridgeName()
		return err
	})
	if err != nil {
		return daemon.Failed("restart network", err)
	}
	for name, link := range before {
		if link.Master != bridge {
			continue
		}
		if after, err := p.links.Read(ctx); err != nil {
			return err
		} else if _, there := after[name]; !there {
			continue // libvirt's own, gone with the bridge
		}
		if err := p.links.Enslave(ctx, name, now); err != nil {
			return fmt.Errorf("attach %s to %s again: %w", name, now, err)
		}
	}
	return nil
}

func (p *Provider) start(ctx context.Context, uuid string, body *schema.Network) error {
	var active, autostart bool
	err := p.network(uuid, func(net *libvirt.Network) (err error) {
		if active, err = net.IsActive(); err != nil {
			return err
		}
		autostart, err = net.GetAutostart()
		return err
	})
	if err != nil {
		return daemon.Failed("read network "+body.Name, err)
	}
	if autostart != body.Autostart {
		if err := provider.Step(ctx, "set autostart"); err != nil {
			return err
		}
		if err := p.network(uuid, func(net *libvirt.Network) error { return net.SetAutostart(body.Autostart) }); err != nil {
			return daemon.Failed("set autostart of network "+body.Name, err)
		}
	}
	if active {
		return nil
	}
	if err := provider.Step(ctx, "start"); err != nil {
		return err
	}
	return daemon.Failed("start network "+body.Name, p.network(uuid, func(net *libvirt.Network) error { return net.Create() }))
}

// verify reads back.
func (p *Provider) verify(want *schema.Resource, uuid string) error {
	have, err := p.one(uuid)
	if err != nil {
		return err
	}
	if have == nil {
		return errors.New("the network has vanished while it was made")
	}
	var what []error
	for _, d := range details(want, have) {
		what = append(what, fmt.Errorf("%s is %v, not %v", d.Path, d.Old, d.New))
	}
	if what == nil {
		return nil
	}
	return &provider.Error{Op: "read back network " + have.ID, Err: errors.Join(append([]error{provider.ErrIncomplete}, what...)...)}
}

// remove stops and undefines the network.
func (p *Provider) remove(ctx context.Context, lab string, c provider.Change) error {
	uuid := uuidOf(lab, c)
	have, err := p.one(uuid)
	if err != nil || have == nil {
		return err
	}
	if !have.Owned(lab) {
		return foreign(c.Addr, have)
	}
	if have.Aux.(*live).active {
		if err := provider.Step(ctx, "stop"); err != nil {
			return err
		}
		if err := p.network(uuid, func(net *libvirt.Network) error { return net.Destroy() }); err != nil {
			return daemon.Failed("stop network "+have.ID, err)
		}
	}
	if err := provider.Step(ctx, "undefine"); err != nil {
		return err
	}
	err = p.network(uuid, func(net *libvirt.Network) error { return net.Undefine() })
	if daemon.Is(err, libvirt.ERR_NO_NETWORK) {
		return nil
	}
	return daemon.Failed("undefine network "+have.ID, err)
}
