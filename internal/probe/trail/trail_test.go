package trail

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/natflow"
	"github.com/labctl/labctl/internal/probe/inside"
	"github.com/labctl/labctl/schema"
)

// fake is machines with the routes and settings that the test gives.
type fake struct {
	routes map[string]inside.Way         // "domain to"
	run    map[string]string             // "domain command"
	flows  map[string][]natflow.Entry    // by domain
	rules  func(domain string) string    // what nft lists
	script func(domain, s string) string // what a shell script writes
}

func (f fake) Ask(_ context.Context, domain string, r inside.Request) (inside.Answer, error) {
	switch {
	case r.Route != nil:
		way, ok := f.routes[domain+" "+r.Route.To]
		if !ok {
			way.Type = "none"
		}
		return inside.Answer{Way: &way}, nil
	case r.Flows:
		return inside.Answer{Flows: f.flows[domain]}, nil
	}
	return inside.Answer{}, errors.New("nobody should ask that")
}

func (f fake) Run(_ context.Context, domain string, args ...string) (int, string, error) {
	command := strings.Join(args, " ")
	switch {
	case command == "nft list ruleset" && f.rules != nil:
		return 0, f.rules(domain), nil
	case args[0] == "sh" && f.script != nil:
		return 0, f.script(domain, args[2]), nil
	}
	if text, ok := f.run[domain+" "+command]; ok {
		return 0, text, nil
	}
	return 1, "", nil
}

