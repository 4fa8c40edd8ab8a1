package nat

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"

	"github.com/labctl/labctl/schema"
)

// Flow is a connection as conntrack(8) knows it, as far as staleness goes. Protocols without ports have port 0.
type Flow struct {
	Protocol         uint8          // IP protocol number: 6 TCP, 17 UDP, 1 ICMP
	Source           netip.AddrPort // of the original direction, before translation
	Destination      netip.AddrPort
	ReplyDestination netip.AddrPort // of the reply direction: Source as translated
	SourceNAT        bool           // IPS_SRC_NAT
	DestinationNAT   bool           // IPS_DST_NAT
	Replied          bool           // IPS_SEEN_REPLY
}

// Selector describes flows that a change of NAT makes stale: they would go on by the old rules, and are to be deleted
// from the router's conntrack table once the new rules stand. A zero field matches everything.
type Selector struct {
	Reason          string         `json:"reason"`               // for people
	Protocol        uint8          `json:"protocol,omitempty"`   // IP protocol number
	Source          netip.Addr     `json:"source,omitzero"`      // who opened the flow
	Destination     netip.Addr     `json:"destination,omitzero"` // whom it was opened to
	SourceIn        netip.Prefix   `json:"source_in,omitzero"`   // the same by prefix
	DestinationIn   netip.Prefix   `json:"destination_in,omitzero"`
	DestinationPort uint16         `json:"destination_port,omitempty"` // and at which port
	SourceNAT       *bool          `json:"source_nat,omitempty"`       // whether the source is translated
	DestinationNAT  *bool          `json:"destination_nat,omitempty"`  // whether the destination is
	Replied         *bool          `json:"replied,omitempty"`          // whether both sides have spoken
	Except          []netip.Addr   `json:"except,omitempty"`           // flows from, to or translated to these are left alone
	ExceptIn        []netip.Prefix `json:"except_in,omitempty"`        // the same by prefix
	Forwarded       bool           `json:"forwarded,omitempty"`        // flows of the router itself are left alone
	Spare           []Port         `json:"spare,omitempty"`            // flows let in at these are left alone: forwards hold them, not mappings
}

// Port is an outside port.
type Port struct {
	Protocol uint8  `json:"protocol"` // IP protocol number
	Number   uint16 `json:"number"`
}

// Matches reports whether f is one of the described flows. local tells the router's own addresses.
func (s Selector) Matches(f Flow, local func(netip.Addr) bool) bool {
	switch {
	case s.Protocol != 0 && s.Protocol != f.Protocol,
		s.Source.IsValid() && s.Source != f.Source.Addr(),
		s.Destination.IsValid() && s.Destination != f.Destination.Addr(),
		s.SourceIn.IsValid() && !s.SourceIn.Contains(f.Source.Addr()),
		s.DestinationIn.IsValid() && !s.DestinationIn.Contains(f.Destination.Addr()),
		s.DestinationPort != 0 && s.DestinationPort != f.Destination.Port(),
		s.SourceNAT != nil && *s.SourceNAT != f.SourceNAT,
		s.DestinationNAT != nil && *s.DestinationNAT != f.DestinationNAT,
		s.Replied != nil && *s.Replied != f.Replied,
		f.DestinationNAT && slices.Contains(s.Spare, Port{f.Protocol, f.Destination.Port()}),
		s.Forwarded && (local(f.Source.Addr()) || local(f.Destination.Addr()) && !f.DestinationNAT):
		return false
	}
	for _, addr := range []netip.Addr{f.Source.Addr(), f.Destination.Addr(), f.ReplyDestination.Addr()} {
		if slices.Contains(s.Except, addr) || slices.ContainsFunc(s.ExceptIn, func(p netip.Prefix) bool { return p.Contains(addr) }) {
			return false
		}
	}
	return true
}

