// Package semantic checks a whole lab: what is wrong though every block by itself is right.
package semantic

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/diag"
)

// Ranger tells where an attribute of a resource stands in the lab's files.
type Ranger func(addr schema.Addr, path string) hcl.Range

// Check tells what is wrong with a lab, errors and warnings. Each has a code of package diag.
func Check(lab *schema.Lab, at Ranger) hcl.Diagnostics {
	c := newChecker(lab, at)
	c.names()
	c.addresses()
	c.macs()
	c.overlaps()
	c.hosts()
	c.forwarding()
	c.routers()
	c.impairments()
	c.gateways()
	c.defaults()
	c.ports(lab.Checks)
	c.natChecks(lab.Checks)
	c.neighbours()
	return c.diags
}

// machine is both halves of a vm.
type machine struct {
	addr   schema.Addr
	host   string
	domain *schema.Domain
	guest  *schema.Guest
}

// segment is what a machine's interface is plugged into: one broadcast domain.
func (m *machine) segment(i int) string {
	nic := m.domain.Interfaces[i]
	if nic.Bridge != "" {
		return m.host + "/bridge " + nic.Bridge
	}
	return m.host + "/network " + nic.Network
}

type bridge struct {
	addr schema.Addr
	host string
	body *schema.Bridge
}

func (b *bridge) segment() string { return b.host + "/bridge " + b.body.Name }

type checker struct {
	at       Ranger
	lab      *schema.Lab
	hostOf   map[schema.Addr]string
	machines []*machine
	bridges  []*bridge
	holders  map[string]holder // by segment and address
	diags    hcl.Diagnostics
}

// holder is who has an address on a segment.
type holder struct {
	addr    schema.Addr
	path    string
	machine *machine // nil for a bridge: the host
}

func newChecker(lab *schema.Lab, at Ranger) *checker {
	c := &checker{at: at, lab: lab, hostOf: make(map[schema.Addr]string), holders: make(map[string]holder)}
	guests := make(map[schema.Addr]*schema.Guest)
	for _, r := range lab.Resources {
		c.hostOf[r.Addr] = r.Host
		if g, ok := r.Body.(*schema.Guest); ok {
			guests[r.Addr.Whole()] = g
		}
	}
	for _, r := range lab.Resources {
		switch body := r.Body.(type) {
		case *schema.Bridge:
			c.bridges = append(c.bridges, &bridge{addr: r.Addr, host: r.Host, body: body})
		case *schema.Domain:
			if g := guests[r.Addr]; g != nil && len(g.Interfaces) == len(body.Interfaces) {
				c.machines = append(c.machines, &machine{addr: r.Addr, host: r.Host, domain: body, guest: g})
			}
		}
	}
	return c
}

func (c *checker) add(d *hcl.Diagnostic, addr schema.Addr) {
	c.diags = append(c.diags, diag.At(addr.String(), hcl.Diagnostics{d})...)
}

// place writes where a thing is declared.
func (c *checker) place(addr schema.Addr, path string) string {
	r := c.at(addr, path)
	if r.Filename == "" {
		return addr.String()
	}
	return fmt.Sprintf("%s (%s:%d)", addr, r.Filename, r.Start.Line)
}

// names: a host tells its domains, bridges and networks apart by name alone.
func (c *checker) names() {
	seen := make(map[string]schema.Addr)
	for _, r := range c.lab.Resources {
		var what, name string
		switch body := r.Body.(type) {
		case *schema.Domain:
			what, name = "machine", body.Name
		case *schema.Bridge:
			what, name = "bridge", body.Name
		case *schema.Network:
			what, name = "network", body.Name
		default:
			continue
		}
		key := r.Host + "\x00" + what + "\x00" + name
		first, taken := seen[key]
		if !taken {
			seen[key] = r.Addr
			continue
		}
		detail := fmt.Sprintf("The other is %s. Give one of them another name.", c.place(first, "name"))
		if first.Block() == r.Addr.Block() {
			detail = fmt.Sprintf("Both are instances of %s. Make name differ, as with ${each.key} in it.", first.Block())
		}
		c.add(diag.New(diag.DuplicateName, c.at(r.Addr, "name"), fmt.Sprintf("Two %ss have the name %q", what, name), detail), r.Addr)
	}
}

// addresses: each is used once on a segment, and is one that a host can have.
func (c *checker) addresses() {
	for _, b := range c.bridges {
		for i, text := range b.body.Addresses {
			c.address(b.segment(), text, holder{addr: b.addr, path: fmt.Sprintf("addresses[%d]", i)})
		}
	}
	for _, m := range c.machines {
		for i, iface := range m.guest.Interfaces {
			for j, text := range iface.Addresses {
				c.address(m.segment(i), text, holder{addr: m.addr, path: fmt.Sprintf("interface.%s.addresses[%d]", iface.Name, j), machine: m})
			}
		}
	}
}