func addr(t *testing.T, text string) schema.Addr {
	t.Helper()
	a, err := schema.ParseAddr(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// lab is a client behind a NAT router on a bridge with the host, and a server behind the host.
func lab(t *testing.T) *schema.Lab {
	t.Helper()
	guest := func(name string, n *schema.NAT, addresses ...string) schema.Resource {
		return schema.Resource{Addr: addr(t, "vm."+name+".guest"), Body: &schema.Guest{
			Domain: "d-" + name, NAT: n, Interfaces: []schema.GuestInterface{{Name: "eth0", Addresses: addresses}},
		}}
	}
	return &schema.Lab{Resources: []schema.Resource{
		guest("client", nil, "10.0.0.2/24"),
		guest("router", &schema.NAT{
			Type: "full_cone", Outside: "eth0", Inside: []string{"eth1"}, OutsideAddress: "192.0.2.1/24",
			Forwards: []schema.NATForward{{Name: "web", Protocol: "tcp", Port: 8080, To: "10.0.0.2", ToPort: 80}},
			OneToOne: []schema.OneToOne{{Outside: "192.0.2.9", Inside: "10.0.0.2"}},
		}, "10.0.0.1/24", "192.0.2.1/24", "192.0.2.9/24"),
		guest("server", nil, "198.51.100.2/24"),
		{Addr: addr(t, "bridge.br0"), Body: &schema.Bridge{Name: "br0", Addresses: []string{"192.0.2.254/24"}}},
		{Addr: addr(t, "bridge.br1"), Body: &schema.Bridge{Name: "br1", Addresses: []string{"198.51.100.1/24"}}},
	}}
}

func working() fake {
	via := func(gateway, link string) inside.Way {
		return inside.Way{Type: "unicast", Via: gateway, Interface: link}
	}
	local := inside.Way{Type: "local", Interface: "lo"}
	return fake{
		routes: map[string]inside.Way{
			"d-client 198.51.100.2": via("10.0.0.1", "eth0"), "d-client 10.0.0.2": local,
			"d-router 198.51.100.2": via("192.0.2.254", "eth0"), "d-router 10.0.0.2": via("", "eth1"), "d-router 192.0.2.1": local,
			"d-server 198.51.100.2": local, "d-server 192.0.2.1": via("198.51.100.1", "eth0"), "d-server 192.0.2.9": via("198.51.100.1", "eth0"),
		},
		run: map[string]string{
			" ip -j route get 198.51.100.2":          `[{"dst":"198.51.100.2","dev":"br1","prefsrc":"198.51.100.1"}]`,
			" ip -j route get 192.0.2.1":             `[{"dst":"192.0.2.1","dev":"br0"}]`,
			" ip -j route get 192.0.2.9":             `[{"dst":"192.0.2.9","dev":"br0"}]`,
			" sysctl -n net.ipv4.ip_forward":         "1\n",
			"d-router sysctl -n net.ipv4.ip_forward": "1\n",
		},
	}
}

func path(hops []Hop) (lines []string) {
	for _, h := range hops {
		lines = append(lines, h.Name+": "+pathWords(h))
	}
	return lines
}

func end(t *testing.T, name, address string, port int) schema.Endpoint {
	t.Helper()
	return schema.Endpoint{VM: addr(t, "vm."+name), Domain: "d-" + name, Address: address, Port: port}
}

func TestFollow(t *testing.T) {
	out := Packet{Protocol: "tcp", From: end(t, "client", "10.0.0.2", 0), To: end(t, "server", "198.51.100.2", 80)}
	in := Packet{Protocol: "tcp", From: end(t, "server", "198.51.100.2", 0), To: schema.Endpoint{Address: "192.0.2.1", Port: 8080}}
	whole := []string{
		"vm.client: sends on eth0 to 10.0.0.1",
		"vm.router: sends on eth0 to 192.0.2.254, translated (full_cone)",
		"this host: sends on br1 straight to 198.51.100.2",
		"vm.server: the packet is for it",
	}
	for name, test := range map[string]struct {
		packet Packet
		spoil  func(f fake)
		want   []string
		mend   string
	}{
		"all the way": {packet: out, want: whole},
		"no route": {out, func(f fake) { delete(f.routes, "d-router 198.51.100.2") },
			append(whole[:1:1], "vm.router: it has no route to 198.51.100.2"), "give vm.router a route to 198.51.100.2"},
		"the host forwards nothing": {out, func(f fake) { f.run[" sysctl -n net.ipv4.ip_forward"] = "0\n" },
			append(whole[:2:2], whole[2]+", it does not forward packets"), "declare host { forwarding = true }"},
		"the router forwards nothing": {out, func(f fake) { f.run["d-router sysctl -n net.ipv4.ip_forward"] = "0\n" },
			append(whole[:1:1], whole[1]+", it does not forward packets"), "declare forwarding = true in vm.router"},
		"silence": {out, func(f fake) { f.run["d-client ip neigh show 10.0.0.1"] = "10.0.0.1 dev eth0 FAILED" },
			[]string{whole[0] + ", nobody on eth0 answers for 10.0.0.1 (ARP)"}, "see that the machine with 10.0.0.1 runs, on the same bridge"},
		"circle": {out, func(f fake) {
			f.routes["d-router 198.51.100.2"] = inside.Way{Type: "unicast", Via: "10.0.0.2", Interface: "eth1"}
		}, nil, "let one of these machines send it by another route"},
		"forward": {in, nil, []string{
			"vm.server: sends on eth0 to 198.51.100.1",
			"this host: sends on br0 straight to 192.0.2.1",
			`vm.router: forward "web" leads to 10.0.0.2:80, sends on eth1 straight to 10.0.0.2`,
			"vm.client: the packet is for it",
		}, ""},
		"no forward": {Packet{Protocol: "udp", From: in.From, To: in.To}, nil, []string{
			"vm.server: sends on eth0 to 198.51.100.1", "this host: sends on br0 straight to 192.0.2.1", "vm.router: the packet is for it",
		}, ""},
		"one to one": {Packet{Protocol: "icmp", From: in.From, To: schema.Endpoint{Address: "192.0.2.9"}}, nil, []string{
			"vm.server: sends on eth0 to 198.51.100.1", "this host: sends on br0 straight to 192.0.2.9",
			"vm.router: one-to-one address leads to 10.0.0.2, sends on eth1 straight to 10.0.0.2", "vm.client: the packet is for it",
		}, ""},
	} {
		f := working()
		if test.spoil != nil {
			test.spoil(f)
		}
		hops := Tracer{Lab: lab(t), Machines: f}.Follow(t.Context(), test.packet)
		if diff := cmp.Diff(test.want, path(hops)); diff != "" && test.want != nil {
			t.Errorf("%s:\n%s", name, diff)
		}
		if last := hops[len(hops)-1]; last.Mend != test.mend {
			t.Errorf("%s: %q is advised", name, last.Mend)
		}
	}
}

func TestReceiver(t *testing.T) {
	tracer := Tracer{Lab: lab(t), Machines: fake{}}
	for _, test := range []struct {
		protocol, address string
		port              int
		want              string
	}{
		{"tcp", "192.0.2.1", 8080, "vm.client 10.0.0.2 80"}, {"udp", "192.0.2.1", 8080, "vm.router 192.0.2.1 8080"},
		{"udp", "192.0.2.9", 53, "vm.client 10.0.0.2 53"}, {"tcp", "192.0.2.254", 22, ""}, {"tcp", "203.0.113.7", 22, ""},
	} {
		e, ok := tracer.Receiver(test.protocol, schema.Endpoint{Address: test.address, Port: test.port})
		got := ""
		if ok {
			got = fmt.Sprintf("%s %s %d", e.VM, e.Address, e.Port)
		}
		if got != test.want {
			t.Errorf("%+v: got %q", test, got)
		}
	}
}
