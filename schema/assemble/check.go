package assemble

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/decode"
	"github.com/labctl/labctl/schema/diag"
	"github.com/labctl/labctl/schema/nat"
	"github.com/labctl/labctl/schema/ruleset"
)

// checks makes the lab's checks, when all machines are known.
func (a *Assembler) checks() ([]schema.Check, hcl.Diagnostics) {
	var out []schema.Check
	var diags hcl.Diagnostics
	for _, b := range a.byKind["check"] {
		if b.node.Failed {
			continue
		}
		c := &checker{a: a, n: b.node, check: schema.Check{Addr: b.addr, Pos: ruleset.Pos(b.node.DefRange)}}
		c.read()
		diags = append(diags, diag.At(b.addr.String(), c.diags)...)
		if !c.diags.HasErrors() && !c.failed {
			out = append(out, c.check)
		}
	}
	return out, diags
}

// checker reads one check block.
type checker struct {
	a      *Assembler
	n      *decode.Node
	check  schema.Check
	diags  hcl.Diagnostics
	failed bool // it refers to a block that is in error
}

func (c *checker) read() {
	c.a.reader.Fill(c.n, &c.check)
	c.check.Sensitive = len(c.n.SensitivePaths()) > 0
	var probes []*decode.Node
	for _, child := range c.n.Nodes {
		if child.Def.Kind != "lifecycle" {
			probes = append(probes, child)
		}
	}
	switch {
	case len(probes) == 0:
		_, kinds := c.n.Def.Names()
		c.diags = append(c.diags, diag.New(diag.WrongCount, c.n.DefRange, "The check has no probe", "Give it one of: "+strings.Join(kinds, ", ")+"."))
		return
	case len(probes) > 1:
		c.diags = append(c.diags, diag.New(diag.WrongCount, probes[1].DefRange, "A check has one probe", "Make another check block of this one."))
		return
	}
	p := probes[0]
	switch {
	case c.check.Ping != nil:
		c.check.Ping.From, c.check.Ping.To = c.machine(p, "from"), c.endpoint(p, "to")
	case c.check.TCP != nil:
		c.port(p, c.check.TCP)
	case c.check.UDP != nil:
		c.port(p, c.check.UDP)
	case c.check.HolePunch != nil:
		c.holePunch(p)
	case c.check.NAT != nil:
		c.check.NAT.Router = c.machine(p, "vm")
		c.check.NAT.Client, c.check.NAT.Server = c.optional(p, "client"), c.optional(p, "server")
	case c.check.Exec != nil:
		c.check.Exec.VM = c.machine(p, "vm")
		if _, err := regexp.Compile(c.check.Exec.ExpectOutput); err != nil {
			c.diags = append(c.diags, diag.New(diag.Malformed, p.At("expect_output"), "expect_output is no regular expression", err.Error()))
		}
	case c.check.Route != nil:
		c.check.Route.VM = c.machine(p, "vm")
	case c.check.Throughput != nil:
		c.check.Throughput.From, c.check.Throughput.To = c.machine(p, "from"), c.machine(p, "to")
	}
}

func (c *checker) port(p *decode.Node, check *schema.PortCheck) {
	check.From, check.To = c.machine(p, "from"), c.endpoint(p, "to")
	if v, ok := p.Value("port"); ok {
		n, _ := v.AsBigFloat().Int64()
		check.To.Port = int(n)
	}
	if check.To.Port == 0 && !c.failed && !c.diags.HasErrors() {
		c.diags = append(c.diags, diag.New(diag.MissingArgument, p.DefRange, "The port is missing", "Give port, or to = { vm = vm.NAME, port = NUMBER }."))
	}
}

func (c *checker) holePunch(p *decode.Node) {
	h := c.check.HolePunch
	for name, peer := range map[string]*schema.PunchPeer{"a": &h.A, "b": &h.B} {
		peer.Endpoint = c.machine(p, name)
		b := c.a.byAddr[peer.VM]
		if b == nil {
			continue
		}
		if own, ok := b.node.Value("ip"); ok && !hasAddress(b, peer.Address) {
			peer.Outside, peer.Address = peer.Address, own.AsString()
		} else {
			peer.Outside = c.a.outsideOf(b, peer.Address)
		}
	}
	if p.Has("via") {
		via := c.endpoint(p, "via")
		h.Via = &via
	}
}

// hasAddress reports whether an address is one of the machine's own.
func hasAddress(b *block, address string) bool {
	for _, i := range b.guest.Interfaces {
		for _, a := range i.Addresses {
			if bare(a) == address {
				return true
			}
		}
	}
	return false
}

// machine is an endpoint that must be a vm.
func (c *checker) machine(p *decode.Node, name string) schema.Endpoint {
	e := c.endpoint(p, name)
	if e.VM == (schema.Addr{}) && !c.failed && !c.diags.HasErrors() {
		c.diags = append(c.diags, diag.New(diag.WrongRef, p.At(name), fmt.Sprintf("%q takes a vm", name), "labctl sends from machines of the lab. Write vm.NAME."))
	}
	return e
}