func (c *checker) address(segment, text string, h holder) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return
	}
	if what := unusable(prefix); what != "" {
		c.add(diag.New(diag.NotAHostAddress, c.at(h.addr, h.path), fmt.Sprintf("%s is no address for a host", prefix),
			fmt.Sprintf("It is %s of %s.", what, prefix.Masked())), h.addr)
	}
	key := segment + " " + prefix.Addr().String()
	first, taken := c.holders[key]
	if !taken {
		c.holders[key] = h
		return
	}
	_, where, _ := strings.Cut(segment, "/")
	c.add(diag.New(diag.DuplicateAddress, c.at(h.addr, h.path), fmt.Sprintf("The address %s is used twice on the %s", prefix.Addr(), where),
		fmt.Sprintf("%s has it too. Whichever of both answers first would win.", c.place(first.addr, first.path))), h.addr)
}

// unusable says what a prefix's address is, if not a host's.
func unusable(p netip.Prefix) string {
	addr := p.Addr()
	switch {
	case addr.IsUnspecified():
		return "the unspecified address"
	case addr.IsMulticast():
		return "a multicast address"
	case !addr.Is4() || p.Bits() >= 31:
		return ""
	case addr == p.Masked().Addr():
		return "the address of the subnet itself: the first"
	}
	bytes := p.Masked().Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		bytes[bit/8] |= 1 << (7 - bit%8)
	}
	if addr == netip.AddrFrom4(bytes) {
		return "the broadcast address: the last"
	}
	return ""
}

// macs: a bridge learns by them, so each is there once.
func (c *checker) macs() {
	seen := make(map[string]holder)
	note := func(segment, mac string, h holder) {
		key := segment + " " + strings.ToLower(mac)
		first, taken := seen[key]
		if !taken {
			seen[key] = h
			return
		}
		c.add(diag.New(diag.DuplicateMAC, c.at(h.addr, h.path), fmt.Sprintf("The MAC address %s is used twice", mac),
			fmt.Sprintf("%s has it too. Leave mac out, and each interface gets one of its own.", c.place(first.addr, first.path))), h.addr)
	}
	for _, b := range c.bridges {
		if b.body.MAC != "" {
			note(b.segment(), b.body.MAC, holder{addr: b.addr, path: "mac"})
		}
	}
	for _, m := range c.machines {
		for i, nic := range m.domain.Interfaces {
			note(m.segment(i), nic.MAC, holder{addr: m.addr, path: "interface." + nic.Name + ".mac"})
		}
	}
}

// overlaps: a host reaches a subnet through one interface only.
func (c *checker) overlaps() {
	type subnet struct {
		prefix netip.Prefix
		bridge *bridge
		path   string
	}
	var all []subnet
	for _, b := range c.bridges {
		for i, text := range b.body.Addresses {
			if p, err := netip.ParsePrefix(text); err == nil && !p.Addr().IsLinkLocalUnicast() {
				all = append(all, subnet{prefix: p.Masked(), bridge: b, path: fmt.Sprintf("addresses[%d]", i)})
			}
		}
	}
	// Sorted, a subnet that contains others stands right before them.
	slices.SortStableFunc(all, func(a, b subnet) int {
		if a.bridge.host != b.bridge.host {
			return strings.Compare(a.bridge.host, b.bridge.host)
		}
		return a.prefix.Compare(b.prefix)
	})
	var open []subnet
	for _, s := range all {
		for len(open) > 0 && (open[len(open)-1].bridge.host != s.bridge.host || !open[len(open)-1].prefix.Overlaps(s.prefix)) {
			open = open[:len(open)-1]
		}
		for _, other := range open {
			if other.bridge != s.bridge {
				c.add(diag.New(diag.Overlap, c.at(s.bridge.addr, s.path), fmt.Sprintf("The subnet %s overlaps that of another bridge", s.prefix),
					fmt.Sprintf("%s has %s. The host would send to one of the two only.", c.place(other.bridge.addr, other.path), other.prefix)), s.bridge.addr)
				break
			}
		}
		open = append(open, s)
	}
}

// hosts: a machine uses what is on its own host.
func (c *checker) hosts() {
	for _, r := range c.lab.Resources {
		if r.Addr.Type() != "vm" {
			continue
		}
		for _, dep := range r.Deps {
			host, known := c.hostOf[dep]
			if !known || host == r.Host || dep.Kind != "bridge" && dep.Kind != "image" && dep.Kind != "network" {
				continue
			}
			c.add(diag.New(diag.OtherHost, c.at(r.Addr, "host"), fmt.Sprintf("%s is on host %q, and %s on host %q", r.Addr, r.Host, dep, host),
				"A machine uses bridges, networks and images of its own host. Declare another for this host."), r.Addr)
		}
	}
}
