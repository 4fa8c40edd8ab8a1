// Package router reads the nat and nat6 blocks of a machine: what follows from its interfaces and routes, and what does not fit
// together.
package router

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/decode"
	"github.com/labctl/labctl/schema/diag"
	"github.com/labctl/labctl/schema/nat"
)

// Kinds of blocks.
const (
	Block  = "nat"
	Block6 = "nat6"
)

// Complete derives the rest of a declared translation from the machine, and tells what is wrong. The guest's interfaces and
// routes must be known.
func Complete(n *decode.Node, d *schema.NAT, guest *schema.Guest) hcl.Diagnostics {
	if n.Def.Kind == Block6 {
		d.Family = nat.IPv6
	}
	if v, ok := n.Value("mapping_timeout"); ok {
		seconds, _ := v.AsBigFloat().Float64()
		if !n.Has("udp_timeout") {
			d.UDPTimeout = seconds
		}
		if !n.Has("tcp_timeout") {
			d.TCPTimeout = seconds
		}
	}
	d.Type = nat.Resolve(*d).Type
	diags := outside(n, d, guest)
	diags = append(diags, named(n, d, guest)...)
	if diags.HasErrors() {
		return diags
	}
	networks := networks(guest)
	for i := range d.Prefixes {
		if inside, err := netip.ParsePrefix(d.Prefixes[i].Inside); err == nil {
			d.Prefixes[i].Subnets = nat.Subnets(inside, networks)
		}
	}
	for _, problem := range nat.Problems(*d) {
		code := diag.Malformed
		switch {
		case strings.HasSuffix(problem.Message, "already"):
			code = diag.ForwardTwice
		case strings.Contains(problem.Message, "checksum-neutral"):
			code = diag.NotNeutral
		}
		diags = append(diags, diag.In(diag.New(code, n.Find(problem.Path), "The NAT is declared badly", problem.Message+"."), n.DefRange))
	}
	return diags
}

// outside finds the address that peers see.
func outside(n *decode.Node, d *schema.NAT, guest *schema.Guest) (diags hcl.Diagnostics) {
	version, dynamic := "IPv4", "dhcp4 = true"
	if d.Family == nat.IPv6 {
		version, dynamic = "IPv6", "dhcp6 = true, or accept_ra = true"
	}
	for _, iface := range guest.Interfaces {
		if iface.Name != d.Outside {
			continue
		}
		asks := iface.DHCP4
		if d.Family == nat.IPv6 {
			asks = iface.DHCP6 || iface.AcceptRA != nil && *iface.AcceptRA
		}
		d.OutsideAddress = first(iface.Addresses, d.Family == nat.IPv6)
		if d.OutsideAddress == "" && !asks {
			diags = append(diags, diag.In(diag.New(diag.NATInterface, n.At("outside"), fmt.Sprintf("The outside interface %q has no %s address", d.Outside, version),
				fmt.Sprintf("Give it addresses, or %s.", dynamic)), n.DefRange))
		}
	}
	return diags
}

// first is the first address of a version of IP that the world may see.
func first(addresses []string, six bool) string {
	for _, text := range addresses {
		if p, err := netip.ParsePrefix(text); err == nil && p.Addr().Is6() == six && !p.Addr().IsLinkLocalUnicast() {
			return text
		}
	}
	return ""
}

// named checks that the interfaces are there.
func named(n *decode.Node, d *schema.NAT, guest *schema.Guest) (diags hcl.Diagnostics) {
	var names []string
	for _, iface := range guest.Interfaces {
		names = append(names, iface.Name)
	}
	for i, name := range append([]string{d.Outside}, d.Inside...) {
		if slices.Contains(names, name) {
			continue
		}
		path := "outside"
		if i > 0 {
			path = fmt.Sprintf("inside[%d]", i-1)
		}
		diags = append(diags, diag.In(diag.New(diag.NoInterface, n.Find(path), fmt.Sprintf("The machine has no interface %q", name),
			"Its interfaces are: "+strings.Join(names, ", ")+"."), n.DefRange))
	}
	return diags
}

// networks are those that the machine knows a way to, itself included.
func networks(guest *schema.Guest) (all []netip.Prefix) {
	for _, iface := range guest.Interfaces {
		for _, text := range iface.Addresses {
			if p, err := netip.ParsePrefix(text); err == nil {
				all = append(all, p)
			}
		}
	}
	for _, route := range guest.Routes {
		if p, err := netip.ParsePrefix(route.To); err == nil {
			all = append(all, p)
		}
	}
	return all
}
