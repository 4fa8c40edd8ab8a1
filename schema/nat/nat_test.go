package nat_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/nat"
)

func TestResolve(t *testing.T) {
	for _, test := range []struct{ give, want schema.NAT }{
		{schema.NAT{}, schema.NAT{
			Type: nat.PortRestrictedCone, Mapping: nat.EndpointIndependent,
			Filtering: nat.AddressAndPortDependent, Ports: nat.Preserve,
		}},
		{schema.NAT{Type: nat.FullCone}, schema.NAT{
			Type: nat.FullCone, Mapping: nat.EndpointIndependent,
			Filtering: nat.EndpointIndependent, Ports: nat.Preserve,
		}},
		{schema.NAT{Type: nat.Symmetric}, schema.NAT{
			Type: nat.Symmetric, Mapping: nat.AddressAndPortDependent,
			Filtering: nat.AddressAndPortDependent, Ports: nat.Random,
		}},
		{schema.NAT{Type: nat.Symmetric, Ports: nat.Contiguous}, schema.NAT{
			Type:    nat.Symmetric,
			Mapping: nat.AddressAndPortDependent, Filtering: nat.AddressAndPortDependent, Ports: nat.Contiguous,
		}},
		{schema.NAT{Filtering: nat.AddressDependent}, schema.NAT{
			Type:    nat.AddressRestrictedCone,
			Mapping: nat.EndpointIndependent, Filtering: nat.AddressDependent, Ports: nat.Preserve,
		}},
		{
			schema.NAT{Mapping: nat.AddressAndPortDependent, Filtering: nat.EndpointIndependent},
			schema.NAT{Mapping: nat.AddressAndPortDependent, Filtering: nat.EndpointIndependent, Ports: nat.Random},
		},
	} {
		got := nat.Resolve(test.give)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("Resolve(%+v) (-want +got):\n%s", test.give, diff)
		}
		if diff := cmp.Diff(got, nat.Resolve(got)); diff != "" {
			t.Errorf("resolving twice changes it:\n%s", diff)
		}
		if give, resolved := compiled(test.give), compiled(got); give != resolved {
			t.Errorf("what is resolved compiles to other rules:\n%s", cmp.Diff(give, resolved))
		}
	}
}

func compiled(n schema.NAT) string {
	n.Outside = "eth0"
	return nat.Compile(n)
}

// problem is a change that makes a good NAT wrong at path; path is "" where it stays good.
type problem struct {
	change func(n *schema.NAT)
	path   string
}

func problemCases() map[string]problem {
	return map[string]problem{
		"nothing":              {func(n *schema.NAT) {}, ""},
		"no type":              {func(n *schema.NAT) { n.Type = "" }, ""},
		"unknown type":         {func(n *schema.NAT) { n.Type = "cone" }, "type"},
		"unknown mapping":      {func(n *schema.NAT) { n.Type, n.Mapping = "", "any" }, "mapping"},
		"unknown filtering":    {func(n *schema.NAT) { n.Type, n.Filtering = "", "any" }, "filtering"},
		"same mapping":         {func(n *schema.NAT) { n.Mapping = nat.EndpointIndependent }, ""},
		"other mapping":        {func(n *schema.NAT) { n.Mapping = nat.AddressAndPortDependent }, "mapping"},
		"other filtering":      {func(n *schema.NAT) { n.Filtering = nat.AddressDependent }, "filtering"},
		"range":                {func(n *schema.NAT) { n.Ports = "20000-30000" }, ""},
		"range of one":         {func(n *schema.NAT) { n.Ports = "20000-20000" }, ""},
		"range upside down":    {func(n *schema.NAT) { n.Ports = "30000-20000" }, "ports"},
		"range too far":        {func(n *schema.NAT) { n.Ports = "20000-65536" }, "ports"},
		"range from nowhere":   {func(n *schema.NAT) { n.Ports = "-30000" }, "ports"},
		"unknown ports":        {func(n *schema.NAT) { n.Ports = "parity" }, "ports"},
		"symmetric preserving": {func(n *schema.NAT) { n.Type, n.Ports = nat.Symmetric, nat.Preserve }, "ports"},
		"no outside":           {func(n *schema.NAT) { n.Outside = "" }, "outside"},
		"outside too long":     {func(n *schema.NAT) { n.Outside = "sixteen-letters-" }, "outside"},
		"outside is inside":    {func(n *schema.NAT) { n.Inside = []string{"eth1", "eth0"} }, "inside[1]"},
		"inside twice":         {func(n *schema.NAT) { n.Inside = []string{"eth1", "eth1"} }, "inside[1]"},
		"inside with a quote":  {func(n *schema.NAT) { n.Inside = []string{`e"1`} }, "inside[0]"},
		"short life":           {func(n *schema.NAT) { n.UDPTimeout = 0.5 }, "udp_timeout"},
		"negative life":        {func(n *schema.NAT) { n.TCPTimeout = -1 }, "tcp_timeout"},
		"address":              {func(n *schema.NAT) { n.OutsideAddress = "192.0.2.1" }, ""},
		"IPv6 outside":         {func(n *schema.NAT) { n.OutsideAddress = "2001:db8::1/64" }, "outside_address"},
		"hairpin by DHCP":      {func(n *schema.NAT) { n.OutsideAddress, n.Hairpin = "", true }, "hairpin"},
	}
}

