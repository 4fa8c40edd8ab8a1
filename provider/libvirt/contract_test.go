package libvirt

import (
	"fmt"
	"strings"
	"testing"

	"libvirt.org/go/libvirt"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/daemon"
	"github.com/labctl/labctl/provider/providertest"
	"github.com/labctl/labctl/schema"
)

// TestContract holds the provider against the contract on libvirt's own test driver, which runs nothing and needs no root.
func TestContract(t *testing.T) {
	providertest.Run(t, func(t *testing.T) providertest.Harness {
		conn, err := Connect("test:///default")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Close)
		return harness(t, conn, schema.Resource{
			Addr: schema.Addr{Kind: "vm", Name: "a", Key: `"x y"`},
			Deps: []schema.Addr{{Kind: "bridge", Name: "br0"}},
			Body: &schema.Domain{
				Name: "lab-a", Memory: 64 << 20, MaxMemory: 256 << 20, VCPUs: 1, MaxVCPUs: 4, Virt: "auto",
				Interfaces: []schema.NIC{{Name: "eth0", Bridge: "br0", MAC: "52:54:00:00:00:01", Model: "virtio", Link: "up"}},
			},
		})
	})
}

// harness is what the contract's suite needs of a domain that is off.
func harness(t *testing.T, conn *Conn, want schema.Resource) providertest.Harness {
	t.Helper()
	name := want.Body.(*schema.Domain).Name
	root := t.TempDir()
	before := domains(t, conn)
	clean := func() {
		_ = conn.Domain(daemon.ByName(name), func(dom *libvirt.Domain) error {
			_ = dom.Destroy()
			return dom.Undefine()
		})
	}
	t.Cleanup(clean)
	return providertest.Harness{
		Lab:      "lab",
		New:      func() provider.Provider { return New(conn, host.Local{}, root) },
		Want:     want,
		Variants: variants(want),
		Foreign: func() error {
			return conn.Use(func(link *libvirt.Connect) error {
				dom, err := link.DomainDefineXML(foreignXML(conn, name))
				if err != nil {
					return err
				}
				return dom.Free()
			})
		},
		Survives: func() error {
			return conn.Domain(daemon.ByName(name), func(dom *libvirt.Domain) error {
				text, err := dom.GetXMLDesc(libvirt.DOMAIN_XML_INACTIVE)
				if err == nil && (!strings.Contains(text, "<title>of another</title>") || strings.Contains(text, schema.XMLNamespace)) {
					err = fmt.Errorf("it is now\n%s", text)
				}
				return err
			})
		},
		Mutate: func() error {
			return conn.Domain(daemon.ByName(name), func(dom *libvirt.Domain) error {
				return dom.SetVcpusFlags(3, libvirt.DOMAIN_VCPU_CONFIG)
			})
		},
		Lose: func() error {
			return conn.Domain(daemon.ByName(name), func(dom *libvirt.Domain) error { return dom.Undefine() })
		},
		Gone: func() error {
			if now := domains(t, conn); now != before {
				return fmt.Errorf("domains are %s and were %s", now, before)
			}
			return nil
		},
	}
}

// variants are what the suite changes the domain to.
func variants(want schema.Resource) []providertest.Variant {
	variant := func(label string, action provider.Action, path string, change func(*schema.Domain)) providertest.Variant {
		r := want
		d := *want.Body.(*schema.Domain)
		d.Interfaces = append([]schema.NIC{}, d.Interfaces...)
		change(&d)
		r.Body = &d
		return providertest.Variant{Name: label, Want: r, Action: action, Paths: []string{path}}
	}
	return []providertest.Variant{
		variant("memory", provider.Update, "memory", func(d *schema.Domain) { d.Memory = 128 << 20 }),
		variant("processors", provider.Update, "vcpus", func(d *schema.Domain) { d.VCPUs = 2 }),
		variant("limit", provider.Update, "max_vcpus", func(d *schema.Domain) { d.MaxVCPUs = 8 }),
		variant("description", provider.Update, "description", func(d *schema.Domain) { d.Description = "a <machine>" }),
		variant("autostart", provider.Update, "autostart", func(d *schema.Domain) { d.Autostart = true }),
		variant("bridge", provider.Update, "interface.eth0.bridge", func(d *schema.Domain) { d.Interfaces[0].Bridge = "br1" }),
		variant("another card", provider.Update, "interface.eth1", func(d *schema.Domain) {
			d.Interfaces = append(d.Interfaces, schema.NIC{Name: "eth1", Bridge: "br0", MAC: "52:54:00:00:00:02", Model: "e1000", Link: "down"})
		}),
		variant("no card", provider.Update, "interface.eth0", func(d *schema.Domain) { d.Interfaces = nil }),
		variant("boot", provider.Update, "boot", func(d *schema.Domain) { d.Boot.Order = []string{"network"} }),
		variant("patience", provider.Update, "timeouts", func(d *schema.Domain) { d.Timeouts.Boot = 7 }),
	}
}

func foreignXML(conn *Conn, name string) string {
	virt := "qemu"
	if strings.HasPrefix(conn.URI(), "test:") {
		virt = "test"
	}
	return "<domain type='" + virt + "'><name>" + name + "</name><title>of another</title><memory>65536</memory><vcpu>1</vcpu>" +
		"<os><type arch='x86_64'>hvm</type></os></domain>"
}

// domains is the names of all domains.
func domains(t *testing.T, conn *Conn) string {
	t.Helper()
	var names []string
	err := conn.Use(func(link *libvirt.Connect) error {
		list, err := link.ListAllDomains(0)
		if err != nil {
			return err
		}
		for i := range list {
			name, err := list[i].GetName()
			if err != nil {
				return err
			}
			names = append(names, name)
			_ = list[i].Free()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, " ")
}
