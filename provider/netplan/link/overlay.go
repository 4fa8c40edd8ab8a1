package link

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/labctl/labctl/schema"
)

// Overlay puts what the kernel has over what the files say, for each attribute that the kernel shows and that is declared:
// in a file, or in want (which may be nil). What nobody declares is left out: it is the system's own and may change by itself.
func Overlay(b, want *schema.Bridge, view *View) {
	if want == nil {
		want = &schema.Bridge{}
	}
	link := view.Links[b.Name]
	if link == nil {
		*b = schema.Bridge{Name: b.Name, DHCP4: b.DHCP4, DHCP6: b.DHCP6, AcceptRA: b.AcceptRA, LinkLocal: b.LinkLocal,
			Nameservers: b.Nameservers, Search: b.Search, Optional: b.Optional, Renderer: b.Renderer}
		return
	}
	if b.MTU != 0 || want.MTU != 0 {
		b.MTU = link.MTU
	}
	if b.MAC != "" || want.MAC != "" {
		b.MAC = link.MAC
	}
	b.Addresses = addressesOf(link, slices.Concat(b.Addresses, want.Addresses))
	b.Routes = append(routesOf(view, b.Name, slices.Concat(b.Routes, want.Routes)), waiting(link, b.Routes)...)
	var members []string
	for _, name := range Distinct(slices.Concat(b.Interfaces, want.Interfaces)) {
		if port := view.Links[name]; port != nil && port.Master == b.Name {
			members = append(members, name)
		}
	}
	b.Interfaces = members
	overlayBridge(b, want, link.Bridge)
	overlayPorts(&b.PathCost, want.PathCost, view, b.Name, func(s *PortState) int { return s.Cost })
	overlayPorts(&b.PortPriority, want.PortPriority, view, b.Name, func(s *PortState) int { return s.Priority })
}

func overlayBridge(b, want *schema.Bridge, state *BridgeState) {
	if state == nil { // a link of this name that is no bridge
		state = &BridgeState{}
	}
	if b.STP != nil || want.STP != nil {
		b.STP = new(state.STP)
	}
	if b.Priority != nil || want.Priority != nil {
		b.Priority = new(state.Priority)
	}
	// While the topology changes, the file is all there is.
	if (b.AgeingTime != nil || want.AgeingTime != nil) && !state.Changing {
		b.AgeingTime = new(state.Ageing)
	}
	if !state.Root {
		return // the kernel shows the root bridge's timers and not ours (IEEE 802.1D 8.5.3): the file is all there is
	}
	for _, timer := range []struct {
		have **float64
		want *float64
		live float64
	}{
		{&b.ForwardDelay, want.ForwardDelay, state.ForwardDelay},
		{&b.HelloTime, want.HelloTime, state.HelloTime},
		{&b.MaxAge, want.MaxAge, state.MaxAge},
	} {
		if *timer.have != nil || timer.want != nil {
			*timer.have = new(timer.live)
		}
	}
}

func overlayPorts(have *map[string]int, want map[string]int, view *View, bridge string, read func(*PortState) int) {
	live := map[string]int{}
	for _, declared := range []map[string]int{*have, want} {
		for name := range declared {
			if port := view.Links[name]; port != nil && port.Master == bridge && port.Port != nil {
				live[name] = read(port.Port)
			}
		}
	}
	if *have = nil; len(live) > 0 {
		*have = live
	}
}

// addressesOf lists a link's lasting addresses: those of declared first, in its order, then all others. Addresses with a
// lifetime are DHCP's or a router's, and a link-local address that is not declared is the kernel's own.
func addressesOf(link *Link, declared []string) []string {
	var have []string
	for _, a := range link.Addresses {
		if !a.Dynamic && (!a.LinkLocal || slices.Contains(CanonicalAll(declared), a.Prefix)) {
			have = append(have, a.Prefix)
		}
	}
	return InOrderOf(have, CanonicalAll(declared))
}

// Protocols of rtnetlink(7) under which people and networkd add routes; every other is a daemon's own.
const (
	protoBoot   = 3
	protoStatic = 4
)

