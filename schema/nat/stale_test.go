package nat_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/nat"
)

// flows of a router at 192.0.2.1, by name.
func flows() map[string]nat.Flow {
	at := netip.MustParseAddrPort
	return map[string]nat.Flow{
		"out udp": {
			Protocol: 17, Source: at("10.0.0.2:5000"), Destination: at("198.51.100.9:53"),
			ReplyDestination: at("192.0.2.1:5000"), SourceNAT: true, Replied: true,
		},
		"out tcp": {
			Protocol: 6, Source: at("10.0.0.2:5001"), Destination: at("198.51.100.9:8080"),
			ReplyDestination: at("192.0.2.1:5001"), SourceNAT: true, Replied: true,
		},
		"in answered": {
			Protocol: 17, Source: at("198.51.100.7:4000"), Destination: at("192.0.2.1:5000"),
			ReplyDestination: at("198.51.100.7:4000"), DestinationNAT: true, Replied: true,
		},
		"in unanswered": {
			Protocol: 17, Source: at("198.51.100.8:4000"), Destination: at("192.0.2.1:5000"),
			ReplyDestination: at("198.51.100.8:4000"), DestinationNAT: true,
		},
		"forward web": {
			Protocol: 6, Source: at("198.51.100.9:40000"), Destination: at("192.0.2.1:8080"),
			ReplyDestination: at("198.51.100.9:40000"), DestinationNAT: true, Replied: true,
		},
		"hairpin": {
			Protocol: 17, Source: at("10.0.0.3:6000"), Destination: at("192.0.2.1:5000"),
			ReplyDestination: at("192.0.2.1:6000"), SourceNAT: true, DestinationNAT: true, Replied: true,
		},
		"probe of the router": {
			Protocol: 17, Source: at("10.0.0.3:6001"), Destination: at("192.0.2.1:5000"),
			ReplyDestination: at("10.0.0.3:6001"),
		},
		"bound out": {
			Protocol: 17, Source: at("10.0.0.7:5000"), Destination: at("198.51.100.9:53"),
			ReplyDestination: at("192.0.2.7:5000"), SourceNAT: true, Replied: true,
		},
		"bound in": {
			Protocol: 17, Source: at("198.51.100.9:53"), Destination: at("192.0.2.7:7"),
			ReplyDestination: at("198.51.100.9:53"), DestinationNAT: true,
		},
		"router": {
			Protocol: 17, Source: at("192.0.2.1:123"), Destination: at("198.51.100.9:123"),
			ReplyDestination: at("192.0.2.1:123"), Replied: true,
		},
		"plain": {
			Protocol: 6, Source: at("10.0.0.2:5002"), Destination: at("198.51.100.9:80"),
			ReplyDestination: at("10.0.0.2:5002"), Replied: true,
		},
	}
}

type staleCase struct {
	before, after *schema.NAT
	stale         string // names of flows, sorted
}

func staleCases() map[string]staleCase {
	base := schema.NAT{
		Type: nat.FullCone, Outside: "eth0", Inside: []string{"eth1"}, OutsideAddress: "192.0.2.1/24",
		Hairpin:  true,
		Forwards: []schema.NATForward{{Name: "web", Protocol: "tcp", Port: 8080, To: "10.0.0.2"}},
		OneToOne: []schema.OneToOne{{Outside: "192.0.2.7", Inside: "10.0.0.7"}},
	}
	with := func(change func(n *schema.NAT)) *schema.NAT {
		n := base
		n.Forwards, n.OneToOne = slices.Clone(base.Forwards), slices.Clone(base.OneToOne)
		change(&n)
		return &n
	}
	same := func(n *schema.NAT) {}
	return map[string]staleCase{
		"nothing":         {with(same), with(same), ""},
		"neither":         {nil, nil, ""},
		"new":             {nil, with(same), "plain"},
		"gone":            {with(same), nil, "bound in, bound out, forward web, hairpin, in answered, in unanswered, out tcp, out udp"},
		"mapping":         {with(same), with(func(n *schema.NAT) { n.Type = nat.Symmetric }), "hairpin, in answered, in unanswered, out tcp, out udp"},
		"ports":           {with(same), with(func(n *schema.NAT) { n.Ports = nat.Random }), "hairpin, in answered, in unanswered, out tcp, out udp"},
		"stricter":        {with(same), with(func(n *schema.NAT) { n.Type = nat.PortRestrictedCone }), "in answered, in unanswered"},
		"looser":          {with(func(n *schema.NAT) { n.Type = nat.PortRestrictedCone }), with(same), ""},
		"same by pair":    {with(same), with(func(n *schema.NAT) { n.Mapping, n.Ports = nat.EndpointIndependent, nat.Preserve }), ""},
		"lifetime":        {with(same), with(func(n *schema.NAT) { n.UDPTimeout = 5 }), ""},
		"hairpin off":     {with(same), with(func(n *schema.NAT) { n.Hairpin = false }), "hairpin"},
		"hairpin on":      {with(func(n *schema.NAT) { n.Hairpin = false }), with(same), "probe of the router"},
		"forward moves":   {with(same), with(func(n *schema.NAT) { n.Forwards[0].To = "10.0.0.3" }), "forward web"},
		"forward is same": {with(same), with(func(n *schema.NAT) { n.Forwards[0].Name, n.Forwards[0].ToPort = "www", 8080 }), ""},
		"forward goes":    {with(same), with(func(n *schema.NAT) { n.Forwards = nil }), "forward web"},
		"forward comes": {with(same), with(func(n *schema.NAT) {
			n.Forwards = append(n.Forwards, schema.NATForward{Protocol: "udp", Port: 5000, To: "10.0.0.3"})
		}), "hairpin, in answered, in unanswered, probe of the router"},
		"binding goes": {with(same), with(func(n *schema.NAT) { n.OneToOne = nil }), "bound in, bound out"},
		"binding comes": {with(same), with(func(n *schema.NAT) {
			n.OneToOne = append(n.OneToOne, schema.OneToOne{Outside: "192.0.2.8", Inside: "10.0.0.2"})
		}), "out tcp, out udp, plain"},
		"address": {
			with(same), with(func(n *schema.NAT) { n.OutsideAddress = "192.0.2.5/24" }),
			"forward web, hairpin, in answered, in unanswered, out tcp, out udp",
		},
		"forward of a router with DHCP": {
			with(func(n *schema.NAT) { n.Hairpin, n.OutsideAddress = false, "" }),
			with(func(n *schema.NAT) { n.Hairpin, n.OutsideAddress, n.Forwards = false, "", nil }), "forward web",
		},
	}
}

