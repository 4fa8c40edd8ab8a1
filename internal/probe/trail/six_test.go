package trail

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/probe/inside"
	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/nat"
)

// With IPv6 it is followed through translated prefixes, and named as the kernel writes it.
func TestFollowsTranslatedPrefixes(t *testing.T) {
	n := &schema.NAT{Family: nat.IPv6, Type: nat.PrefixOnly, Outside: "eth0", Inside: []string{"eth1"}, OutsideAddress: "2001:db8::b/64",
		Prefixes: []schema.NATPrefix{{Name: "site", Inside: "fd01:203:405::/48", Outside: "2001:db8:1::/48", Subnets: []string{"fd01:203:405:1::/64"}}}}
	guest := func(domain string, n *schema.NAT, interfaces ...schema.GuestInterface) schema.Resource {
		return schema.Resource{Addr: addr(t, "vm."+domain+".guest"), Body: &schema.Guest{Domain: domain, NAT6: n, Interfaces: interfaces}}
	}
	l := &schema.Lab{Resources: []schema.Resource{
		guest("server", nil, schema.GuestInterface{Name: "eth0", Addresses: []string{"2001:db8::10/64"}}),
		guest("router", n, schema.GuestInterface{Name: "eth0", Addresses: []string{"2001:db8::b/64"}}, schema.GuestInterface{Name: "eth1", Addresses: []string{"fd01:203:405:1::1/64"}}),
		guest("client", nil, schema.GuestInterface{Name: "eth0", Addresses: []string{"fd01:203:405:1::100/64"}}),
	}}
	ways := map[string]inside.Way{
		"server 2001:db8:1:d550::100": {Type: "unicast", Via: "2001:db8::b", Interface: "eth0"},
		"router fd01:203:405:1::100":  {Type: "unicast", Interface: "eth1"},
		"client fd01:203:405:1::100":  {Type: "local"},
	}
	f := sixMachines{ways: ways}
	to := schema.Endpoint{Address: "2001:db8:1:d550::100", Port: 80}
	tracer := Tracer{Lab: l, Machines: f}
	want := []string{
		"vm.server: sends on eth0 to 2001:db8::b",
		"vm.router: prefix \"site\" leads to [fd01:203:405:1::100]:80, sends on eth1 straight to fd01:203:405:1::100",
		"vm.client: the packet is for it",
	}
	if diff := cmp.Diff(want, path(tracer.Follow(t.Context(), Packet{Protocol: "tcp", From: schema.Endpoint{Domain: "server"}, To: to}))); diff != "" {
		t.Error(diff)
	}
	if e, ok := tracer.Receiver("tcp", to); !ok || e.Domain != "client" || e.Address != "fd01:203:405:1::100" {
		t.Errorf("the receiver is %+v, %v", e, ok)
	}
	f.ways["server fd01:203:405:1::100"] = inside.Way{Type: "none"}
	hops := tracer.Follow(t.Context(), Packet{Protocol: "icmp", From: schema.Endpoint{Domain: "server"}, To: schema.Endpoint{Address: "fd01:203:405:1::100"}})
	if len(hops) != 1 || !strings.Contains(hops[0].Mend, "the outside reaches it as 2001:db8:1:d550::100") {
		t.Errorf("to an address behind the router: %+v", hops)
	}
	w := watched{protocol: "tcp", six: true, addresses: map[netip.Addr]bool{netip.MustParseAddr("10.0.0.1"): true}, ports: []int{80}}
	w.add(hops[0], nil)
	w.add(tracer.machine("router"), []Packet{{From: schema.Endpoint{Address: "fd01:203:405:1::100"}}})
	addresses := "{ 2001:db8::b, 2001:db8::10, 2001:db8:1:d550::100, fd01:203:405:1::1 }"
	match := "meta l4proto tcp ip6 saddr " + addresses + " ip6 daddr " + addresses
	if diff := cmp.Diff([]string{match + " th dport { 80 }", match + " th sport { 80 }", "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert }"}, w.matches()); diff != "" {
		t.Error(diff)
	}
}

