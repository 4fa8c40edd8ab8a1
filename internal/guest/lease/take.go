package lease

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Lease is what a DHCP server gave.
type Lease struct {
	Interface string
	Address   netip.Prefix
	Routers   []netip.Addr
	Servers   []string // for names
	Domain    string
	Seconds   int // how long it lasts; 0 is for ever
}

// Parse reads a lease from the environment that udhcpc gives its script.
func Parse(env func(string) string) (Lease, error) {
	l := Lease{Interface: env("interface"), Servers: strings.Fields(env("dns")), Domain: env("domain")}
	if l.Interface == "" {
		return l, errors.New("udhcpc named no interface")
	}
	address, err := netip.ParseAddr(env("ip"))
	if err != nil {
		return l, fmt.Errorf("the lease's address: %w", err)
	}
	bits, err := strconv.Atoi(env("mask"))
	if err != nil || bits < 0 || bits > 32 {
		return l, fmt.Errorf("the lease's mask %q is no number of bits", env("mask"))
	}
	l.Address = netip.PrefixFrom(address, bits)
	for _, text := range strings.Fields(env("router")) {
		router, err := netip.ParseAddr(text)
		if err != nil {
			return l, fmt.Errorf("the lease's router: %w", err)
		}
		l.Routers = append(l.Routers, router)
	}
	if l.Seconds, err = strconv.Atoi(env("lease")); err != nil && env("lease") != "" {
		return l, fmt.Errorf("the lease's time %q is no number of seconds", env("lease"))
	}
	return l, nil
}

// Take puts a lease into the kernel: the address with its lifetime, which marks it as leased, and a default route by each
// router, which marks itself as learnt (RTPROT_DHCP). Leased addresses of before go.
func (l Lease) Take() error {
	link, err := netlink.LinkByName(l.Interface)
	if err != nil {
		return err
	}
	address := &netlink.Addr{
		IPNet:    &net.IPNet{IP: l.Address.Addr().AsSlice(), Mask: net.CIDRMask(l.Address.Bits(), 32)},
		ValidLft: l.Seconds, PreferedLft: l.Seconds,
	}
	if err := netlink.AddrReplace(link, address); err != nil {
		return fmt.Errorf("set the leased address %s: %w", l.Address, err)
	}
	if err := dropAddresses(link, l.Address); err != nil {
		return err
	}
	return l.routes(link)
}

func (l Lease) routes(link netlink.Link) error {
	old, err := leasedRoutes(link)
	if err != nil {
		return err
	}
	for n, router := range l.Routers {
		route := &netlink.Route{
			LinkIndex: link.Attrs().Index, Gw: router.AsSlice(), Protocol: unix.RTPROT_DHCP, Priority: n, Flags: int(netlink.FLAG_ONLINK),
			Dst: &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)},
		}
		err := netlink.RouteAppend(route)
		if errors.Is(err, unix.EEXIST) {
			err = nil
		}
		if err != nil {
			return fmt.Errorf("set the route by the leased router %s: %w", router, err)
		}
	}
	for _, r := range old {
		if router, ok := netip.AddrFromSlice(r.Gw); ok && slices.Contains(l.Routers, router.Unmap()) {
			continue
		}
		if err := netlink.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}

// Drop takes what was leased on an interface out of the kernel.
func Drop(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	routes, err := leasedRoutes(link)
	if err != nil {
		return err
	}
	for _, r := range routes {
		if err := netlink.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return dropAddresses(link, netip.Prefix{})
}

func leasedRoutes(link netlink.Link) ([]netlink.Route, error) {
	filter := &netlink.Route{LinkIndex: link.Attrs().Index, Protocol: unix.RTPROT_DHCP}
	return netlink.RouteListFiltered(netlink.FAMILY_V4, filter, netlink.RT_FILTER_OIF|netlink.RT_FILTER_PROTOCOL)
}

// dropAddresses removes the leased addresses of a link but one.
func dropAddresses(link netlink.Link, but netip.Prefix) error {
	all, err := netlink.AddrList(link, netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	for _, a := range all {
		ip, _ := netip.AddrFromSlice(a.IP)
		if a.Flags&unix.IFA_F_PERMANENT != 0 || ip.Unmap() == but.Addr() {
			continue
		}
		if err := netlink.AddrDel(link, &a); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return err
		}
	}
	return nil
}
