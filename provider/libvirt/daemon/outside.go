package daemon

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/labctl/labctl/provider/libvirt/domainxml"
	"github.com/labctl/labctl/schema"
)

// Outside is what libvirt itself knows of a running machine, with no word from inside it.
type Outside struct {
	Leases  []string // addresses that libvirt's networks have leased to its cards, with prefix lengths, IPv4 first
	Screens []string // where its screens are, such as vnc://127.0.0.1:5900
}

// Outside asks for a domain's leases and screens. One that is off has neither.
func (c *Conn) Outside(_ context.Context, domain string) (Outside, error) {
	var out Outside
	err := c.running(domain, func(x *libvirtxml.Domain, leases map[string][]string) {
		out = Outside{Screens: screens(x)}
		for _, card := range x.Devices.Interfaces {
			out.Leases = append(out.Leases, leases[macOf(card)]...)
		}
		fourFirst(out.Leases)
	})
	return out, powerError("ask for the leases of", domain, err)
}

// screens are where a running domain's screens can be reached.
func screens(x *libvirtxml.Domain) []string {
	return slices.DeleteFunc(domainxml.Screens(x.Devices.Graphics), func(text string) bool { return text == "" })
}

// Facts is what libvirt knows of a lab's machine that runs; nil where it does not run.
func (c *Conn) Facts(_ context.Context, d *schema.Domain) (*schema.Facts, error) {
	var facts *schema.Facts
	err := c.running(d.Name, func(x *libvirtxml.Domain, leases map[string][]string) {
		facts = &schema.Facts{Leases: make(map[string][]string), Screens: domainxml.Screens(x.Devices.Graphics)}
		facts.Serials, facts.Consoles = domainxml.Terminals(x.Devices, d)
		for _, card := range domainxml.Read(x, domainxml.Meta{Declared: d}).Interfaces {
			facts.Leases[card.Name] = leases[strings.ToLower(card.MAC)]
		}
	})
	if Is(err, libvirt.ERR_NO_DOMAIN) {
		return nil, nil
	}
	return facts, powerError("ask for the leases of", d.Name, err)
}

// running gives f a domain that runs, with its live XML and what libvirt's networks have leased to its cards, by their MAC
// addresses.
func (c *Conn) running(domain string, f func(x *libvirtxml.Domain, leases map[string][]string)) error {
	return c.Domain(ByName(domain), func(dom *libvirt.Domain) error {
		active, err := dom.IsActive()
		if err != nil || !active {
			return err
		}
		text, err := dom.GetXMLDesc(0)
		if err != nil {
			return err
		}
		x := new(libvirtxml.Domain)
		if err := x.Unmarshal(text); err != nil {
			return err
		}
		if x.Devices == nil {
			x.Devices = new(libvirtxml.DomainDeviceList)
		}
		leases := make(map[string][]string)
		onNetwork := func(card libvirtxml.DomainInterface) bool { return card.Source != nil && card.Source.Network != nil }
		if slices.ContainsFunc(x.Devices.Interfaces, onNetwork) {
			cards, err := dom.ListAllInterfaceAddresses(libvirt.DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE)
			if err != nil {
				return err
			}
			for _, card := range cards {
				mac := strings.ToLower(card.Hwaddr)
				for _, a := range card.Addrs {
					leases[mac] = append(leases[mac], fmt.Sprintf("%s/%d", a.Addr, a.Prefix))
				}
				fourFirst(leases[mac])
			}
		}
		f(x, leases)
		return nil
	})
}

func macOf(card libvirtxml.DomainInterface) string {
	if card.MAC == nil {
		return ""
	}
	return strings.ToLower(card.MAC.Address)
}

// fourFirst puts IPv4 addresses before the others.
func fourFirst(list []string) {
	version := func(address string) int { return min(strings.Count(address, ":"), 1) }
	slices.SortStableFunc(list, func(a, b string) int { return version(a) - version(b) })
}
