package probe_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/labctl/labctl/internal/natprobe"
	"github.com/labctl/labctl/internal/probe"
	"github.com/labctl/labctl/internal/probe/inside"
	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/nat"
)

// natLab is a router with a client behind it, a server outside, and a machine that could be taken for either.
func natLab(t *testing.T, serverAddresses ...string) *schema.Lab {
	t.Helper()
	guest := func(vm, gateway string, n *schema.NAT, addresses ...string) schema.Resource {
		g := &schema.Guest{Domain: "lab-" + vm, NAT: n, Interfaces: []schema.GuestInterface{{Name: "eth0", Addresses: addresses}}}
		if gateway != "" {
			g.Routes = []schema.Route{{To: "default", Via: gateway}}
		}
		return schema.Resource{Addr: addr(t, "vm."+vm+".guest"), Body: g}
	}
	return &schema.Lab{Name: "lab", Resources: []schema.Resource{
		guest("other", "10.1.0.1", nil, "10.1.0.2/24", "10.1.0.3/24"),
		guest("router2", "", &schema.NAT{}, "10.1.0.1/24", "192.0.2.3/24"),
		guest("router", "192.0.2.9", &schema.NAT{Type: nat.FullCone}, "10.0.0.1/24", "192.0.2.1/24"),
		guest("client", "10.0.0.1", nil, "10.0.0.2/24"),
		guest("server", "", nil, serverAddresses...),
	}}
}

func natCheck(t *testing.T, expect string) schema.Check {
	t.Helper()
	return schema.Check{Addr: addr(t, "check.nat"), NAT: &schema.NATCheck{
		Router: schema.Endpoint{VM: addr(t, "vm.router"), Domain: "lab-router"}, Expect: expect}}
}

func TestNATIsClassifiedFromBehindAgainstOutside(t *testing.T) {
	var asked sync.Map
	m := machines{ask: func(domain string, r inside.Request) (inside.Answer, error) {
		switch {
		case r.Serve != nil && fmt.Sprint(r.Serve.STUN) == "[192.0.2.7 192.0.2.8]":
			asked.Store("server", domain+" "+r.Serve.Session)
			return inside.Answer{}, nil
		case r.NAT != nil && r.NAT.Server == "192.0.2.7":
			asked.Store("client", domain+" "+r.NAT.Session)
			return inside.Answer{NAT: &natprobe.Behaviour{Translated: true, Mapping: nat.EndpointIndependent,
				Filtering: nat.AddressDependent, Preserves: true, Outside: netip.MustParseAddrPort("192.0.2.1:5000")}}, nil
		}
		return inside.Answer{}, fmt.Errorf("nobody should ask %s for %+v", domain, r)
	}}
	lab := natLab(t, "192.0.2.7/24", "192.0.2.8/24")
	results := probe.Run(t.Context(), lab, m, []schema.Check{natCheck(t, nat.AddressRestrictedCone), natCheck(t, nat.Symmetric)}, probe.Options{})
	if !results[0].Pass {
		t.Errorf("got %+v", results[0])
	}
	if r := results[1]; r.Pass || r.Got != nat.AddressRestrictedCone || !strings.Contains(strings.Join(r.Why, "\n"), "declared as full_cone") {
		t.Errorf("got %+v", r)
	}
	server, _ := asked.Load("server")
	client, _ := asked.Load("client")
	s, c := fmt.Sprint(server), fmt.Sprint(client)
	if !strings.HasPrefix(s, "lab-server ") || !strings.HasPrefix(c, "lab-client ") {
		t.Errorf("asked were %q and %q", s, c)
	}
}