// Stale returns which flows the change from before to after makes stale, and no others; nil is a router without NAT.
// A changed lifetime makes none stale: flows that stand keep the lifetime that they began with.
func Stale(before, after *schema.NAT) []Selector {
	yes, no := true, false
	switch {
	case before == nil && after == nil:
		return nil
	case before == nil:
		return []Selector{{Reason: "forwarded so far with no translation", SourceNAT: &no, DestinationNAT: &no, Forwarded: true}}
	case after == nil:
		return []Selector{
			{Reason: "translated by the NAT that goes", SourceNAT: &yes},
			{Reason: "let in by the NAT that goes", DestinationNAT: &yes},
		}
	}
	c := change{old: Resolve(*before), now: Resolve(*after)}
	c.oldAddress, _ = outsideAddress(before.OutsideAddress)
	c.nowAddress, _ = outsideAddress(after.OutsideAddress)
	for _, o := range slices.Concat(before.OneToOne, after.OneToOne) {
		c.bound = append(c.bound, parse(o.Outside), parse(o.Inside))
	}
	for _, p := range slices.Concat(newRouter(c.old).pairs(), newRouter(c.now).pairs()) {
		c.boundIn = append(c.boundIn, p.inside, p.outside)
	}
	c.mapping()
	c.hairpin()
	c.filtering()
	c.forwards()
	c.oneToOne()
	for i := range c.found {
		c.found[i].ExceptIn = c.boundIn
	}
	c.prefixes()
	return c.found
}

type change struct {
	old, now               schema.NAT // resolved
	oldAddress, nowAddress netip.Addr
	bound                  []netip.Addr   // both ends of one-to-one bindings, old and new: they are judged on their own
	boundIn                []netip.Prefix // the same of prefixes
	found                  []Selector
}

// mapping finds flows whose outside endpoint would be another one today. A flow that a peer opened holds the mapping that
// it came in by as much as one that the inside host opened.
func (c *change) mapping() {
	yes := true
	moved := ""
	switch {
	case c.old.Outside != c.now.Outside:
		moved = fmt.Sprintf("outside was %s, is %s", c.old.Outside, c.now.Outside)
	case c.oldAddress != c.nowAddress:
		moved = fmt.Sprintf("the outside address was %s, is %s", c.oldAddress, c.nowAddress)
	}
	reason, spare := moved, []Port(nil)
	switch {
	case moved != "":
	case c.old.Type != c.now.Type && (c.old.Type == PrefixOnly || c.now.Type == PrefixOnly):
		no := false
		reason = fmt.Sprintf("type was %s, is %s", c.old.Type, c.now.Type)
		c.found = append(c.found, Selector{Reason: reason, SourceNAT: &no, DestinationNAT: &no, Forwarded: true})
	case c.old.Mapping != c.now.Mapping:
		reason = fmt.Sprintf("mapping was %s, is %s", c.old.Mapping, c.now.Mapping)
	case c.old.Ports != c.now.Ports:
		reason = fmt.Sprintf("ports was %s, is %s", c.old.Ports, c.now.Ports)
	default:
		return
	}
	if moved == "" {
		spare = c.spare()
	}
	c.found = append(c.found, Selector{Reason: reason, SourceNAT: &yes, Except: c.bound},
		Selector{Reason: reason, DestinationNAT: &yes, Except: c.bound, Spare: spare})
}

// hairpin finds flows between inside hosts by the outside address.
func (c *change) hairpin() {
	yes, no := true, false
	switch {
	case c.old.Hairpin && !c.now.Hairpin:
		c.found = append(c.found, Selector{Reason: "hairpin is off now", SourceNAT: &yes, DestinationNAT: &yes, Except: c.bound})
	case !c.old.Hairpin && c.now.Hairpin && c.nowAddress.IsValid():
		c.found = append(c.found, Selector{
			Reason:      "hairpin is on now, and these ended at the router",
			Destination: c.nowAddress, DestinationNAT: &no, Replied: &no,
		})
	}
}

// filtering finds flows that peers opened through a filter more open than today's, answered or not: today's would not
// let them be opened, and a hole that an earlier experiment left must not decide the next one.
func (c *change) filtering() {
	strictness := func(filtering string) int {
		return slices.Index([]string{EndpointIndependent, AddressDependent, AddressAndPortDependent}, filtering)
	}
	if strictness(c.now.Filtering) <= strictness(c.old.Filtering) {
		return
	}
	yes, no := true, false
	c.found = append(c.found, Selector{
		Reason:    fmt.Sprintf("filtering was %s, is %s", c.old.Filtering, c.now.Filtering),
		SourceNAT: &no, DestinationNAT: &yes, Except: c.bound, Spare: c.spare(),
	})
}