func forwardCases() map[string]problem {
	forward := schema.NATForward{Name: "web", Protocol: "tcp", Port: 80, To: "10.0.0.2"}
	bad := func(change func(f *schema.NATForward)) func(n *schema.NAT) {
		return func(n *schema.NAT) {
			f := forward
			change(&f)
			n.Forwards = []schema.NATForward{f}
		}
	}
	return map[string]problem{
		"forward":           {bad(func(f *schema.NATForward) {}), ""},
		"forward of SCTP":   {bad(func(f *schema.NATForward) { f.Protocol = "sctp" }), `forward["web"].protocol`},
		"forward of port 0": {bad(func(f *schema.NATForward) { f.Port = 0 }), `forward["web"].port`},
		"forward to port 70000": {
			bad(func(f *schema.NATForward) { f.ToPort = 70000 }),
			`forward["web"].to_port`,
		},
		"forward to a name": {bad(func(f *schema.NATForward) { f.To = "client" }), `forward["web"].to`},
		"forward twice": {func(n *schema.NAT) {
			second := forward
			second.Name = "second"
			n.Forwards = []schema.NATForward{forward, second}
		}, `forward["second"].port`},
		"one to one": {func(n *schema.NAT) { n.OneToOne = []schema.OneToOne{{Outside: "192.0.2.2", Inside: "10.0.0.2"}} }, ""},
		"one to one on the shared address": {func(n *schema.NAT) {
			n.OneToOne = []schema.OneToOne{{Outside: "192.0.2.1", Inside: "10.0.0.2"}}
		}, "one_to_one[0].outside"},
		"one to two": {func(n *schema.NAT) {
			n.OneToOne = []schema.OneToOne{{Outside: "192.0.2.2", Inside: "10.0.0.2"}, {Outside: "192.0.2.3", Inside: "10.0.0.2"}}
		}, "one_to_one[1].inside"},
	}
}

func TestProblems(t *testing.T) {
	cases := problemCases()
	maps.Copy(cases, forwardCases())
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			n := schema.NAT{Type: nat.FullCone, Outside: "eth0", Inside: []string{"eth1"}, OutsideAddress: "192.0.2.1/24"}
			test.change(&n)
			problems := nat.Problems(n)
			if test.path == "" {
				if len(problems) > 0 {
					t.Errorf("complains: %v", problems)
				}
				return
			}
			if len(problems) != 1 || problems[0].Path != test.path || problems[0].Message == "" {
				t.Errorf("want one problem at %s, got %v", test.path, problems)
			}
		})
	}
}

func pick[T any](r *rand.Rand, values ...T) T { return values[r.IntN(len(values))] }

// generated makes a NAT up from a seed: a good one mostly, with what people get wrong mixed in.
func generated(seed uint64) schema.NAT {
	r := rand.New(rand.NewPCG(seed, 1))
	n := schema.NAT{
		Type:           pick(r, append(nat.Types(), "", "", "", "cone")...),
		Ports:          pick(r, "", "", nat.Preserve, nat.Contiguous, nat.Random, "20000-30000", "1-65535", "5-4"),
		Outside:        pick(r, "eth0", "enp1s0", "wan.5", "a-very-long-one", "", `e"0`),
		Hairpin:        r.IntN(2) == 0,
		OutsideAddress: pick(r, "192.0.2.1/24", "192.0.2.1", "192.0.2.1/32", "", "2001:db8::1/64"),
		UDPTimeout:     pick[float64](r, 0, 0, 1, 30.5, 300, 1e9),
		TCPTimeout:     pick[float64](r, 0, 0, 1, 300, 7440, -3),
	}
	if n.Type == "" {
		n.Mapping = pick(r, "", nat.EndpointIndependent, nat.AddressAndPortDependent)
		n.Filtering = pick(r, "", nat.EndpointIndependent, nat.AddressDependent, nat.AddressAndPortDependent)
	}
	for i := range r.IntN(4) {
		n.Inside = append(n.Inside, fmt.Sprintf("lan%d", i))
	}
	for i := range r.IntN(4) {
		n.Forwards = append(n.Forwards, schema.NATForward{
			Name:     pick(r, "web", `wéb "1"\`, strings.Repeat("long", 50), ""),
			Protocol: pick(r, "tcp", "udp"), Port: 1 + i*1000, To: fmt.Sprintf("10.0.%d.%d", i, r.IntN(256)), ToPort: r.IntN(65536),
		})
	}
	for i := range r.IntN(3) {
		n.OneToOne = append(n.OneToOne, schema.OneToOne{Outside: fmt.Sprintf("192.0.2.%d", 2+i), Inside: fmt.Sprintf("10.0.9.%d", i)})
	}
	return n
}

func FuzzCompile(f *testing.F) {
	for seed := range uint64(500) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		n := generated(seed)
		text := nat.Compile(n)
		if text != nat.Compile(n) {
			t.Error("the same NAT compiles to different rules")
		}
		if strings.Contains(text, "flush") {
			t.Error("it flushes what is not its own")
		}
		if !strings.HasPrefix(text, "table ip "+nat.Table+" {\n") || strings.Count(text, "table ") != 1 {
			t.Error("it is not just one table")
		}
		if len(nat.Problems(n)) > 0 {
			return
		}
		if strings.Count(text, "{") != strings.Count(text, "}") || strings.Count(text, `"`)%2 != 0 {
			t.Errorf("unbalanced:\n%s", text)
		}
		if resolved := nat.Resolve(n); len(nat.Problems(resolved)) > 0 {
			t.Errorf("resolving made it wrong: %v", nat.Problems(resolved))
		}
	})
}
