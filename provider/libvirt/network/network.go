// Package network makes, changes and removes libvirt's own virtual networks: a bridge with its addresses, NAT or routing,
// and a dnsmasq(8) that serves leases and names.
package network

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/daemon"
	"github.com/labctl/labctl/provider/libvirt/metadata"
	"github.com/labctl/labctl/provider/libvirt/tap"
	"github.com/labctl/labctl/schema"
)

// Provider serves resources of type "network".
type Provider struct {
	conn  *daemon.Conn
	links tap.Links
	// turn is held while a network is made or changed: libvirt gives two that are defined at once the same bridge.
	turn sync.Mutex
}

// New is a provider over a connection; links are those of the machine that the daemon runs on.
func New(conn *daemon.Conn, links tap.Links) *Provider { return &Provider{conn: conn, links: links} }

// live is the provider's own knowledge of a network.
type live struct {
	uuid    string
	active  bool
	bridge  string
	xml     *libvirtxml.Network
	meta    Meta
	foreign bool // the lab that was read for does not own it
}

// Read implements provider.Provider.
func (p *Provider) Read(_ context.Context, lab string, want []schema.Resource) ([]provider.Object, error) {
	wanted := map[string]schema.Addr{}
	for _, r := range want {
		if n, ok := r.Body.(*schema.Network); ok {
			wanted[n.Name] = r.Addr
		}
	}
	all, err := p.list()
	if err != nil {
		return nil, err
	}
	var out []provider.Object
	for _, o := range all {
		if !o.Owned(lab) {
			addr, collides := wanted[o.ID]
			if !collides {
				continue
			}
			o.Addr, o.Aux.(*live).foreign = addr, true
		}
		out = append(out, o)
	}
	return out, nil
}

// List implements provider.Lister.
func (p *Provider) List(context.Context) ([]provider.Object, error) { return p.list() }

func (p *Provider) list() ([]provider.Object, error) {
	var out []provider.Object
	err := p.conn.Use(func(link *libvirt.Connect) error {
		out = nil
		all, err := link.ListAllNetworks(0)
		if err != nil {
			return err
		}
		for i := range all {
			o, err := object(&all[i])
			_ = all[i].Free()
			if daemon.Is(err, libvirt.ERR_NO_NETWORK) {
				continue // it has vanished meanwhile
			}
			if err != nil {
				return err
			}
			out = append(out, *o)
		}
		return nil
	})
	if err != nil && !errors.Is(err, provider.ErrUnreachable) {
		err = &provider.Error{Op: "read the networks of " + p.conn.URI(), Err: errors.Join(provider.ErrUnreachable, daemon.Message(err))}
	}
	return out, err
}

// definition is the network's inactive XML; libvirt's test driver has only one.
func definition(net *libvirt.Network) (string, error) {
	text, err := net.GetXMLDesc(libvirt.NETWORK_XML_INACTIVE)
	if daemon.Is(err, libvirt.ERR_INVALID_ARG) {
		return net.GetXMLDesc(0)
	}
	return text, err
}

// object is one network as the contract has it.
func object(net *libvirt.Network) (*provider.Object, error) {
	text, err := definition(net)
	if err != nil {
		return nil, err
	}
	l := &live{xml: new(libvirtxml.Network)}
	if err := l.xml.Unmarshal(text); err != nil {
		return nil, err
	}
	l.uuid = l.xml.UUID
	if l.xml.Bridge != nil {
		l.bridge = l.xml.Bridge.Name
	}
	if l.active, err = net.IsActive(); err != nil {
		return nil, err
	}
	o := &provider.Object{ID: l.xml.Name, Aux: l}
	if l.xml.Metadata != nil {
		meta, _, ok, err := metadata.Parse[schema.Network](l.xml.Metadata.XML)
		if err != nil {
			return nil, err
		}
		if ok {
			l.meta = meta
			o.Mark, o.Addr, o.Deps = meta.Mark, meta.Mark.Addr, meta.Mark.Deps
		}
	}
	body := read(l.xml, l.meta.Declared)
	if l.active {
		if text, err = net.GetXMLDesc(0); err != nil {
			return nil, err
		}
		running := new(libvirtxml.Network)
		if err := running.Unmarshal(text); err != nil {
			return nil, err
		}
		overlay(body, read(running, l.meta.Declared), l.meta.Declared)
	}
	if body.Autostart, err = net.GetAutostart(); err != nil {
		return nil, err
	}
	o.Body = body
	return o, nil
}