func (c *checker) optional(p *decode.Node, name string) schema.Endpoint {
	if !p.Has(name) {
		return schema.Endpoint{}
	}
	return c.machine(p, name)
}

// endpoint reads a vm, an address, or { vm, address, port }.
func (c *checker) endpoint(p *decode.Node, name string) schema.Endpoint {
	v, ok := p.Value(name)
	if !ok {
		c.failed = true
		return schema.Endpoint{}
	}
	ty := v.Type()
	if ty.IsObjectType() && !ty.HasAttribute("id") {
		if _, several := instanceKey(v.Value, "vm"); !several {
			return c.composite(v)
		}
	}
	return c.simple(v.Value, v.Place())
}

func (c *checker) simple(v cty.Value, at hcl.Range) schema.Endpoint {
	ref, d := c.a.refer(v, "vm", at)
	switch {
	case d != nil:
		c.diags = append(c.diags, d)
	case ref == nil:
		c.failed = true
	case ref.block == nil:
		if _, err := netip.ParseAddr(ref.name); err != nil {
			c.diags = append(c.diags, diag.New(diag.Malformed, at, fmt.Sprintf("%q is neither a vm nor an address", ref.name), "Write vm.NAME, or an address without prefix length."))
		}
		return schema.Endpoint{Address: ref.name}
	default:
		b := ref.block
		e := schema.Endpoint{VM: b.addr, Domain: b.domain.Name}
		if ip, ok := b.node.Value("ip"); ok {
			e.Address = ip.AsString()
		}
		return e
	}
	return schema.Endpoint{}
}

func (c *checker) composite(v decode.Value) schema.Endpoint {
	var e schema.Endpoint
	members := v.AsValueMap()
	known := []string{"vm", "address", "port"}
	for name := range members {
		if name != "vm" && name != "address" && name != "port" {
			c.diags = append(c.diags, diag.New(diag.UnknownArgument, v.Place(), fmt.Sprintf("An endpoint has no %q", name), "It has: "+strings.Join(known, ", ")+"."))
		}
	}
	if vm, ok := members["vm"]; ok && !vm.IsNull() {
		e = c.simple(vm, v.Place())
	}
	if address, ok := members["address"]; ok && !address.IsNull() {
		if address.Type() != cty.String {
			c.diags = append(c.diags, diag.New(diag.WrongType, v.Place(), "The endpoint's address is not text", "Write it as \"192.168.111.1\"."))
		} else {
			e.Address = address.AsString()
		}
	}
	if port, ok := members["port"]; ok && !port.IsNull() {
		n := int64(0)
		if port.Type() == cty.Number {
			n, _ = port.AsBigFloat().Int64()
		}
		if n < 1 || n > 65535 {
			c.diags = append(c.diags, diag.New(diag.OutOfRange, v.Place(), "The endpoint's port is not a port", "Ports are numbers from 1 to 65535."))
		}
		e.Port = int(n)
	}
	return e
}

// outsideOf is the address that peers of a machine send to: what the outermost NAT router on its way out makes of it, or its own.
func (a *Assembler) outsideOf(b *block, own string) string {
	address, err := netip.ParseAddr(own)
	if err != nil {
		return own
	}
	six, seen := address.Is6(), map[*block]bool{}
	for b != nil && !seen[b] {
		seen[b] = true
		if b = a.gatewayOf(b, six); b == nil {
			break
		}
		translation := b.guest.NAT
		if six {
			translation = b.guest.NAT6
		}
		if translation == nil {
			continue
		}
		if outside := nat.SeenAs(*translation, address); outside.IsValid() {
			address = outside
		}
	}
	return address.String()
}

// gatewayOf is the machine of the lab that is a machine's default gateway, of IPv6 or IPv4, or nil.
func (a *Assembler) gatewayOf(b *block, six bool) *block {
	to := "default"
	if six {
		to = "default6"
	}
	if a.gateways == nil {
		a.gateways = make(map[string]*block)
		for _, other := range a.byKind["vm"] {
			if other.node.Failed {
				continue
			}
			for i, iface := range other.guest.Interfaces {
				for _, address := range iface.Addresses {
					a.gateways[segment(other, i)+" "+bare(address)] = other
				}
			}
		}
	}
	for _, route := range b.guest.Routes {
		if route.To != to || route.Via == "" {
			continue
		}
		for i := range b.guest.Interfaces {
			if gw := a.gateways[segment(b, i)+" "+route.Via]; gw != nil && b.guest.Interfaces[i].Name == route.Interface {
				return gw
			}
		}
	}
	return nil
}

// segment is what a machine's interface is plugged into.
func segment(b *block, i int) string {
	nic := b.domain.Interfaces[i]
	return b.host + "/" + nic.Bridge + "/" + nic.Network
}