// routesOf lists the routes over a bridge that somebody configured. A route with no device (a blackhole) is the bridge's
// only if it is declared.
func routesOf(view *View, bridge string, declared []schema.Route) []schema.Route {
	var routes []schema.Route
	for _, r := range view.Routes {
		if r.Protocol != protoBoot && r.Protocol != protoStatic {
			continue
		}
		route := NormalRoute(r.Route)
		isDeclared := slices.ContainsFunc(declared, func(d schema.Route) bool { return Matches(d, route) })
		if r.Interface == bridge && route.Type == "" || route.Type != "" && isDeclared {
			routes = append(routes, route)
		}
	}
	slices.SortFunc(routes, func(a, b schema.Route) int {
		return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(a.To, b.To), cmp.Compare(a.Metric, b.Metric),
			cmp.Compare(a.Via, b.Via))
	})
	return slices.CompactFunc(routes, func(a, b schema.Route) bool { return a == b })
}

// waiting are the routes of a file that the kernel cannot take yet: their source is an address that is still tentative, as
// it stays on a bridge without a carrier. networkd adds them as soon as a port is up.
func waiting(link *Link, filed []schema.Route) []schema.Route {
	var routes []schema.Route
	for _, r := range filed {
		source := func(a Address) bool {
			prefix, err := netip.ParsePrefix(a.Prefix)
			return err == nil && a.Tentative && prefix.Addr().String() == NormalRoute(r).Source
		}
		if r.Source != "" && slices.ContainsFunc(link.Addresses, source) {
			routes = append(routes, NormalRoute(r))
		}
	}
	return routes
}

// ipv6Metric is the metric that the kernel gives an IPv6 route without one (IP6_RT_PRIO_USER).
const ipv6Metric = 1024

// NormalRoute writes a route of any source alike: destinations as prefixes, or as the language's default and default6; no
// device; the kernel's default metric left out.
func NormalRoute(r schema.Route) schema.Route {
	r.Interface = ""
	six := strings.Contains(r.Via+r.To, ":") || r.To == "default6"
	switch r.To = asPrefix(r.To); {
	case r.To == "::/0", r.To == "default" && six:
		r.To = "default6"
	case r.To == "0.0.0.0/0":
		r.To = "default"
	}
	if addr, err := netip.ParseAddr(r.Via); err == nil {
		r.Via = addr.String()
	}
	if addr, err := netip.ParseAddr(r.Source); err == nil {
		r.Source = addr.String()
	}
	if r.Type == "unicast" {
		r.Type = ""
	}
	if r.Table == mainTable {
		r.Table = 0
	}
	if six && r.Metric == ipv6Metric {
		r.Metric = 0
	}
	return r
}

// asPrefix writes a destination as a masked prefix; a single address becomes one of full length.
func asPrefix(to string) string {
	if addr, err := netip.ParseAddr(to); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()).String()
	}
	if prefix, err := netip.ParsePrefix(to); err == nil {
		return prefix.Masked().String()
	}
	return to
}

// Matches reports whether a live route is the declared one. What is not declared of it is the kernel's choice.
// That a gateway is on the link matters only when the route is added, so a route that is there without that is as good.
func Matches(declared, live schema.Route) bool {
	declared = NormalRoute(declared)
	return declared.To == live.To && declared.Via == live.Via && declared.Table == live.Table && declared.Type == live.Type &&
		(declared.Metric == 0 || declared.Metric == live.Metric) && (declared.Source == "" || declared.Source == live.Source)
}

// CanonicalAll is CanonicalPrefix of each.
func CanonicalAll(prefixes []string) []string {
	var all []string
	for _, p := range prefixes {
		all = append(all, CanonicalPrefix(p))
	}
	return Distinct(all)
}

// Distinct drops repetitions and keeps the order.
func Distinct(words []string) []string {
	var once []string
	for _, word := range words {
		if !slices.Contains(once, word) {
			once = append(once, word)
		}
	}
	return once
}

// InOrderOf sorts words as they stand in model, what is not there last and by the alphabet.
func InOrderOf(words, model []string) []string {
	place := func(word string) int {
		if i := slices.Index(model, word); i >= 0 {
			return i
		}
		return len(model)
	}
	slices.SortFunc(words, func(a, b string) int { return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a, b)) })
	return words
}

// tickSeconds is the most by which the kernel's timers differ from what they were set to: it takes hundredths of a second, keeps
// its own ticks (4 ms where CONFIG_HZ is 250), and rounds down both ways.
const tickSeconds = 0.015

// SameTime reports whether a timer in seconds is what the kernel makes of the declared one.
func SameTime(live, declared float64) bool { return math.Abs(live-declared) <= tickSeconds }
