package native

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/labctl/labctl/schema"
)

// Files of systems with ifupdown, and of BusyBox's DHCP client as Alpine has it.
const (
	InterfacesFile = "/etc/network/interfaces"
	dhcpScript     = "/usr/share/udhcpc/default.script"
	dhcpConfig     = "/etc/udhcpc/udhcpc.conf"
)

// ifupdown is the whole of interfaces(5), in the part of it that Debian's ifupdown, Alpine's ifupdown-ng and BusyBox's ifup
// share. What these have no word for, or take differently, is said with ip(8): of several addresses of one family BusyBox takes
// none, and a route by "gateway" has metric 1 with ifupdown-ng and none with the others.
func ifupdown(g *schema.Guest) string {
	var b strings.Builder
	b.WriteString("auto lo\niface lo inet loopback\n")
	for _, i := range g.Interfaces {
		var four, six []string
		for _, address := range i.Addresses {
			if p, err := netip.ParsePrefix(address); err == nil && p.Addr().Is6() {
				six = append(six, address)
			} else {
				four = append(four, address)
			}
		}
		fmt.Fprintf(&b, "\nauto %s\n", i.Name)
		stanza(&b, i, "inet", i.DHCP4, four)
		if i.AcceptRA != nil {
			fmt.Fprintf(&b, "\tpre-up echo %s >/proc/sys/net/ipv6/conf/%s/accept_ra\n", acceptRA(*i.AcceptRA, g.Forwarding), i.Name)
		}
		routes := routesOf(g, i)
		ifupdownRoutes(&b, i, routes, false)
		if i.DHCP6 || len(six) > 0 {
			b.WriteString("\n")
			stanza(&b, i, "inet6", i.DHCP6, six)
		}
		ifupdownRoutes(&b, i, routes, true)
	}
	return b.String()
}

// stanza is an interface in one family of addresses.
func stanza(b *strings.Builder, i schema.GuestInterface, family string, dhcp bool, addresses []string) {
	method := "manual"
	switch {
	case dhcp:
		method = "dhcp"
	case len(addresses) > 0 && i.ConnectedRoute:
		method = "static"
	}
	fmt.Fprintf(b, "iface %s %s %s\n", i.Name, family, method)
	if method == "static" {
		address, bits, _ := strings.Cut(addresses[0], "/")
		fmt.Fprintf(b, "\taddress %s\n\tnetmask %s\n", address, netmask(bits, family))
		addresses = addresses[1:]
	}
	if i.MTU != 0 && family == "inet" {
		if method == "static" {
			fmt.Fprintf(b, "\tmtu %d\n", i.MTU)
		} else {
			fmt.Fprintf(b, "\tpre-up ip link set dev %s mtu %d\n", i.Name, i.MTU)
		}
	}
	if method == "manual" {
		fmt.Fprintf(b, "\tup ip link set dev %s up\n", i.Name)
	}
	for _, address := range addresses {
		fmt.Fprintf(b, "\tup ip address replace %s dev %s", address, i.Name)
		if !i.ConnectedRoute {
			b.WriteString(" noprefixroute")
		}
		b.WriteString("\n")
	}
}

// netmask is a prefix length in the one form that BusyBox takes: dotted for IPv4, a number for IPv6.
func netmask(bits, family string) string {
	n, err := strconv.Atoi(bits)
	if err != nil || family == "inet6" {
		return bits
	}
	return net.IP(net.CIDRMask(n, 32)).String()
}

func ifupdownRoutes(b *strings.Builder, i schema.GuestInterface, routes []schema.Route, six bool) {
	for _, r := range routes {
		if strings.Contains(to(r), ":") == six {
			fmt.Fprintf(b, "\tup ip route replace %s\n", strings.Join(ipRoute(r, i), " "))
		}
	}
}

// Leases are the interfaces that take leases of IPv4 by a text in the form of interfaces(5).
func Leases(text string) map[string]bool {
	out := map[string]bool{}
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) == 4 && words[0] == "iface" && words[2] == "inet" && words[3] == "dhcp" {
			out[words[1]] = true
		}
	}
	return out
}

// acceptRA is the kernel's value: 2 is 'also on a router'.
func acceptRA(accept, forwarding bool) string {
	switch {
	case !accept:
		return "0"
	case forwarding:
		return "2"
	}
	return "1"
}

// keepsResolv reports whether the DHCP client has to be told that resolv.conf is not its own: what is declared stands above what
// is leased.
func keepsResolv(g *schema.Guest) bool {
	leases := false
	for _, i := range g.Interfaces {
		leases = leases || i.DHCP4
	}
	return leases && len(g.Nameservers)+len(g.Search) > 0
}

func ipRoute(r schema.Route, i schema.GuestInterface) []string {
	words := []string{to(r)}
	nowhere := r.Type != "" && r.Type != "unicast"
	if nowhere {
		words = []string{r.Type, to(r)}
	}
	if r.Via != "" {
		words = append(words, "via", r.Via)
	}
	if !nowhere {
		words = append(words, "dev", i.Name)
	}
	if r.Source != "" {
		words = append(words, "src", r.Source)
	}
	if r.Metric != 0 {
		words = append(words, "metric", fmt.Sprint(r.Metric))
	}
	if r.Table != 0 {
		words = append(words, "table", fmt.Sprint(r.Table))
	}
	if r.Via != "" && (r.OnLink || !i.ConnectedRoute) {
		words = append(words, "onlink")
	}
	return append(words, "proto", "static")
}
