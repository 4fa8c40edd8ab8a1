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