// A machine whose neighbour does not answer is not the end of it: the neighbour's rules may drop what asks for it.
func TestLooksAtASilentNeighbour(t *testing.T) {
	guest := func(domain, address string) schema.Resource {
		return schema.Resource{Addr: addr(t, "vm."+domain+".guest"), Body: &schema.Guest{Domain: domain, Interfaces: []schema.GuestInterface{{Name: "eth0", Addresses: []string{address}}}}}
	}
	f := sixMachines{ways: map[string]inside.Way{"a 2001:db8::2": {Type: "unicast", Interface: "eth0"}}, neighbour: "2001:db8::2 dev eth0 FAILED"}
	l := &schema.Lab{Resources: []schema.Resource{guest("a", "2001:db8::1/64"), guest("b", "2001:db8::2/64")}}
	hops := Tracer{Lab: l, Machines: f}.Follow(t.Context(), Packet{Protocol: "tcp", From: schema.Endpoint{Domain: "a"}, To: schema.Endpoint{Address: "2001:db8::2", Port: 80}})
	want := []string{
		"vm.a: sends on eth0 straight to 2001:db8::2, nobody on eth0 answers for 2001:db8::2 (neighbour discovery)",
		"vm.b: has 2001:db8::2",
	}
	if diff := cmp.Diff(want, path(hops)); diff != "" {
		t.Error(diff)
	}
}

// sixMachines answer for routes alone, by machine and destination.
type sixMachines struct {
	ways      map[string]inside.Way
	neighbour string // what ip neigh shows
}

func (m sixMachines) Ask(_ context.Context, domain string, r inside.Request) (inside.Answer, error) {
	way, ok := m.ways[domain+" "+r.Route.To]
	if !ok {
		return inside.Answer{}, fmt.Errorf("%s is asked for %s", domain, r.Route.To)
	}
	return inside.Answer{Way: &way}, nil
}

func (m sixMachines) Run(_ context.Context, _ string, args ...string) (int, string, error) {
	if slices.Contains(args, "neigh") {
		return 0, m.neighbour, nil
	}
	return 0, "", nil
}

const traces6 = `trace id a1 ip6 own input packet: iif "eth0" ether saddr 52:54:00:00:00:01 ether daddr 52:54:00:00:00:02 ip6 saddr 2001:db8::1 ip6 daddr 2001:db8::2 ip6 dscp cs0 ip6 hoplimit 64 ip6 flowlabel 5 ip6 nexthdr tcp ip6 length 40 tcp sport 40000 tcp dport 81 tcp flags == syn
trace id a1 ip6 own input policy drop
trace id a2 ip6 own input packet: iif "eth0" ip6 saddr fe80::1 ip6 daddr ff02::1:ff00:2 ip6 nexthdr ipv6-icmp ip6 length 32 icmpv6 type nd-neighbor-solicit icmpv6 code 0
trace id a2 ip6 own input rule counter packets 1 bytes 72 drop (verdict drop)
trace id a3 ip6 own input packet: iif "eth0" ip6 saddr 2001:db8::1 ip6 daddr 2001:db8::2 ip6 nexthdr ipv6-icmp ip6 length 14 icmpv6 type echo-request icmpv6 code 0
trace id a3 ip6 own input rule icmpv6 type echo-request accept (verdict accept)
`

func TestParseTraceOfIPv6(t *testing.T) {
	fates := parseTrace(traces6)
	want := []Fate{
		{Packet: "tcp [2001:db8::1]:40000 → [2001:db8::2]:81", Verdict: "drop", Table: "ip6 own", Chain: "input", Count: 1},
		{Packet: "nd-neighbor-solicit fe80::1 → ff02::1:ff00:2", Verdict: "drop", Table: "ip6 own", Chain: "input", Rule: "counter drop", Count: 1},
		{Packet: "icmpv6 2001:db8::1 → 2001:db8::2", Verdict: "accept", Table: "ip6 own", Chain: "input", Rule: "icmpv6 type echo-request accept", Count: 1},
	}
	if diff := cmp.Diff(want, fates); diff != "" {
		t.Error(diff)
	}
	if mend := mendFor(Hop{Name: "vm.b"}, fates[1], Packet{Protocol: "tcp"}); !strings.Contains(mend, "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept") {
		t.Errorf("neighbours are dropped, and the advice is %q", mend)
	}
}