// What a check demands is compared, and nothing else.
func TestNATKnobs(t *testing.T) {
	yes, no := true, false
	seen := natprobe.Behaviour{Protocol: "tcp", Translated: true, Mapping: nat.AddressDependent, Filtering: nat.EndpointIndependent,
		Preserves: true, Simultaneous: true, Outside: netip.MustParseAddrPort("192.0.2.1:5000")}
	m := machines{ask: func(_ string, r inside.Request) (inside.Answer, error) {
		if r.Serve != nil && r.Serve.Protocol == "tcp" || r.NAT != nil && r.NAT.Protocol == "tcp" {
			return inside.Answer{NAT: &seen}, nil
		}
		return inside.Answer{}, fmt.Errorf("asked for %+v", r)
	}}
	for _, test := range []struct {
		check schema.NATCheck
		pass  bool
		got   string
	}{
		{schema.NATCheck{Mapping: nat.AddressDependent}, true, "address_dependent mapping"},
		{schema.NATCheck{Mapping: nat.EndpointIndependent}, false, "address_dependent mapping"},
		{schema.NATCheck{Filtering: nat.EndpointIndependent, Hairpin: &no}, true, "endpoint_independent filtering, no hairpin"},
		{schema.NATCheck{Hairpin: &yes}, false, "no hairpin"},
		{schema.NATCheck{PreservePorts: &yes, SimultaneousOpen: &yes}, true, "ports kept, simultaneous open"},
		{schema.NATCheck{PreservePorts: &no}, false, "ports kept"},
		{schema.NATCheck{Expect: nat.FullCone}, false, "address_dependent mapping with endpoint_independent filtering"},
	} {
		check := natCheck(t, "")
		endpoint := check.NAT.Router
		check.NAT = &test.check
		check.NAT.Router, check.NAT.Protocol = endpoint, "tcp"
		r := probe.Run(t.Context(), natLab(t, "192.0.2.7/24", "192.0.2.8/24"), m, []schema.Check{check}, probe.Options{})[0]
		if r.Pass != test.pass || r.Got != test.got || r.Error != "" || !strings.Contains(r.Subject, "for TCP") ||
			!strings.Contains(r.Detail, "RFC 5382") || !r.Pass && len(r.Mend) == 0 {
			t.Errorf("%+v: got %+v", test.check, r)
		}
	}
}

func TestNATNeedsTwoAddressesOutside(t *testing.T) {
	r := probe.Run(t.Context(), natLab(t, "192.0.2.7/24"), machines{}, []schema.Check{natCheck(t, nat.FullCone)}, probe.Options{})[0]
	if r.Pass || !strings.Contains(r.Error, "second address") {
		t.Errorf("got %+v", r)
	}
}

func TestNATClientThatFailsEndsTheServer(t *testing.T) {
	m := machines{ask: func(domain string, r inside.Request) (inside.Answer, error) {
		if r.NAT != nil {
			return inside.Answer{}, errors.New("client is silent")
		}
		return inside.Answer{}, nil
	}}
	r := probe.Run(t.Context(), natLab(t, "192.0.2.7/24", "192.0.2.8/24"), m, []schema.Check{natCheck(t, nat.FullCone)}, probe.Options{})[0]
	if r.Pass || !strings.Contains(r.Error, "client is silent") {
		t.Errorf("got %+v", r)
	}
}

func TestUDPStates(t *testing.T) {
	for _, test := range []struct {
		sent, seen inside.Answer
		want       string
	}{
		{inside.Answer{State: "open"}, inside.Answer{Arrived: true}, "open"},
		{inside.Answer{State: "closed"}, inside.Answer{Arrived: true}, "closed"},
		{inside.Answer{State: "closed"}, inside.Answer{}, "closed"},
		{inside.Answer{Sent: 9}, inside.Answer{Arrived: true, From: "192.0.2.1:5"}, "open"},
		{inside.Answer{Sent: 9}, inside.Answer{}, "filtered"},
	} {
		m := machines{ask: func(domain string, r inside.Request) (inside.Answer, error) {
			switch {
			case r.UDP != nil && domain == "lab-a" && r.UDP.Port == 53:
				return test.sent, nil
			case r.Watch != nil && domain == "lab-b" && r.Watch.Port == 53 && r.Watch.Address == "192.0.2.2":
				return test.seen, nil
			}
			return inside.Answer{}, fmt.Errorf("nobody should ask %s for %+v", domain, r)
		}}
		c := schema.Check{Addr: addr(t, "check.u"), UDP: &schema.PortCheck{From: end(t, "a", "192.0.2.1", 0), To: end(t, "b", "192.0.2.2", 53), Expect: test.want}}
		if r := probe.Run(t.Context(), lab(t), m, []schema.Check{c}, probe.Options{})[0]; !r.Pass {
			t.Errorf("%+v: got %+v", test, r)
		}
	}
}

