package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/labctl/labctl/internal/guest/note"
	"github.com/labctl/labctl/internal/guest/sysctl"
	"github.com/labctl/labctl/schema"
)

const netFlagUp = net.FlagUp

// live is an address as the kernel has it.
type live struct {
	prefix netip.Prefix
	addr   netlink.Addr
}

// addresses are the addresses of a link that count: what the kernel or a daemon made by itself is not among them.
func (n *Network) addresses(link netlink.Link, want schema.GuestInterface) ([]live, error) {
	all, err := whole(func() ([]netlink.Addr, error) { return netlink.AddrList(link, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list addresses of %s: %w", link.Attrs().Name, err)
	}
	declared := prefixes(want.Addresses)
	var out []live
	for _, a := range all {
		ip, ok := netip.AddrFromSlice(a.IP)
		if !ok {
			continue
		}
		ones, _ := a.Mask.Size()
		prefix := netip.PrefixFrom(ip.Unmap(), ones)
		_, wanted := declared[prefix]
		if !wanted && (ip.Is6() && ip.IsLinkLocalUnicast() || n.isLeased(a, prefix, want)) {
			continue
		}
		out = append(out, live{prefix, a})
	}
	return out, nil
}

// isLeased reports whether an address has come by DHCP or by router advertisement where the interface takes such.
func (n *Network) isLeased(a netlink.Addr, prefix netip.Prefix, want schema.GuestInterface) bool {
	if a.Flags&unix.IFA_F_PERMANENT != 0 {
		return n.Scripts && prefix.Addr().Is4() && want.DHCP4
	}
	if prefix.Addr().Is4() {
		return want.DHCP4
	}
	return want.DHCP6 || want.AcceptRA == nil || *want.AcceptRA
}

// prefixes are declared addresses by what they mean.
func prefixes(declared []string) map[netip.Prefix]string {
	out := map[netip.Prefix]string{}
	for _, text := range declared {
		if prefix, err := netip.ParsePrefix(text); err == nil {
			out[netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits())] = text
		}
	}
	return out
}

func (n *Network) observeAddresses(have *schema.GuestInterface, want schema.GuestInterface, link netlink.Link) error {
	have.Addresses = nil
	there, err := n.addresses(link, want)
	if err != nil {
		return err
	}
	declared := prefixes(want.Addresses)
	for _, text := range want.Addresses { // in the order of the declaration, which says nothing
		if slices.ContainsFunc(there, func(l live) bool { return declared[l.prefix] == text }) {
			have.Addresses = append(have.Addresses, text)
		}
	}
	routes, err := connectedRoutes(link)
	if err != nil {
		return err
	}
	for _, l := range there {
		if _, ok := declared[l.prefix]; !ok {
			have.Addresses = append(have.Addresses, l.prefix.String())
		} else if hasSubnet(l.prefix) && routes[l.prefix.Masked()] != want.ConnectedRoute && !have.Down {
			have.ConnectedRoute = !want.ConnectedRoute
		}
	}
	return nil
}

// hasSubnet reports whether an address comes with a route to its neighbours.
func hasSubnet(p netip.Prefix) bool { return p.Bits() < p.Addr().BitLen() }

// connectedRoutes are the subnets that the kernel made a route to because link has an address in them.
func connectedRoutes(link netlink.Link) (map[netip.Prefix]bool, error) {
	routes, err := allRoutes()
	if err != nil {
		return nil, err
	}
	out := map[netip.Prefix]bool{}
	for _, r := range routes {
		if r.LinkIndex == link.Attrs().Index && r.Protocol == unix.RTPROT_KERNEL && r.Table == unix.RT_TABLE_MAIN {
			out[destination(r)] = true
		}
	}
	return out, nil
}

func (n *Network) applyAddresses(link netlink.Link, want schema.GuestInterface) error {
	there, err := n.addresses(link, want)
	if err != nil {
		return err
	}
	declared := prefixes(want.Addresses)
	if err := n.dropAddresses(link, there, declared); err != nil {
		return err
	}
	// Looked at again: with a primary address the kernel may have dropped others of its subnet.
	if there, err = n.addresses(link, want); err != nil {
		return err
	}
	var errs []error
	for _, text := range want.Addresses {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			errs = append(errs, note.Refuse("%q is no address with prefix length", text))
			continue
		}
		if slices.ContainsFunc(there, func(l live) bool { return l.prefix == prefix }) {
			continue
		}
		if err := addAddress(link, prefix, want.ConnectedRoute); err != nil {
			errs = append(errs, err)
			continue
		}
		n.Did("add address %s on %s", text, want.Name)
	}
	return errors.Join(append(errs, n.applyConnected(link, want))...)
}

// dropAddresses removes what is not declared. The kernel is told to promote secondary addresses meanwhile, so that those
// that stay do not go and come back.
func (n *Network) dropAddresses(link netlink.Link, there []live, declared map[netip.Prefix]string) error {
	extra := slices.DeleteFunc(slices.Clone(there), func(l live) bool { _, ok := declared[l.prefix]; return ok })
	if len(extra) == 0 {
		return nil
	}
	promote := "net/ipv4/conf/" + link.Attrs().Name + "/promote_secondaries"
	if was, err := sysctl.Read(promote); err == nil && was == "0" && sysctl.Write(promote, "1") == nil {
		defer sysctl.Write(promote, "0") //nolint:errcheck // it is a nicety
	}
	for _, l := range extra {
		if err := netlink.AddrDel(link, &l.addr); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return fmt.Errorf("remove address %s: %w", l.prefix, err)
		}
		n.Did("remove address %s from %s", l.prefix, link.Attrs().Name)
	}
	return nil
}

// addAddress adds an address. Duplicate address detection is left out: a lab's addresses are known to be unique before
// anything is touched, and it would hold IPv6 up for a second.
func addAddress(link netlink.Link, prefix netip.Prefix, connected bool) error {
	addr := &netlink.Addr{IPNet: ipNet(prefix)}
	if prefix.Addr().Is6() {
		addr.Flags |= unix.IFA_F_NODAD
	}
	if !connected {
		addr.Flags |= unix.IFA_F_NOPREFIXROUTE
	}
	if err := netlink.AddrAdd(link, addr); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add address %s: %w", prefix, err)
	}
	return nil
}

// applyConnected makes the routes to the interface's own subnets be there or not, without touching the addresses, so that
// connections stay.
func (n *Network) applyConnected(link netlink.Link, want schema.GuestInterface) error {
	routes, err := connectedRoutes(link)
	if err != nil {
		return err
	}
	for prefix := range prefixes(want.Addresses) {
		if !hasSubnet(prefix) || routes[prefix.Masked()] == want.ConnectedRoute {
			continue
		}
		route := &netlink.Route{
			LinkIndex: link.Attrs().Index, Dst: ipNet(prefix.Masked()), Protocol: unix.RTPROT_KERNEL, Table: unix.RT_TABLE_MAIN,
		}
		if prefix.Addr().Is4() {
			route.Scope = netlink.SCOPE_LINK
		}
		verb, act := "remove", netlink.RouteDel
		if want.ConnectedRoute {
			verb, act = "add", netlink.RouteAdd
			if prefix.Addr().Is4() {
				route.Src = prefix.Addr().AsSlice()
			} else {
				route.Priority = 256 // what the kernel gives such routes (IP6_RT_PRIO_ADDRCONF)
			}
		}
		if err := act(route); err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("%s the route to %s: %w", verb, prefix.Masked(), err)
		}
		routes[prefix.Masked()] = want.ConnectedRoute
		n.Did("%s the connected route %s on %s", verb, prefix.Masked(), want.Name)
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
