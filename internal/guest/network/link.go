package network

import (
	"errors"
	"fmt"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/labctl/labctl/schema"
)

// virtual are the types of links that take the MAC of another one and so are no NIC.
var virtual = map[string]bool{"bridge": true, "vlan": true, "macvlan": true, "macvtap": true, "bond": true, "team": true, "ipvlan": true, "vrf": true}

// nics are the guest's links by MAC.
func nics() (map[string]netlink.Link, error) {
	links, err := whole(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	byMAC := map[string]netlink.Link{}
	for _, link := range links {
		mac := link.Attrs().HardwareAddr.String()
		if mac != "" && !virtual[link.Type()] {
			byMAC[mac] = link
		}
	}
	return byMAC, nil
}

func nicOf(byMAC map[string]netlink.Link, want schema.GuestInterface) (netlink.Link, error) {
	if link, ok := byMAC[strings.ToLower(want.MAC)]; ok {
		return link, nil
	}
	return nil, fmt.Errorf("no network card with MAC %s is in this guest, or its kernel has no driver for the card's model", want.MAC)
}

func (n *Network) observeLinks() error {
	n.have.Interfaces = nil
	byMAC, err := nics()
	if err != nil {
		return err
	}
	var errs []error
	for _, want := range n.Want.Interfaces {
		link, err := nicOf(byMAC, want)
		if err != nil {
			continue // missing from what is there
		}
		have := want
		have.Name = link.Attrs().Name
		have.Down = link.Attrs().Flags&netFlagUp == 0
		if want.MTU != 0 || n.keptMTU(want.MAC) != 0 {
			have.MTU = link.Attrs().MTU
		}
		errs = append(errs, n.observeAddresses(&have, want, link), observeAcceptRA(&have, want, n.Want.Forwarding), observeImpair(&have, want, link))
		n.have.Interfaces = append(n.have.Interfaces, have)
	}
	return errors.Join(errs...)
}

// ApplyNames gives every NIC its declared name, before anything refers to it.
func (n *Network) ApplyNames() {
	byMAC, err := nics()
	if err != nil {
		n.Problem("interface", err)
		return
	}
	for i, want := range n.Want.Interfaces {
		link, err := nicOf(byMAC, want)
		if err != nil || link.Attrs().Name == want.Name {
			continue
		}
		n.Problem(interfacePath(want), n.rename(link, want.Name, i))
	}
}

// rename gives link the name; a link that has it gets another one, and its own later if it is declared too.
func (n *Network) rename(link netlink.Link, name string, i int) error {
	if holder, err := netlink.LinkByName(name); err == nil {
		if err := setName(holder, fmt.Sprintf("labctl%d", i)); err != nil {
			return err
		}
	}
	old := link.Attrs().Name
	if now, err := netlink.LinkByIndex(link.Attrs().Index); err == nil {
		link = now // it may have been moved out of another one's way
	}
	if err := setName(link, name); err != nil {
		return err
	}
	n.Did("rename %s to %s", old, name)
	return nil
}

// setName renames a link. Kernels before 6.2 do so only while it is down.
func setName(link netlink.Link, name string) error {
	if netlink.LinkSetName(link, name) == nil {
		return nil
	}
	if err := netlink.LinkSetDown(link); err != nil {
		return fmt.Errorf("rename to %s: %w", name, err)
	}
	if err := netlink.LinkSetName(link, name); err != nil {
		return fmt.Errorf("rename to %s: %w", name, err)
	}
	return netlink.LinkSetUp(link)
}

func (n *Network) applyLinks() {
	byMAC, err := nics()
	if err != nil {
		n.Problem("interface", err)
		return
	}
	for _, want := range n.Want.Interfaces {
		link, err := nicOf(byMAC, want)
		if err != nil {
			n.Problem(interfacePath(want), err)
			continue
		}
		n.Problem(interfacePath(want), n.applyLink(link, want))
		n.Problem(interfacePath(want)+".addresses", n.applyAddresses(link, want))
		n.Problem(interfacePath(want)+".accept_ra", n.applyAcceptRA(want))
		n.Problem(interfacePath(want)+".impair", n.applyImpair(link, want))
	}
}

func (n *Network) applyLink(link netlink.Link, want schema.GuestInterface) error {
	mtu := want.MTU
	if mtu == 0 && n.keptMTU(want.MAC) != 0 {
		mtu = n.Before[want.MAC]
	}
	if mtu != 0 && link.Attrs().MTU != mtu {
		if err := netlink.LinkSetMTU(link, mtu); err != nil {
			return fmt.Errorf("set MTU %d: %w", mtu, err)
		}
		n.Did("set MTU of %s to %d", want.Name, mtu)
	}
	if link.Attrs().Flags&netFlagUp == 0 {
		if err := netlink.LinkSetUp(link); err != nil {
			return fmt.Errorf("set up: %w", err)
		}
		n.Did("set %s up", want.Name)
	}
	return nil
}

// keptMTU is the MTU that was declared before, 0 for none.
func (n *Network) keptMTU(mac string) int {
	for _, i := range n.Kept.Interfaces {
		if strings.EqualFold(i.MAC, mac) {
			return i.MTU
		}
	}
	return 0
}

// MTUBefore is, by MAC, how large packets were before a size was declared.
func (n *Network) MTUBefore() map[string]int {
	before := map[string]int{}
	byMAC, err := nics()
	if err != nil {
		return before // applyLinks says so
	}
	for _, want := range n.Want.Interfaces {
		was, known := n.Before[want.MAC]
		if link, err := nicOf(byMAC, want); !known && err == nil {
			was = link.Attrs().MTU
		}
		if was != 0 && want.MTU != 0 {
			before[want.MAC] = was
		}
	}
	return before
}

func interfacePath(i schema.GuestInterface) string { return "interface." + i.Name }
