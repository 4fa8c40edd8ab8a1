package daemon

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/labctl/labctl/provider/libvirt/domainxml"
)

// Outside is what libvirt itself knows of a running machine, with no word from inside it.
type Outside struct {
	Leases  []string // addresses that libvirt's networks have leased to its cards, with prefix lengths, IPv4 first
	Screens []string // where its screens are, such as vnc://127.0.0.1:5900
}

// Outside asks for a domain's leases and screens. One that is off has neither.
func (c *Conn) Outside(_ context.Context, domain string) (Outside, error) {
	var out Outside
	err := c.Domain(ByName(domain), func(dom *libvirt.Domain) error {
		out = Outside{}
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
			return nil
		}
		out.Screens = domainxml.Screens(x.Devices.Graphics)
		onNetwork := func(card libvirtxml.DomainInterface) bool { return card.Source != nil && card.Source.Network != nil }
		if !slices.ContainsFunc(x.Devices.Interfaces, onNetwork) {
			return nil
		}
		cards, err := dom.ListAllInterfaceAddresses(libvirt.DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE)
		out.Leases = leased(cards)
		return err
	})
	return out, powerError("ask for the leases of", domain, err)
}

func leased(cards []libvirt.DomainInterface) []string {
	var list []string
	for _, card := range cards {
		for _, a := range card.Addrs {
			list = append(list, fmt.Sprintf("%s/%d", a.Addr, a.Prefix))
		}
	}
	version := func(address string) int { return strings.Count(address, ":") }
	slices.SortStableFunc(list, func(a, b string) int { return min(version(a), 1) - min(version(b), 1) })
	return list
}
