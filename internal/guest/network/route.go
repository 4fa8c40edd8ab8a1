package network

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/labctl/labctl/internal/guest/note"
	"github.com/labctl/labctl/schema"
)

// routeTypes are the routes that lead nowhere, by the language's word.
var routeTypes = map[string]int{"": unix.RTN_UNICAST, "unicast": unix.RTN_UNICAST, "blackhole": unix.RTN_BLACKHOLE,
	"unreachable": unix.RTN_UNREACHABLE, "prohibit": unix.RTN_PROHIBIT}

// path is a route in the kernel's terms. Two of one key cannot be there at once; value is what may differ.
type path struct {
	key   pathKey
	value pathValue
}

type pathKey struct {
	to     netip.Prefix
	table  int
	metric int
}

type pathValue struct {
	via    netip.Addr
	link   int // index; 0 for a route that leads nowhere
	source netip.Addr
	onLink bool
	kind   int
	many   bool // several next hops, which a lab cannot declare
}

// ipv6Metric is what the kernel takes for no metric in an IPv6 route (IP6_RT_PRIO_USER).
const ipv6Metric = 1024

func allRoutes() ([]netlink.Route, error) {
	var out []netlink.Route
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		filter := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
		routes, err := whole(func() ([]netlink.Route, error) {
			return netlink.RouteListFiltered(family, filter, netlink.RT_FILTER_TABLE)
		})
		if err != nil && family == netlink.FAMILY_V4 {
			return nil, fmt.Errorf("list routes: %w", err)
		}
		out = append(out, routes...) // a kernel without IPv6 has none of that family
	}
	return out, nil
}

