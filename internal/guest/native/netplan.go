package native

import (
	"fmt"
	"slices"
	"strings"

	"github.com/labctl/labctl/schema"
)

// netplan is the network in netplan's YAML, as people write it. Strings are quoted where YAML could take them for something
// else; see https://netplan.readthedocs.io/en/stable/netplan-yaml/.
func netplan(g *schema.Guest) string {
	var b strings.Builder
	line := func(depth int, format string, args ...any) {
		b.WriteString(strings.Repeat("  ", depth))
		fmt.Fprintf(&b, format+"\n", args...)
	}
	line(0, "network:")
	line(1, "version: 2")
	if len(g.Interfaces) == 0 {
		return b.String()
	}
	line(1, "ethernets:")
	for _, i := range g.Interfaces {
		line(2, "%s:", i.Name)
		line(3, "match: {macaddress: %q}", strings.ToLower(i.MAC))
		line(3, "set-name: %s", i.Name)
		// The boot waits for no lease where another interface has an address. Where all are optional, systemd 252 waits two
		// minutes for one that is not.
		if !fixed(i) && slices.ContainsFunc(g.Interfaces, fixed) {
			line(3, "optional: true")
		}
		line(3, "dhcp4: %t", i.DHCP4)
		line(3, "dhcp6: %t", i.DHCP6)
		if i.AcceptRA != nil {
			line(3, "accept-ra: %t", *i.AcceptRA)
		}
		if i.MTU != 0 {
			line(3, "mtu: %d", i.MTU)
		}
		if !i.ConnectedRoute && len(i.Addresses) > 0 {
			line(3, "# Its own subnet is not reached directly: labctl-guest takes the route away, which netplan cannot say.")
		}
		list(line, "addresses", i.Addresses)
		if len(g.Nameservers)+len(g.Search) > 0 && len(i.Addresses) > 0 {
			line(3, "nameservers:")
			inline(line, "addresses", g.Nameservers)
			inline(line, "search", g.Search)
		}
		netplanRoutes(line, routesOf(g, i), i)
	}
	return b.String()
}

func fixed(i schema.GuestInterface) bool { return len(i.Addresses) > 0 }

type liner func(depth int, format string, args ...any)

func list(line liner, key string, values []string) {
	if len(values) == 0 {
		return
	}
	line(3, "%s:", key)
	for _, v := range values {
		line(4, "- %q", v)
	}
}

func inline(line liner, key string, values []string) {
	if len(values) == 0 {
		return
	}
	quoted := make([]string, len(values))
	for n, v := range values {
		quoted[n] = fmt.Sprintf("%q", v)
	}
	line(4, "%s: [%s]", key, strings.Join(quoted, ", "))
}

func netplanRoutes(line liner, routes []schema.Route, i schema.GuestInterface) {
	if len(routes) == 0 {
		return
	}
	line(3, "routes:")
	for _, r := range routes {
		line(4, "- to: %q", to(r))
		if r.Via != "" {
			line(5, "via: %q", r.Via)
		}
		if r.Via != "" && (r.OnLink || !i.ConnectedRoute) {
			line(5, "on-link: true")
		}
		if r.Metric != 0 {
			line(5, "metric: %d", r.Metric)
		}
		if r.Table != 0 {
			line(5, "table: %d", r.Table)
		}
		if r.Source != "" {
			line(5, "from: %q", r.Source)
		}
		switch {
		case r.Type != "":
			line(5, "type: %s", r.Type)
		case r.Via == "":
			line(5, "scope: link")
		}
	}
}
