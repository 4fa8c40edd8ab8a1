package native

import (
	"fmt"
	"strings"

	"github.com/labctl/labctl/schema"
)

// networkd is one interface as systemd.network(5) has it.
func networkd(g *schema.Guest, i schema.GuestInterface) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[Match]\nMACAddress=%s\n", i.MAC)
	if i.MTU != 0 {
		fmt.Fprintf(&b, "\n[Link]\nMTUBytes=%d\n", i.MTU)
	}
	dhcp := map[[2]bool]string{{true, true}: "yes", {true, false}: "ipv4", {false, true}: "ipv6", {false, false}: "no"}
	fmt.Fprintf(&b, "\n[Network]\nDHCP=%s\n", dhcp[[2]bool{i.DHCP4, i.DHCP6}])
	if i.AcceptRA != nil {
		fmt.Fprintf(&b, "IPv6AcceptRA=%t\n", *i.AcceptRA)
	}
	for _, server := range g.Nameservers {
		fmt.Fprintf(&b, "DNS=%s\n", server)
	}
	if len(g.Search) > 0 {
		fmt.Fprintf(&b, "Domains=%s\n", strings.Join(g.Search, " "))
	}
	for _, address := range i.Addresses {
		fmt.Fprintf(&b, "\n[Address]\nAddress=%s\n", address)
		if !i.ConnectedRoute {
			b.WriteString("AddPrefixRoute=no\n")
		}
	}
	for _, r := range routesOf(g, i) {
		fmt.Fprintf(&b, "\n[Route]\nDestination=%s\n", to(r))
		if r.Via != "" {
			fmt.Fprintf(&b, "Gateway=%s\n", r.Via)
		}
		if r.Via != "" && (r.OnLink || !i.ConnectedRoute) {
			b.WriteString("GatewayOnLink=yes\n")
		}
		for _, option := range []struct {
			key   string
			value int
		}{{"Metric", r.Metric}, {"Table", r.Table}} {
			if option.value != 0 {
				fmt.Fprintf(&b, "%s=%d\n", option.key, option.value)
			}
		}
		if r.Source != "" {
			fmt.Fprintf(&b, "PreferredSource=%s\n", r.Source)
		}
		if r.Type != "" {
			fmt.Fprintf(&b, "Type=%s\n", r.Type)
		}
	}
	return b.String()
}

// ifupdown is the whole of interfaces(5), in the part of it that Debian's and BusyBox's ifup share. What these have no word
// for is said with ip(8).
func ifupdown(g *schema.Guest) string {
	var b strings.Builder
	b.WriteString("auto lo\niface lo inet loopback\n")
	for _, i := range g.Interfaces {
		method := "manual"
		if i.DHCP4 {
			method = "dhcp"
		}
		fmt.Fprintf(&b, "\nauto %s\niface %s inet %s\n\tup ip link set %s up\n", i.Name, i.Name, method, i.Name)
		if i.MTU != 0 {
			fmt.Fprintf(&b, "\tup ip link set %s mtu %d\n", i.Name, i.MTU)
		}
		for _, address := range i.Addresses {
			fmt.Fprintf(&b, "\tup ip address replace %s dev %s", address, i.Name)
			if !i.ConnectedRoute {
				b.WriteString(" noprefixroute")
			}
			b.WriteString("\n")
		}
		for _, r := range routesOf(g, i) {
			fmt.Fprintf(&b, "\tup ip route replace %s\n", strings.Join(ipRoute(r, i), " "))
		}
		if i.DHCP6 {
			fmt.Fprintf(&b, "\niface %s inet6 dhcp\n", i.Name)
		}
	}
	return b.String()
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