// spare is the ports whose flows belong to forwards.
func (c *change) spare() (ports []Port) {
	for _, f := range c.old.Forwards {
		ports = append(ports, Port{protocolNumber(f.Protocol), uint16(f.Port)})
	}
	return ports
}

// forwards finds flows at outside ports that lead to another host today, or to none.
func (c *change) forwards() {
	type port struct {
		protocol string
		number   int
	}
	same := map[port]bool{}
	byPort := func(list []schema.NATForward) map[port]schema.NATForward {
		m := make(map[port]schema.NATForward, len(list))
		for _, f := range list {
			if f.ToPort == 0 {
				f.ToPort = f.Port
			}
			m[port{f.Protocol, f.Port}] = f
		}
		return m
	}
	old, now := byPort(c.old.Forwards), byPort(c.now.Forwards)
	for p, f := range old {
		g, ok := now[p]
		same[p] = ok && f.To == g.To && f.ToPort == g.ToPort
	}
	for _, f := range slices.Concat(c.old.Forwards, c.now.Forwards) {
		p := port{f.Protocol, f.Port}
		if same[p] {
			continue
		}
		same[p] = true // once is enough
		s := Selector{
			Reason:   fmt.Sprintf("forward of %s port %d changed", f.Protocol, f.Port),
			Protocol: protocolNumber(f.Protocol), Destination: c.oldAddress, DestinationPort: uint16(f.Port), Except: c.bound,
		}
		if !c.oldAddress.IsValid() {
			// Not known before the router runs; then at least not what inside hosts opened to that port elsewhere.
			yes := true
			s.DestinationNAT = &yes
		}
		c.found = append(c.found, s)
	}
}

// oneToOne finds flows of bindings that came, went or changed. A host that is bound now was translated to the shared address.
func (c *change) oneToOne() {
	for _, o := range slices.Concat(c.old.OneToOne, c.now.OneToOne) {
		was := slices.ContainsFunc(c.old.OneToOne, func(x schema.OneToOne) bool { return x == o })
		is := slices.ContainsFunc(c.now.OneToOne, func(x schema.OneToOne) bool { return x == o })
		if was && is {
			continue
		}
		reason := fmt.Sprintf("%s and %s are bound no more", o.Outside, o.Inside)
		if is {
			reason = fmt.Sprintf("%s and %s are bound now", o.Outside, o.Inside)
		}
		for _, s := range []Selector{
			{Reason: reason, Source: parse(o.Inside)},
			{Reason: reason, Destination: parse(o.Outside)},
		} {
			if !slices.ContainsFunc(c.found, func(t Selector) bool { return reflect.DeepEqual(s, t) }) {
				c.found = append(c.found, s)
			}
		}
	}
}

// prefixes finds flows of prefixes that came, went or changed.
func (c *change) prefixes() {
	old, now := newRouter(c.old).pairs(), newRouter(c.now).pairs()
	same := func(p pair) func(pair) bool {
		return func(q pair) bool { return p.inside == q.inside && p.outside == q.outside }
	}
	for i, p := range slices.Concat(old, now) {
		if slices.ContainsFunc(old, same(p)) && slices.ContainsFunc(now, same(p)) {
			continue
		}
		reason := fmt.Sprintf("%s is %s no more", p.inside, p.outside)
		if i >= len(old) {
			reason = fmt.Sprintf("%s is %s now", p.inside, p.outside)
		}
		c.found = append(c.found, Selector{Reason: reason, SourceIn: p.inside}, Selector{Reason: reason, DestinationIn: p.outside})
	}
}

func parse(text string) netip.Addr {
	addr, _ := netip.ParseAddr(text)
	return addr
}

// protocolNumber is the protocol's number in IP (RFC 9293, RFC 768).
func protocolNumber(name string) uint8 {
	if name == "tcp" {
		return 6
	}
	return 17
}