func TestStale(t *testing.T) {
	for name, test := range staleCases() {
		t.Run(name, func(t *testing.T) {
			local := func(a netip.Addr) bool { return a == netip.MustParseAddr("192.0.2.1") }
			var stale []string
			for flow, f := range flows() {
				if slices.ContainsFunc(nat.Stale(test.before, test.after), func(s nat.Selector) bool { return s.Matches(f, local) }) {
					stale = append(stale, flow)
				}
			}
			slices.Sort(stale)
			if got := strings.Join(stale, ", "); got != test.stale {
				t.Errorf("stale are %q, not %q", got, test.stale)
			}
			for _, s := range nat.Stale(test.before, test.after) {
				if s.Reason == "" {
					t.Errorf("no reason is given: %q", s.Reason)
				}
			}
		})
	}
}

func TestStalePrefixes(t *testing.T) {
	flow := func(from, to, seen string, source, destination bool) nat.Flow {
		return nat.Flow{
			Protocol: 17, Source: netip.MustParseAddrPort(from), Destination: netip.MustParseAddrPort(to),
			ReplyDestination: netip.MustParseAddrPort(seen), SourceNAT: source, DestinationNAT: destination, Replied: true,
		}
	}
	flows := map[string]nat.Flow{
		"site out":  flow("[fd01:203:405:1::2]:5", "[2001:db8:9::9]:53", "[2001:db8:1:d550::2]:5", true, false),
		"site in":   flow("[2001:db8:9::9]:53", "[2001:db8:1:d550::2]:5", "[2001:db8:9::9]:53", false, true),
		"lab out":   flow("[fd00:9:9:1::2]:5", "[2001:db8:9::9]:53", "[2001:db8:9:cf51::2]:5", true, false),
		"other out": flow("[fd05::2]:5", "[2001:db8:9::9]:53", "[2001:db8::1]:5", true, false),
		"plain":     flow("[2001:db8:7::2]:5", "[2001:db8:9::9]:53", "[2001:db8:7::2]:5", false, false),
	}
	site := schema.NATPrefix{Name: "site", Inside: "fd01:203:405::/48", Outside: "2001:db8:1::/48", Subnets: []string{"fd01:203:405:1::/64"}}
	lab := schema.NATPrefix{Name: "lab", Inside: "fd00:9:9:1::/64", Outside: "2001:db8:9:cf51::/64"}
	six := func(typ string, prefixes ...schema.NATPrefix) *schema.NAT {
		return &schema.NAT{Family: nat.IPv6, Type: typ, Outside: "eth0", OutsideAddress: "2001:db8::1/64", Prefixes: prefixes}
	}
	wider := site
	wider.Subnets = []string{"fd01:203:405:1::/64", "fd01:203:405:2::/64"}
	renamed := site
	renamed.Name = "x"
	for name, test := range map[string]struct {
		before, after *schema.NAT
		stale         string
	}{
		"nothing":      {six("", site, lab), six("", site, lab), ""},
		"name":         {six("", site, lab), six("", renamed, lab), ""},
		"subnet comes": {six("", site, lab), six("", wider, lab), ""},
		"prefix goes":  {six("", site, lab), six("", lab), "site in, site out"},
		"prefix comes": {six(nat.FullCone, site), six(nat.FullCone, site, lab), "lab out"},
		"cone changes": {six(nat.FullCone, site, lab), six(nat.Symmetric, site, lab), "other out"},
		"cone comes":   {six("", site, lab), six(nat.FullCone, site, lab), "other out, plain"},
		"cone goes":    {six(nat.FullCone, site, lab), six("", site, lab), "other out, plain"},
		"stricter":     {six(nat.FullCone, site), six(nat.PortRestrictedCone, site), ""},
		"all goes":     {six("", site, lab), nil, "lab out, other out, site in, site out"},
	} {
		t.Run(name, func(t *testing.T) {
			var stale []string
			for what, f := range flows {
				if slices.ContainsFunc(nat.Stale(test.before, test.after), func(s nat.Selector) bool {
					return s.Matches(f, func(a netip.Addr) bool { return a == netip.MustParseAddr("2001:db8::1") })
				}) {
					stale = append(stale, what)
				}
			}
			slices.Sort(stale)
			if got := strings.Join(stale, ", "); got != test.stale {
				t.Errorf("stale are %q, not %q", got, test.stale)
			}
		})
	}
}
