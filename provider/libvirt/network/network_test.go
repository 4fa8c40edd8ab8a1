package network

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"libvirt.org/go/libvirtxml"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/daemon"
	"github.com/labctl/labctl/provider/libvirt/tap"
	"github.com/labctl/labctl/schema"
)

func resource() schema.Resource {
	return schema.Resource{
		Addr: schema.Addr{Kind: "network", Name: "n"},
		Body: &schema.Network{
			Name: "lab-n", Bridge: "vnetlab0", Addresses: []string{"192.0.2.1/24"}, Domain: "lab.test",
			DHCP:   []schema.DHCPRange{{Start: "192.0.2.100", End: "192.0.2.200"}},
			Leases: []schema.DHCPHost{{MAC: "52:54:00:AA:00:01", IP: "192.0.2.10", Name: "a"}},
			DNS:    []schema.DNSHost{{IP: "192.0.2.10", Names: []string{"a.lab.test", "www.lab.test"}}},
		},
	}
}

// TestReadIsTheInverseOfBuild is what keeps plans from showing differences that are none.
func TestReadIsTheInverseOfBuild(t *testing.T) {
	for name, change := range map[string]func(*schema.Network){
		"whole":    func(*schema.Network) {},
		"bare":     func(n *schema.Network) { *n = schema.Network{Name: "n"} },
		"isolated": func(n *schema.Network) { n.Mode = "isolated" },
		"nat":      func(n *schema.Network) { n.Mode = "nat" },
		"MTU":      func(n *schema.Network) { n.MTU = 1400 },
		"IPv6": func(n *schema.Network) {
			n.Addresses = append(n.Addresses, "2001:DB8:0::1/64")
			n.DHCP = append(n.DHCP, schema.DHCPRange{Start: "2001:db8::10", End: "2001:db8::20"})
		},
		"leases in another order": func(n *schema.Network) {
			n.Addresses = append(n.Addresses, "198.51.100.1/24")
			n.Leases = append([]schema.DHCPHost{{MAC: "52:54:00:00:00:09", IP: "198.51.100.9"}}, n.Leases...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := resource().Body.(*schema.Network)
			change(want)
			x, err := build(want, "", Meta{Declared: want})
			if err != nil {
				t.Fatal(err)
			}
			text, err := x.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			back := new(libvirtxml.Network)
			if err := back.Unmarshal(text); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, read(back, want)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestExisting: a network that is only referred to is never made or changed, and has to be there.
func TestExisting(t *testing.T) {
	conn, err := daemon.Connect("test:///default")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	p := New(conn, tap.On(host.Local{}))
	for name, there := range map[string]bool{"default": true, "nothing": false} {
		want := schema.Resource{Addr: schema.Addr{Kind: "network", Name: name}, Body: &schema.Network{Name: name, Existing: true, Mode: "isolated"}}
		objects, err := p.Read(t.Context(), "lab", []schema.Resource{want})
		if err != nil {
			t.Fatal(err)
		}
		var have *provider.Object
		if len(objects) == 1 {
			have = &objects[0]
		}
		if (have != nil) != there {
			t.Fatalf("%s: read %+v", name, objects)
		}
		c, err := p.Plan(&want, have)
		if there && (err != nil || c.Action != provider.NoOp) || !there && err == nil {
			t.Errorf("%s: %s, %v", name, c.Action, err)
		}
	}
}

// TestRefused: what no address could serve is refused before libvirt is asked.
func TestRefused(t *testing.T) {
	for want, change := range map[string]func(*schema.Network){
		"dhcp and lease": func(n *schema.Network) { n.DHCP[0].Start = "198.51.100.1" },
		"prefix length":  func(n *schema.Network) { n.Addresses = []string{"192.0.2.1"} },
	} {
		r := resource()
		change(r.Body.(*schema.Network))
		if _, err := build(r.Body.(*schema.Network), "", Meta{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that says %q", err, want)
		}
	}
}
