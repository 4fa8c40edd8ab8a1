package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/labctl/labctl/provider/libvirt/metadata"
	"github.com/labctl/labctl/schema"
)

// Meta is what labctl writes in a network's <metadata>.
type Meta = metadata.Meta[schema.Network]

// build is the network's XML, see https://libvirt.org/formatnetwork.html.
func build(n *schema.Network, uuid string, meta Meta) (*libvirtxml.Network, error) {
	mark, err := meta.XML()
	if err != nil {
		return nil, err
	}
	x := &libvirtxml.Network{
		Name: n.Name, UUID: uuid, Metadata: &libvirtxml.NetworkMetadata{XML: mark},
		Bridge: &libvirtxml.NetworkBridge{Name: n.Bridge, STP: "on", Delay: "0"},
	}
	if mode := modeOf(n); mode != isolated {
		x.Forward = &libvirtxml.NetworkForward{Mode: mode}
	}
	if n.MTU != 0 {
		x.MTU = &libvirtxml.NetworkMTU{Size: uint(n.MTU)}
	}
	if n.Domain != "" {
		x.Domain = &libvirtxml.NetworkDomain{Name: n.Domain, LocalOnly: "yes"}
	}
	for _, host := range n.DNS {
		if x.DNS == nil {
			x.DNS = &libvirtxml.NetworkDNS{}
		}
		x.DNS.Host = append(x.DNS.Host, dnsHost(host))
	}
	for _, text := range n.Addresses {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("addresses: %q: write it with its prefix length, as 192.0.2.1/24", text)
		}
		x.IPs = append(x.IPs, ip(n, prefix))
	}
	if err := served(n, x); err != nil {
		return nil, err
	}
	return x, nil
}

const isolated = "isolated"

// modeOf is the mode, nat unless declared.
func modeOf(n *schema.Network) string {
	if n.Mode == "" {
		return "nat"
	}
	return n.Mode
}

// ip is one address of the host, with the leases that lie in its subnet.
func ip(n *schema.Network, prefix netip.Prefix) libvirtxml.NetworkIP {
	out := libvirtxml.NetworkIP{Address: prefix.Addr().String(), Prefix: uint(prefix.Bits())}
	if prefix.Addr().Is6() {
		out.Family = "ipv6"
	}
	dhcp := &libvirtxml.NetworkDHCP{}
	for _, r := range n.DHCP {
		if contains(prefix, r.Start) {
			dhcp.Ranges = append(dhcp.Ranges, libvirtxml.NetworkDHCPRange{Start: r.Start, End: r.End})
		}
	}
	for _, lease := range n.Leases {
		if contains(prefix, lease.IP) {
			dhcp.Hosts = append(dhcp.Hosts, dhcpHost(lease))
		}
	}
	if len(dhcp.Ranges)+len(dhcp.Hosts) > 0 {
		out.DHCP = dhcp
	}
	return out
}

func dhcpHost(lease schema.DHCPHost) libvirtxml.NetworkDHCPHost {
	return libvirtxml.NetworkDHCPHost{MAC: strings.ToLower(lease.MAC), IP: lease.IP, Name: lease.Name}
}

func dnsHost(host schema.DNSHost) libvirtxml.NetworkDNSHost {
	out := libvirtxml.NetworkDNSHost{IP: host.IP}
	for _, name := range host.Names {
		out.Hostnames = append(out.Hostnames, libvirtxml.NetworkDNSHostHostname{Hostname: name})
	}
	return out
}

func contains(prefix netip.Prefix, text string) bool {
	addr, err := netip.ParseAddr(text)
	return err == nil && prefix.Masked().Contains(addr)
}

// served refuses ranges and leases that no address of the host on the network could serve.
func served(n *schema.Network, x *libvirtxml.Network) error {
	count := 0
	for _, address := range x.IPs {
		if address.DHCP != nil {
			count += len(address.DHCP.Ranges) + len(address.DHCP.Hosts)
		}
	}
	if count != len(n.DHCP)+len(n.Leases) {
		return fmt.Errorf("dhcp and lease: one of them lies in the subnet of none of the network's addresses %s", strings.Join(n.Addresses, ", "))
	}
	return nil
}

// read is what a network's XML says in the lab's terms; what was left to libvirt and still is stays undeclared.
func read(x *libvirtxml.Network, was *schema.Network) *schema.Network {
	if was == nil {
		was = &schema.Network{}
	}
	n := &schema.Network{Name: x.Name, Existing: was.Existing, Forward: was.Forward, Mode: isolated}
	if x.Forward != nil {
		n.Mode = x.Forward.Mode
		if n.Mode == "" {
			n.Mode = "nat"
		}
	}
	if n.Mode == modeOf(was) {
		n.Mode = was.Mode
	}
	if x.Bridge != nil && was.Bridge != "" {
		n.Bridge = x.Bridge.Name
	}
	if x.MTU != nil {
		n.MTU = int(x.MTU.Size)
	}
	if x.Domain != nil {
		n.Domain = x.Domain.Name
	}
	if x.DNS != nil {
		for _, host := range x.DNS.Host {
			entry := schema.DNSHost{IP: host.IP}
			for _, name := range host.Hostnames {
				entry.Names = append(entry.Names, name.Hostname)
			}
			n.DNS = append(n.DNS, entry)
		}
	}
	for _, address := range x.IPs {
		n.Addresses = append(n.Addresses, prefixOf(address))
		if address.DHCP == nil {
			continue
		}
		for _, r := range address.DHCP.Ranges {
			n.DHCP = append(n.DHCP, schema.DHCPRange{Start: r.Start, End: r.End})
		}
		for _, host := range address.DHCP.Hosts {
			n.Leases = append(n.Leases, schema.DHCPHost{MAC: host.MAC, IP: host.IP, Name: host.Name})
		}
	}
	n.Addresses = like(was.Addresses, n.Addresses, func(s string) string { return canonical(s) })
	n.DHCP = like(was.DHCP, n.DHCP, func(r schema.DHCPRange) string { return r.Start + "-" + r.End })
	n.Leases = like(was.Leases, n.Leases, func(h schema.DHCPHost) string { return strings.ToLower(h.MAC) + " " + h.IP + " " + h.Name })
	n.DNS = like(was.DNS, n.DNS, func(h schema.DNSHost) string { return h.IP + " " + strings.Join(h.Names, " ") })
	return n
}

// prefixOf is an address as the lab writes it.
func prefixOf(address libvirtxml.NetworkIP) string {
	addr, err := netip.ParseAddr(address.Address)
	if err != nil {
		return address.Address
	}
	bits := int(address.Prefix)
	if mask, err := netip.ParseAddr(address.Netmask); err == nil && mask.Is4() {
		bits = 0
		for _, b := range mask.As4() {
			for ; b != 0; b <<= 1 {
				bits++
			}
		}
	}
	return netip.PrefixFrom(addr, bits).String()
}

func canonical(text string) string {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return text
	}
	return prefix.String()
}

// like is the declared list where the actual one says the same in another order or spelling.
func like[T any](declared, actual []T, key func(T) string) []T {
	keys := func(list []T) []string {
		out := make([]string, len(list))
		for i, element := range list {
			out[i] = key(element)
		}
		slices.Sort(out)
		return out
	}
	if slices.Equal(keys(declared), keys(actual)) {
		return declared
	}
	return actual
}
