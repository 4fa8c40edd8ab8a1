// Package native writes a guest's configuration in the words of its own system, so that who logs in sees a machine that is
// configured as usual, and so that the system's own daemons want what the lab wants.
//
// It is not what makes the guest so: netlink does that, and the helper at boot. What a system's files cannot say (with netplan, an
// address without the route to its subnet) stays with the helper.
package native

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/labctl/labctl/schema"
)

// Kind is how a guest's system configures its network.
type Kind string

// The kinds.
const (
	None     Kind = ""         // the micro image, or a system that is not known here
	Netplan  Kind = "netplan"  // whichever daemon is below it
	Networkd Kind = "networkd" // without netplan
	Ifupdown Kind = "ifupdown" // Debian's, and Alpine's
)

// Header begins every file.
const Header = "# Written by labctl from what the lab declares. A change here is drift.\n"

// Paths that other code asks for.
const (
	NetplanFile   = "/etc/netplan/90-labctl.yaml"
	CloudNetplan  = "/etc/netplan/50-cloud-init.yaml" // cloud-init's, from the first boot
	NetplanTool   = "/usr/libexec/netplan/generate"   // what systemd runs at boot, without netplan's Python
	NetworkFolder = "/etc/systemd/network"
)

// Detect finds the kind out. exists tells whether a path is there.
func Detect(exists func(path string) bool) Kind {
	switch {
	case exists("/etc/netplan") && (exists("/usr/sbin/netplan") || exists("/usr/bin/netplan")):
		return Netplan
	case exists("/run/systemd/netif/state"): // it runs
		return Networkd
	case exists(InterfacesFile) && (exists("/sbin/ifup") || exists("/usr/sbin/ifup")):
		return Ifupdown
	}
	return None
}

// Files are the files that say what g says, by the system of the kind.
func Files(kind Kind, g *schema.Guest, exists func(path string) bool) []schema.File {
	if kind == None {
		return nil
	}
	var out []schema.File
	add := func(path, content, mode string) {
		out = append(out, schema.File{Path: path, Content: Header + content, Mode: mode})
	}
	switch kind {
	case Netplan:
		add(NetplanFile, netplan(g), "0600") // netplan warns of files that others may read
		if exists(CloudNetplan) {
			// Lists in two files are joined, so the addresses of the first boot would come back.
			add(CloudNetplan, "# It was cloud-init's; see "+NetplanFile+".\nnetwork:\n  version: 2\n", "0600")
		}
	case Networkd:
		for _, i := range g.Interfaces {
			base := NetworkFolder + "/10-labctl-" + i.Name
			add(base+".link", fmt.Sprintf("[Match]\nMACAddress=%s\n\n[Link]\nName=%s\n", i.MAC, i.Name), "0644")
			add(base+".network", networkd(g, i), "0644")
		}
	case Ifupdown:
		add(InterfacesFile, ifupdown(g), "0644")
		if keepsResolv(g) && exists(dhcpScript) {
			add(dhcpConfig, "RESOLV_CONF=no\n", "0644")
		}
	}
	if exists("/etc/cloud/cloud.cfg.d") {
		add("/etc/cloud/cloud.cfg.d/99-labctl-network.cfg", "network: {config: disabled}\n", "0644")
	}
	if text := sysctl(g); text != "" {
		add("/etc/sysctl.d/90-labctl.conf", text, "0644")
	}
	if path := RulesFile(exists); g.Ruleset != nil && path != "" {
		out = append(out, schema.File{Path: path, Mode: "0755", Content: "#!/usr/sbin/nft -f\n" + Header + "flush ruleset\n" + g.Ruleset.Text})
	}
	return out
}

// RulesFile is what the system's nftables service loads at boot, "" where it has none: Debian's, or Alpine's.
func RulesFile(exists func(path string) bool) string {
	for _, path := range []string{"/etc/nftables.conf", "/etc/nftables.nft"} {
		if exists(path) {
			return path
		}
	}
	return ""
}

func sysctl(g *schema.Guest) string {
	var b strings.Builder
	if g.Forwarding {
		b.WriteString("net.ipv4.ip_forward = 1\nnet.ipv6.conf.all.forwarding = 1\n")
		b.WriteString("net.ipv4.conf.all.send_redirects = 0\nnet.ipv4.conf.default.send_redirects = 0\n")
	}
	for _, key := range slices.Sorted(maps.Keys(g.Sysctl)) {
		fmt.Fprintf(&b, "%s = %s\n", key, g.Sysctl[key])
	}
	return b.String()
}

// byIndex finds rules that name a link by its index, which must be there when they are loaded.
var byIndex = regexp.MustCompile(`\b[io]if\s+(?:!=\s*)?"?([^\s"{]+)|\bdevices?\b|\b[io]if\s*\{`)

// LoadsEarly reports whether the rules can be loaded before any NIC is there, as the system's nftables service does.
func LoadsEarly(r *schema.Ruleset) bool {
	for _, m := range byIndex.FindAllStringSubmatch(r.Text, -1) {
		if m[1] != "lo" {
			return false
		}
	}
	return true
}

// to is a destination in the words of both netplan and networkd.
func to(r schema.Route) string {
	switch {
	case r.To == "default6" || r.To == "default" && strings.Contains(r.Via, ":"):
		return "::/0"
	case r.To == "default":
		return "0.0.0.0/0"
	}
	return r.To
}

// routesOf are the routes that leave by an interface; those that lead nowhere stand with the first one.
func routesOf(g *schema.Guest, i schema.GuestInterface) []schema.Route {
	var out []schema.Route
	for _, r := range g.Routes {
		if way(g, r) == i.Name {
			out = append(out, r)
		}
	}
	return out
}

// way is the interface that a route is written with: the declared one, else the one in whose subnet the gateway is, else the first.
func way(g *schema.Guest, r schema.Route) string {
	if r.Interface != "" {
		return r.Interface
	}
	via, _ := netip.ParseAddr(r.Via)
	for _, i := range g.Interfaces {
		for _, address := range i.Addresses {
			if p, err := netip.ParsePrefix(address); err == nil && p.Contains(via) {
				return i.Name
			}
		}
	}
	if len(g.Interfaces) == 0 {
		return ""
	}
	return g.Interfaces[0].Name
}
