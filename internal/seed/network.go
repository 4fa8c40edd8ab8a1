package seed

import (
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/labctl/labctl/schema"
)

// networkConfig is the guest's network in version 2 of cloud-init's format, which is netplan's. What it cannot say (an
// address with no route to its subnet) the helper does.
func networkConfig(g *schema.Guest) ([]byte, error) {
	ethernets := map[string]any{}
	for _, nic := range g.Interfaces {
		ethernets[nic.Name] = ethernet(g, nic)
	}
	return yaml.Marshal(map[string]any{"version": 2, "ethernets": ethernets})
}

func ethernet(g *schema.Guest, nic schema.GuestInterface) map[string]any {
	link := map[string]any{
		"match": map[string]any{"macaddress": strings.ToLower(nic.MAC)}, "set-name": nic.Name,
		"dhcp4": nic.DHCP4, "dhcp6": nic.DHCP6,
	}
	// The boot waits for no lease where another interface has an address. It must wait for some interface: where all are
	// optional, systemd 252 waits two minutes for one that is not.
	fixed := func(other schema.GuestInterface) bool { return len(other.Addresses) > 0 }
	if !fixed(nic) && slices.ContainsFunc(g.Interfaces, fixed) {
		link["optional"] = true
	}
	if nic.MTU != 0 {
		link["mtu"] = nic.MTU
	}
	if nic.AcceptRA != nil {
		link["accept-ra"] = *nic.AcceptRA
	}
	if len(nic.Addresses) > 0 {
		link["addresses"] = list(nic.Addresses)
	}
	if len(g.Nameservers)+len(g.Search) > 0 && len(nic.Addresses) > 0 {
		servers := map[string]any{}
		if len(g.Nameservers) > 0 {
			servers["addresses"] = list(g.Nameservers)
		}
		if len(g.Search) > 0 {
			servers["search"] = list(g.Search)
		}
		link["nameservers"] = servers
	}
	var routes []any
	for _, r := range g.Routes {
		if r.Interface == nic.Name {
			routes = append(routes, route(r))
		}
	}
	if routes != nil {
		link["routes"] = routes
	}
	return link
}

func route(r schema.Route) map[string]any {
	out := map[string]any{"to": r.To}
	switch r.To {
	case "default":
		out["to"] = "0.0.0.0/0"
		if strings.Contains(r.Via, ":") {
			out["to"] = "::/0"
		}
	case "default6":
		out["to"] = "::/0"
	}
	for key, value := range map[string]string{"via": r.Via, "from": r.Source, "type": r.Type} {
		if value != "" {
			out[key] = value
		}
	}
	for key, value := range map[string]int{"metric": r.Metric, "table": r.Table} {
		if value != 0 {
			out[key] = value
		}
	}
	if r.OnLink {
		out["on-link"] = true
	}
	return out
}