func destination(r netlink.Route) netip.Prefix {
	if r.Dst == nil {
		if r.Family == netlink.FAMILY_V6 {
			return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	ip, _ := netip.AddrFromSlice(r.Dst.IP)
	ones, bits := r.Dst.Mask.Size()
	if bits == 32 {
		ip = ip.Unmap()
	}
	return netip.PrefixFrom(ip, ones)
}

func pathOf(r netlink.Route) path {
	p := path{key: pathKey{to: destination(r), table: r.Table, metric: r.Priority}}
	p.value = pathValue{kind: r.Type, many: len(r.MultiPath) > 0}
	if r.Type != unix.RTN_UNICAST {
		return p
	}
	p.value.link, p.value.onLink = r.LinkIndex, r.Flags&int(netlink.FLAG_ONLINK) != 0
	if via, ok := netip.AddrFromSlice(r.Gw); ok {
		p.value.via = via.Unmap()
	}
	if via, ok := r.Via.(*netlink.Via); ok {
		p.value.via, _ = netip.AddrFromSlice(via.Addr)
	}
	if source, ok := netip.AddrFromSlice(r.Src); ok {
		p.value.source = source.Unmap()
	}
	return p
}

// pathOfWant is what the kernel will show for a declared route.
func (n *Network) pathOfWant(r schema.Route, links map[string]int) (path, error) {
	p := path{key: pathKey{table: r.Table, metric: r.Metric}}
	kind, ok := routeTypes[r.Type]
	if !ok {
		return p, note.Refuse("%q is no type of route", r.Type)
	}
	p.value.kind = kind
	var err error
	if r.Via != "" {
		if p.value.via, err = netip.ParseAddr(r.Via); err != nil {
			return p, note.Refuse("via: %q is no address", r.Via)
		}
	}
	if p.key.to, err = target(r, p.value.via); err != nil {
		return p, err
	}
	if p.key.table == 0 {
		p.key.table = unix.RT_TABLE_MAIN
	}
	if p.key.metric == 0 && p.key.to.Addr().Is6() {
		p.key.metric = ipv6Metric
	}
	if r.Source != "" {
		if p.value.source, err = netip.ParseAddr(r.Source); err != nil {
			return p, note.Refuse("source: %q is no address", r.Source)
		}
	}
	if kind != unix.RTN_UNICAST {
		return p, nil
	}
	out, err := n.way(r, p.value.via)
	if err != nil {
		return p, err
	}
	// Without the route to its own subnet the kernel takes a gateway there only on the word of the caller.
	p.value.onLink = p.value.via.IsValid() && (r.OnLink || !out.ConnectedRoute && covers(out, p.value.via))
	if p.value.link, ok = links[out.Name]; !ok {
		return p, fmt.Errorf("the interface %s is not there", out.Name)
	}
	return p, nil
}

func target(r schema.Route, via netip.Addr) (netip.Prefix, error) {
	switch {
	case r.To == "default6" || r.To == "default" && via.Is6():
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0), nil
	case r.To == "default":
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0), nil
	}
	if ip, err := netip.ParseAddr(r.To); err == nil {
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(r.To)
	if err != nil {
		return prefix, note.Refuse("%q is neither default, default6 nor a prefix", r.To)
	}
	return prefix.Masked(), nil
}

// way is the interface that a route leaves by: the declared one, else the one in whose subnet the gateway is, else the only
// one.
func (n *Network) way(r schema.Route, via netip.Addr) (schema.GuestInterface, error) {
	for _, i := range n.Want.Interfaces {
		if i.Name == r.Interface || r.Interface == "" && via.IsValid() && covers(i, via) {
			return i, nil
		}
	}
	switch {
	case r.Interface != "": // one that the lab does not configure
		return schema.GuestInterface{Name: r.Interface, ConnectedRoute: true}, nil
	case len(n.Want.Interfaces) == 1:
		return n.Want.Interfaces[0], nil
	}
	return schema.GuestInterface{}, note.Refuse("no interface has an address in the subnet of %s: name the interface", r.Via)
}

func covers(i schema.GuestInterface, ip netip.Addr) bool {
	for prefix := range prefixes(i.Addresses) {
		if prefix.Contains(ip) {
			return true
		}
	}
	return false
}

// owned reports whether a route is the lab's to keep or remove: one that somebody has set, and not the kernel or a daemon,
// on a declared interface, or leading nowhere in a table that the lab uses. leases are the interfaces on which scripts set routes.
func (n *Network) owned(r netlink.Route, declared, leases map[int]bool) bool {
	if r.Protocol != unix.RTPROT_STATIC && r.Protocol != unix.RTPROT_BOOT || r.Table == unix.RT_TABLE_LOCAL {
		return false
	}
	if r.Type != unix.RTN_UNICAST {
		inTable := func(w schema.Route) bool { return w.Table == r.Table }
		return r.Table == unix.RT_TABLE_MAIN || slices.ContainsFunc(n.Want.Routes, inTable) || slices.ContainsFunc(n.Kept.Routes, inTable)
	}
	for _, hop := range r.MultiPath {
		if declared[hop.LinkIndex] {
			return true
		}
	}
	return declared[r.LinkIndex] && !(r.Protocol == unix.RTPROT_BOOT && r.Family == netlink.FAMILY_V4 && leases[r.LinkIndex])
}

// ownRoutes are the live routes that are the lab's, with the indexes of all links by name and back.
func (n *Network) ownRoutes() (routes []netlink.Route, byName map[string]int, byIndex map[int]string, err error) {
	links, err := whole(netlink.LinkList)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("list links: %w", err)
	}
	byName, byIndex = map[string]int{}, map[int]string{}
	byMAC := map[string]schema.GuestInterface{}
	for _, i := range n.Want.Interfaces {
		byMAC[strings.ToLower(i.MAC)] = i
	}
	declared, leases := map[int]bool{}, map[int]bool{}
	for _, link := range links {
		attrs := link.Attrs()
		byName[attrs.Name], byIndex[attrs.Index] = attrs.Index, attrs.Name
		if i, known := byMAC[attrs.HardwareAddr.String()]; known && !virtual[link.Type()] {
			declared[attrs.Index], leases[attrs.Index] = true, n.Scripts && i.DHCP4
		}
	}
	all, err := allRoutes()
	if err != nil {
		return nil, nil, nil, err
	}
	for _, r := range all {
		if n.owned(r, declared, leases) {
			routes = append(routes, r)
		}
	}
	return routes, byName, byIndex, nil
}

func (n *Network) observeRoutes() error {
	n.have.Routes = nil
	live, byName, byIndex, err := n.ownRoutes()
	if err != nil {
		return err
	}
	left := map[pathKey]pathValue{}
	for _, r := range live {
		p := pathOf(r)
		left[p.key] = p.value
	}
	var errs []error
	for _, want := range n.Want.Routes {
		p, err := n.pathOfWant(want, byName)
		if err != nil {
			if _, refused := errors.AsType[note.Refused](err); refused {
				errs = append(errs, err)
			}
			continue // its interface is not there, and so neither is the route
		}
		value, there := left[p.key]
		if !there {
			continue
		}
		delete(left, p.key)
		if value == p.value {
			n.have.Routes = append(n.have.Routes, want)
		} else {
			n.have.Routes = append(n.have.Routes, spell(path{p.key, value}, want, byIndex))
		}
	}
	for _, r := range live {
		p := pathOf(r)
		if value, extra := left[p.key]; extra {
			n.have.Routes = append(n.have.Routes, spell(path{p.key, value}, schema.Route{Interface: "?"}, byIndex))
			delete(left, p.key)
		}
	}
	return errors.Join(errs...)
}