// overlay puts on the body, which is the definition's, what differs in the running network from what was declared.
func overlay(body, running, declared *schema.Network) {
	if declared == nil {
		return
	}
	shown, is, should := reflect.ValueOf(body).Elem(), reflect.ValueOf(running).Elem(), reflect.ValueOf(declared).Elem()
	for i := range shown.NumField() {
		if shown.Type().Field(i).Name != "Autostart" && !reflect.DeepEqual(is.Field(i).Interface(), should.Field(i).Interface()) {
			shown.Field(i).Set(is.Field(i))
		}
	}
}

// Plan implements provider.Provider.
func (p *Provider) Plan(want *schema.Resource, have *provider.Object) (provider.Change, error) {
	switch {
	case want == nil && have == nil:
		return provider.Change{Action: provider.NoOp}, nil
	case want == nil:
		if isForeign(have) {
			return provider.Change{}, foreign(have.Addr, have)
		}
		return provider.Change{Addr: have.Addr, Action: provider.Delete, Have: have}, nil
	}
	body := want.Body.(*schema.Network)
	if body.Existing {
		return existing(want, have)
	}
	if have == nil {
		return provider.Change{Addr: want.Addr, Action: provider.Create, Want: want}, nil
	}
	if isForeign(have) {
		return provider.Change{}, foreign(want.Addr, have)
	}
	c := provider.Change{Addr: want.Addr, Action: provider.NoOp, Want: want, Have: have, Details: details(want, have)}
	switch {
	case len(c.Details) > 0 && provider.Worst(c.Details) == provider.OnRestart:
		c.Action, c.Why = provider.Restart, "the network is stopped and started; machines on it are cut off for a moment"
	case len(c.Details) > 0:
		c.Action = provider.Update
	case have.Mark.Incomplete:
		c.Action, c.Why = provider.Update, "an earlier apply did not finish it"
	}
	return c, nil
}

// existing plans for a network that is only referred to.
func existing(want *schema.Resource, have *provider.Object) (provider.Change, error) {
	name := want.Body.(*schema.Network).Name
	refuse := func(text, hint string) error {
		return &provider.Error{Op: "plan", Addr: want.Addr, Err: errors.New(text), Hint: hint}
	}
	if have == nil {
		return provider.Change{}, refuse("there is no network "+name+" on this host",
			"virsh net-list --all lists those there are; without existing = true labctl makes it")
	}
	if !have.Aux.(*live).active {
		return provider.Change{}, refuse("the network "+name+" is not active", "virsh net-start "+name)
	}
	return provider.Change{Addr: want.Addr, Action: provider.NoOp, Want: want, Have: have}, nil
}

func isForeign(have *provider.Object) bool {
	l, ok := have.Aux.(*live)
	return have.Mark.Lab == "" || ok && l.foreign
}

func foreign(addr schema.Addr, have *provider.Object) error {
	who := "it is there and labctl did not make it"
	if have.Mark.Lab != "" {
		who = fmt.Sprintf("lab %s made it as %s", have.Mark.Lab, have.Mark.Addr)
	}
	return &provider.Error{
		Op: "plan", Addr: addr, Path: "name", Err: fmt.Errorf("the network %q %w: %s", have.ID, provider.ErrForeign, who),
		Hint: "give the network another name, or say existing = true to use it as it is",
	}
}

// details are the differences. Leases and names change live; everything else is fixed while the network runs.
func details(want *schema.Resource, have *provider.Object) []provider.Detail {
	l := have.Aux.(*live)
	list := provider.Diff(have.Body, want.Body)
	for i := range list {
		list[i].Effect = provider.Live
		switch path := list[i].Path; {
		case path == "autostart", path == "lease", path == "dns", path == "dhcp":
		case !l.active:
		default:
			list[i].Effect, list[i].Why = provider.OnRestart, "libvirt changes it only by starting the network anew"
		}
	}
	add := func(path string, is, should any) {
		list = append(list, provider.Detail{Path: path, Old: is, New: should, Effect: provider.Live})
	}
	if !l.active {
		add("running", false, true)
	}
	if have.Mark.Addr != want.Addr {
		add("address", have.Mark.Addr.String(), want.Addr.String())
	}
	if have.Mark.PreventDestroy != want.Lifecycle.PreventDestroy {
		add("lifecycle.prevent_destroy", have.Mark.PreventDestroy, want.Lifecycle.PreventDestroy)
	}
	if is, should := names(have.Mark.Deps), names(want.Deps); !slices.Equal(is, should) {
		add("depends_on", is, should)
	}
	return list
}

func names(list []schema.Addr) []string {
	out := make([]string, 0, len(list))
	for _, addr := range list {
		out = append(out, addr.String())
	}
	slices.Sort(out)
	return slices.Compact(out)
}
