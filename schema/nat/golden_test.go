package nat_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/nat"
)

var update = flag.Bool("update", false, "write the golden files anew")

// examples are routers whose rules are kept as golden files, and are given to the real nft by the sandbox test.
func examples() map[string]schema.NAT {
	one := func(n schema.NAT) schema.NAT {
		n.Outside, n.OutsideAddress = "eth0", "192.0.2.1/24"
		return n
	}
	two := func(n schema.NAT) schema.NAT {
		n = one(n)
		n.Inside = []string{"eth1"}
		return n
	}
	web := []schema.NATForward{
		{Name: "web", Protocol: "tcp", Port: 8080, To: "10.0.0.2", ToPort: 80},
		{Name: "dns", Protocol: "udp", Port: 53, To: "10.0.0.3"},
	}
	six := func(n schema.NAT) schema.NAT {
		n.Family, n.Outside, n.OutsideAddress, n.Inside = nat.IPv6, "eth0", "2001:db8::1/64", []string{"eth1"}
		return n
	}
	web6 := []schema.NATForward{
		{Name: "web", Protocol: "tcp", Port: 8080, To: "fd00::2", ToPort: 80},
		{Name: "dns", Protocol: "udp", Port: 53, To: "fd00::3"},
	}
	site := []schema.NATPrefix{
		{Name: "site", Inside: "fd01:203:405::/48", Outside: "2001:db8:1::/48", Subnets: []string{"fd01:203:405:1::/64", "fd01:203:405:2::/64"}},
		{Name: "lab", Inside: "fd00:9:9:1::/64", Outside: "2001:db8:9:cf51::/64"},
	}
	return map[string]schema.NAT{
		"full_cone":               two(schema.NAT{Type: nat.FullCone}),
		"address_restricted_cone": two(schema.NAT{Type: nat.AddressRestrictedCone}),
		"port_restricted_cone":    two(schema.NAT{Type: nat.PortRestrictedCone}),
		"symmetric":               two(schema.NAT{Type: nat.Symmetric}),
		"full_cone_one_arm":       one(schema.NAT{Type: nat.FullCone, Forwards: web}),
		"port_restricted_one_arm": one(schema.NAT{Type: nat.PortRestrictedCone}),
		"hairpin":                 two(schema.NAT{Type: nat.PortRestrictedCone, Hairpin: true, Forwards: web}),
		"hairpin_one_arm":         one(schema.NAT{Type: nat.FullCone, Hairpin: true, Forwards: web}),
		"timeouts":                two(schema.NAT{Type: nat.FullCone, UDPTimeout: 20, TCPTimeout: 3600}),
		"range":                   two(schema.NAT{Type: nat.PortRestrictedCone, Ports: "20000-30000"}),
		"contiguous":              two(schema.NAT{Type: nat.Symmetric, Ports: nat.Contiguous}),
		"random_cone":             two(schema.NAT{Type: nat.FullCone, Ports: nat.Random}),
		"symmetric_open": two(schema.NAT{
			Mapping: nat.AddressAndPortDependent, Filtering: nat.EndpointIndependent,
			Ports: "20000-30000",
		}),
		"one_to_one": two(schema.NAT{
			Type: nat.AddressRestrictedCone, Forwards: web,
			OneToOne: []schema.OneToOne{{Outside: "192.0.2.7", Inside: "10.0.0.7"}},
		}),
		"six_full_cone":       six(schema.NAT{Type: nat.FullCone, Hairpin: true, Forwards: web6, UDPTimeout: 20}),
		"six_restricted":      six(schema.NAT{Type: nat.AddressRestrictedCone, OneToOne: []schema.OneToOne{{Outside: "2001:db8::7", Inside: "fd00::7"}}}),
		"six_contiguous":      six(schema.NAT{Type: nat.Symmetric, Ports: nat.Contiguous}),
		"six_symmetric":       six(schema.NAT{Type: nat.Symmetric}),
		"six_one_arm":         {Family: nat.IPv6, Type: nat.FullCone, Outside: "eth0", OutsideAddress: "2001:db8::1/64", Hairpin: true, Forwards: web6},
		"six_dhcp":            {Family: nat.IPv6, Type: nat.FullCone, Outside: "eth0", Inside: []string{"eth1"}, Forwards: web6},
		"six_prefix":          six(schema.NAT{Prefixes: site}),
		"six_prefix_one_arm":  {Family: nat.IPv6, Outside: "eth0", OutsideAddress: "2001:db8::1/64", Prefixes: site},
		"six_prefix_and_cone": six(schema.NAT{Type: nat.FullCone, Hairpin: true, Prefixes: site}),
		"dhcp":                {Type: nat.FullCone, Outside: "eth0", Inside: []string{"eth1", "eth2"}},
	}
}

func TestCompileGolden(t *testing.T) {
	for name, n := range examples() {
		t.Run(name, func(t *testing.T) {
			if problems := nat.Problems(n); len(problems) > 0 {
				t.Fatalf("the example is wrong: %v", problems)
			}
			got := nat.Compile(n)
			path := filepath.Join("testdata", name+".nft")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("rules differ from %s (-want +got); -update writes them anew:\n%s", path, diff)
			}
		})
	}
}