func TestRouteNamesGateway(t *testing.T) {
	for _, test := range []struct {
		way  *inside.Way
		got  string
		pass bool
	}{
		{&inside.Way{Via: "192.0.2.1", Interface: "eth0", Type: "unicast"}, "via 192.0.2.1", true},
		{&inside.Way{Via: "192.0.2.9", Interface: "eth0", Type: "unicast"}, "via 192.0.2.9", false},
		{&inside.Way{Interface: "eth0", Type: "unicast"}, "direct", false},
		{&inside.Way{Type: "none"}, "no route", false},
	} {
		m := machines{ask: func(_ string, r inside.Request) (inside.Answer, error) {
			if r.Route == nil || r.Route.To != "198.51.100.1" {
				return inside.Answer{}, errors.New("asked for something else")
			}
			return inside.Answer{Way: test.way}, nil
		}}
		c := schema.Check{Addr: addr(t, "check.r"), Route: &schema.RouteCheck{VM: end(t, "a", "", 0), To: "198.51.100.1", ExpectVia: "192.0.2.1"}}
		if r := probe.Run(t.Context(), lab(t), m, []schema.Check{c}, probe.Options{})[0]; r.Pass != test.pass || r.Got != test.got {
			t.Errorf("%+v: got %+v", test, r)
		}
	}
}

func TestThroughputIsMeasuredAtTheReceiver(t *testing.T) {
	for _, test := range []struct {
		bits float64
		pass bool
		got  string
	}{{2.5e9, true, "at least 1 Gbit/s"}, {999e6, false, "999 Mbit/s"}, {12e3, false, "12 kbit/s"}, {7, false, "7 bit/s"}} {
		m := machines{ask: func(domain string, r inside.Request) (inside.Answer, error) {
			switch {
			case r.Receive != nil && domain == "lab-b":
				return inside.Answer{Arrived: true, Bits: test.bits}, nil
			case r.Send != nil && domain == "lab-a" && r.Send.To == "192.0.2.2":
				return inside.Answer{Sent: 1}, nil
			}
			return inside.Answer{}, fmt.Errorf("nobody should ask %s for %+v", domain, r)
		}}
		c := schema.Check{Addr: addr(t, "check.t"), Throughput: &schema.ThroughputCheck{From: end(t, "a", "192.0.2.1", 0), To: end(t, "b", "192.0.2.2", 0), Min: 1e9}}
		if r := probe.Run(t.Context(), lab(t), m, []schema.Check{c}, probe.Options{})[0]; r.Pass != test.pass || r.Got != test.got {
			t.Errorf("%+v: got %+v", test, r)
		}
	}
}

func TestPunchViaServer(t *testing.T) {
	var served sync.Map
	m := machines{ask: func(domain string, r inside.Request) (inside.Answer, error) {
		if r.Serve != nil {
			served.Store(domain, r.Serve.Rendezvous)
			return inside.Answer{}, nil
		}
		if r.Punch.Via != "192.0.2.7:3480" {
			return inside.Answer{}, fmt.Errorf("via %q", r.Punch.Via)
		}
		return inside.Answer{Arrived: true, Confirmed: true}, nil
	}}
	c := punch(t, "success")
	via := end(t, "server", "192.0.2.7", 0)
	c.HolePunch.Via = &via
	if r := probe.Run(t.Context(), lab(t), m, []schema.Check{c}, probe.Options{})[0]; !r.Pass {
		t.Errorf("got %+v", r)
	}
	if at, ok := served.Load("lab-server"); !ok || at != "192.0.2.7:3480" {
		t.Errorf("the server was asked to listen at %v", at)
	}
	c.HolePunch.Via = &schema.Endpoint{Address: "192.0.2.7"}
	if r := probe.Run(t.Context(), lab(t), m, []schema.Check{c}, probe.Options{})[0]; r.Pass || !strings.Contains(r.Error, "machine of the lab") {
		t.Errorf("a server that labctl cannot start: %+v", r)
	}
}