// spell writes a live route in the language's words, in those of like where they mean the same.
func spell(p path, like schema.Route, names map[int]string) schema.Route {
	out := schema.Route{To: p.key.to.String(), Table: p.key.table, Metric: p.key.metric, OnLink: p.value.onLink}
	if like.To != "" {
		out.To, out.Table, out.Metric = like.To, like.Table, like.Metric
	} else {
		if p.key.to.Bits() == 0 {
			out.To = "default"
			if p.key.to.Addr().Is6() {
				out.To = "default6"
			}
		}
		if out.Table == unix.RT_TABLE_MAIN {
			out.Table = 0
		}
		if out.Metric == ipv6Metric && p.key.to.Addr().Is6() {
			out.Metric = 0
		}
	}
	if p.value.via.IsValid() {
		out.Via = p.value.via.String()
	}
	if p.value.many {
		out.Via = "several gateways"
	}
	if p.value.source.IsValid() {
		out.Source = p.value.source.String()
	}
	for word, kind := range routeTypes {
		if kind == p.value.kind && word != "unicast" {
			out.Type = word
		}
	}
	if like.Interface != "" {
		out.Interface = names[p.value.link]
	}
	return out
}

func (n *Network) applyRoutes() {
	live, byName, _, err := n.ownRoutes()
	if err != nil {
		n.Problem("route", err)
		return
	}
	there := map[pathKey]pathValue{}
	for _, r := range live {
		p := pathOf(r)
		there[p.key] = p.value
	}
	wanted := map[pathKey]bool{}
	for _, want := range orderRoutes(n.Want.Routes) {
		at := fmt.Sprintf("route[%q]", want.To)
		p, err := n.pathOfWant(want, byName)
		if err != nil {
			n.Problem(at, err)
			continue
		}
		if wanted[p.key] {
			n.Problem(at, note.Refuse("two routes go to %s with one metric in one table", want.To))
			continue
		}
		wanted[p.key] = true
		if value, ok := there[p.key]; ok && value == p.value {
			continue
		}
		if err := netlink.RouteReplace(p.netlink()); err != nil {
			n.Problem(at, fmt.Errorf("set route: %w", err))
			continue
		}
		n.Did("set route %s", describe(want))
	}
	for _, r := range live {
		if wanted[pathOf(r).key] {
			continue
		}
		if err := netlink.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			n.Problem(fmt.Sprintf("route[%q]", destination(r)), fmt.Errorf("remove route: %w", err))
			continue
		}
		n.Did("remove route %s", destination(r))
	}
}

// orderRoutes puts routes without a gateway first, since gateways of others may be reached by them.
func orderRoutes(routes []schema.Route) []schema.Route {
	out := slices.Clone(routes)
	slices.SortStableFunc(out, func(a, b schema.Route) int { return min(len(a.Via), 1) - min(len(b.Via), 1) })
	return out
}

func describe(r schema.Route) string {
	text := r.To
	if r.Via != "" {
		text += " via " + r.Via
	}
	if r.Type != "" {
		text = r.Type + " " + text
	}
	return text
}

func (p path) netlink() *netlink.Route {
	r := &netlink.Route{Dst: ipNet(p.key.to), Table: p.key.table, Priority: p.key.metric, Type: p.value.kind, Protocol: unix.RTPROT_STATIC}
	if p.key.to.Addr().Is6() {
		r.Family = netlink.FAMILY_V6
	} else {
		r.Family = netlink.FAMILY_V4
	}
	r.LinkIndex = p.value.link
	switch via := p.value.via; {
	case via.IsValid() && via.Is6() && p.key.to.Addr().Is4(): // RFC 5549
		r.Via = &netlink.Via{AddrFamily: unix.AF_INET6, Addr: via.AsSlice()}
	case via.IsValid():
		r.Gw = via.AsSlice()
	case p.value.kind == unix.RTN_UNICAST:
		r.Scope = netlink.SCOPE_LINK
	}
	if p.value.source.IsValid() {
		r.Src = p.value.source.AsSlice()
	}
	if p.value.onLink {
		r.Flags = int(netlink.FLAG_ONLINK)
	}
	return r
}
