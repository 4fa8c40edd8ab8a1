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
