//go:build sandbox

package network

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"libvirt.org/go/libvirt"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/daemon"
	"github.com/labctl/labctl/provider/libvirt/tap"
	"github.com/labctl/labctl/provider/providertest"
	"github.com/labctl/labctl/schema"
)

// TestContractReal holds the provider against the contract on real networks, with their bridges, rules and dnsmasq.
func TestContractReal(t *testing.T) {
	providertest.Run(t, func(t *testing.T) providertest.Harness { return harness(t, "qemu:///system") })
}

func variant(label string, action provider.Action, path string, change func(*schema.Network)) providertest.Variant {
	r := resource()
	change(r.Body.(*schema.Network))
	return providertest.Variant{Name: label, Want: r, Action: action, Paths: []string{path}}
}

func variants() []providertest.Variant {
	return []providertest.Variant{
		variant("bridge", provider.Restart, "bridge", func(n *schema.Network) { n.Bridge = "vnetlab1" }),
		variant("mode", provider.Restart, "mode", func(n *schema.Network) { n.Mode = "isolated" }),
		variant("address", provider.Restart, "addresses", func(n *schema.Network) { n.Addresses = []string{"192.0.2.2/24"} }),
		variant("mtu", provider.Restart, "mtu", func(n *schema.Network) { n.MTU = 1400 }),
		variant("name", provider.Restart, "name", func(n *schema.Network) { n.Name = "lab-m" }),
		variant("autostart", provider.Update, "autostart", func(n *schema.Network) { n.Autostart = true }),
		variant("lease", provider.Update, "lease", func(n *schema.Network) {
			n.Leases = []schema.DHCPHost{{MAC: "52:54:00:AA:00:01", IP: "192.0.2.11", Name: "a"}, {MAC: "52:54:00:AA:00:02", IP: "192.0.2.12"}}
		}),
		variant("range", provider.Update, "dhcp", func(n *schema.Network) { n.DHCP[0].End = "192.0.2.150" }),
		variant("names", provider.Update, "dns", func(n *schema.Network) { n.DNS = nil }),
	}
}

func harness(t *testing.T, uri string) providertest.Harness {
	t.Helper()
	conn, err := daemon.Connect(uri)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	named := func(name string, f func(*libvirt.Network) error) error {
		return conn.Use(func(link *libvirt.Connect) error {
			net, err := link.LookupNetworkByName(name)
			if err != nil {
				return err
			}
			defer net.Free()
			return f(net)
		})
	}
	lose := func(net *libvirt.Network) error {
		_ = net.Destroy()
		return net.Undefine()
	}
	t.Cleanup(func() { _ = named("lab-n", lose); _ = named("lab-m", lose) })
	before := networks(t, conn)
	return providertest.Harness{
		Lab:      "lab",
		New:      func() provider.Provider { return New(conn, tap.On(host.Local{})) },
		Want:     resource(),
		Variants: variants(),
		Foreign: func() error {
			return conn.Use(func(link *libvirt.Connect) error {
				net, err := link.NetworkDefineXML("<network><name>lab-n</name><bridge name='other0'/></network>")
				if err != nil {
					return err
				}
				return net.Free()
			})
		},
		Survives: func() error {
			return named("lab-n", func(net *libvirt.Network) error {
				text, err := definition(net)
				if err == nil && (!strings.Contains(text, "other0") || strings.Contains(text, schema.XMLNamespace)) {
					err = errors.New("it is now\n" + text)
				}
				return err
			})
		},
		Mutate: func() error { return named("lab-n", func(net *libvirt.Network) error { return net.Destroy() }) },
		Lose:   func() error { return named("lab-n", lose) },
		Gone: func() error {
			if now := networks(t, conn); now != before {
				return fmt.Errorf("networks are %s and were %s", now, before)
			}
			return nil
		},
	}
}

func networks(t *testing.T, conn *daemon.Conn) string {
	t.Helper()
	var out []string
	err := conn.Use(func(link *libvirt.Connect) error {
		out = nil
		list, err := link.ListAllNetworks(0)
		if err != nil {
			return err
		}
		for i := range list {
			name, err := list[i].GetName()
			if err != nil {
				return err
			}
			out = append(out, name)
			_ = list[i].Free()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, " ")
}
