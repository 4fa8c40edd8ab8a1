package assemble

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/decode"
	"github.com/labctl/labctl/schema/diag"
	"github.com/labctl/labctl/schema/ruleset"
)

// labHosts lists the hosts; a lab that declares none is carried by this machine.
func (a *Assembler) labHosts() ([]schema.Host, hcl.Diagnostics) {
	if len(a.byKind["host"]) == 0 {
		return []schema.Host{{URI: "qemu:///system"}}, nil
	}
	var out []schema.Host
	for _, b := range a.hosts {
		h := schema.Host{Name: b.addr.Name}
		a.reader.Fill(b.node, &h)
		out = append(out, h)
	}
	return out, append(a.placed(), a.elsewhere(out)...)
}

// sshDestination is what ssh takes for a machine, and for nothing else: no option, no URI.
var sshDestination = regexp.MustCompile(`^([A-Za-z0-9._][A-Za-z0-9._+-]*@)?([A-Za-z0-9_][A-Za-z0-9._-]*|[0-9A-Fa-f:]*:[0-9A-Fa-f:]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?$`)

// elsewhere checks how hosts are reached over ssh.
func (a *Assembler) elsewhere(hosts []schema.Host) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for n, h := range hosts {
		if h.SSH != "" && !sshDestination.MatchString(h.SSH) {
			diags = append(diags, diag.New(diag.Malformed, a.hosts[n].node.At("ssh"), fmt.Sprintf("%q is no destination of ssh", h.SSH),
				`Write it as "USER@HOST", or "USER@HOST:PORT" where the port is not 22. HOST may be a name from your ssh configuration.`))
		}
	}
	return diags
}

// placed checks that everything is on a host that there is.
func (a *Assembler) placed() hcl.Diagnostics {
	var names []string
	for _, b := range a.byKind["host"] {
		names = append(names, b.addr.Name)
	}
	slices.Sort(names)
	var diags hcl.Diagnostics
	for _, b := range a.blocks {
		if b.node.Failed || b.node.Def.Attr("host") == nil || slices.Contains(names, b.host) {
			continue
		}
		listed := "host = host." + strings.Join(names, ", or host = host.")
		if b.host == "" {
			diags = append(diags, diag.New(diag.MissingArgument, b.node.DefRange, fmt.Sprintf("It is not said which host carries the %s", b.addr.Kind),
				"The lab has labelled hosts. Say which: "+listed+"."))
			continue
		}
		diags = append(diags, diag.New(diag.UnknownRef, b.node.At("host"), fmt.Sprintf("There is no host %q", b.host), "Write "+listed+"."))
	}
	return diags
}

// hostResources are the kernel settings and the tables of a host.
func (a *Assembler) hostResources(h schema.Host, b *block) ([]schema.Resource, hcl.Diagnostics) {
	var out []schema.Resource
	var sets []*schema.Ruleset
	var diags hcl.Diagnostics
	addr := schema.Addr{Kind: "host", Name: h.Name}
	var sensitive []string
	if b != nil {
		sensitive = b.node.SensitivePaths()
		if values := sysctls(b); len(values) > 0 {
			part := addr
			part.Part = "sysctl"
			out = append(out, schema.Resource{Addr: part, Host: h.Name, Sensitive: within(sensitive, "sysctl", "values"), Body: &schema.Sysctl{Values: values}})
		}
		sets, diags = a.attached(b, true)
	}
	masquerade, more := a.masquerade(h.Name)
	diags = append(diags, more...)
	if set := ruleset.Join(append(sets, masquerade)...); set != nil {
		addr.Part = "nftables"
		r := schema.Resource{Addr: addr, Host: h.Name, Body: set}
		if slices.Contains(sensitive, "nftables") {
			r.Sensitive = []string{"text", "table"} // differences are told by table
		}
		out = append(out, r)
	}
	return out, diags
}

// within turns the paths below an argument into those of a body's field.
func within(paths []string, name, field string) []string {
	var out []string
	for _, path := range paths {
		if path == name || strings.HasPrefix(path, name+".") {
			out = append(out, field+strings.TrimPrefix(path, name))
		}
	}
	return out
}

func sysctls(b *block) map[string]string {
	values := make(map[string]string)
	if b.node.Has("forwarding") {
		on := "0"
		if b.node.Flag("forwarding") {
			on = "1"
		}
		values["net.ipv4.ip_forward"], values["net.ipv6.conf.all.forwarding"] = on, on
	}
	if v, ok := b.node.Value("sysctl"); ok && v.LengthInt() > 0 {
		for key, value := range v.AsValueMap() {
			values[key] = value.AsString()
		}
	}
	return values
}

// masquerade makes the host's table for bridges that say so. What goes from one of the lab's subnets to another keeps its
// address: rewritten, it would spoil NAT experiments between them.
func (a *Assembler) masquerade(host string) (*schema.Ruleset, hcl.Diagnostics) {
	subnets := a.subnets(host)
	all := slices.SortedFunc(maps.Keys(subnets), netip.Prefix.Compare)
	var rules []string
	var lines []schema.Pos
	var diags hcl.Diagnostics
	for _, b := range a.byKind["bridge"] {
		if b.node.Failed || b.host != host || !b.node.Flag("masquerade") {
			continue
		}
		found := false
		for _, prefix := range all {
			if !slices.Contains(subnets[prefix], b.addr) {
				continue
			}
			found = true
			family := "ip"
			if prefix.Addr().Is6() {
				family = "ip6"
			}
			rules = append(rules, fmt.Sprintf("%s saddr %s %s daddr != { %s } counter masquerade", family, prefix, family, list(all, prefix.Addr().Is6())))
			lines = append(lines, ruleset.Pos(b.node.At("masquerade")))
		}
		if !found {
			diags = append(diags, diag.New(diag.NoSubnet, b.node.At("masquerade"), "There is no subnet to masquerade",
				"Neither the bridge nor a machine on it has an address. Give the bridge addresses."))
		}
	}
	if len(rules) == 0 {
		return nil, diags
	}
	var text strings.Builder
	fmt.Fprintf(&text, "table inet labctl_%s {\n\tchain postrouting {\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n", identifier(a.lab))
	for _, rule := range rules {
		text.WriteString("\t\t" + rule + "\n")
	}
	text.WriteString("\t}\n}\n")
	own := []schema.Pos{{}, {}, {}}
	return &schema.Ruleset{Text: text.String(), Lines: slices.Concat(own, lines, []schema.Pos{{}, {}})}, diags
}

// identifier is a lab's name as nft takes it.
func identifier(lab string) string { return strings.ReplaceAll(sanitize(lab), "-", "_") }

func list(prefixes []netip.Prefix, six bool) string {
	var out []string
	var last netip.Prefix
	for _, p := range prefixes {
		if p.Addr().Is6() != six || last.IsValid() && last.Overlaps(p) {
			continue // one within another would be refused: intervals of a set may not overlap
		}
		last = p
		out = append(out, p.String())
	}
	return strings.Join(out, ", ")
}

// subnets are those of a host's bridges and of the machines on them, with the bridges that each is on.
func (a *Assembler) subnets(host string) map[netip.Prefix][]schema.Addr {
	out := make(map[netip.Prefix][]schema.Addr)
	note := func(prefix netip.Prefix, bridge schema.Addr) {
		prefix = prefix.Masked()
		if !prefix.Addr().IsLinkLocalUnicast() && !slices.Contains(out[prefix], bridge) {
			out[prefix] = append(out[prefix], bridge)
		}
	}
	byName := make(map[string]schema.Addr)
	for _, b := range a.byKind["bridge"] {
		if b.node.Failed || b.host != host {
			continue
		}
		byName[b.bridge.Name] = b.addr
		for _, prefix := range prefixes(b.bridge.Addresses) {
			note(prefix, b.addr)
		}
	}
	for _, b := range a.byKind["vm"] {
		if b.node.Failed || b.host != host {
			continue
		}
		for i, iface := range b.guest.Interfaces {
			if bridge, ok := byName[b.domain.Interfaces[i].Bridge]; ok {
				for _, prefix := range prefixes(iface.Addresses) {
					note(prefix, bridge)
				}
			}
		}
	}
	return out
}

// nodeOf is the node of a resource's block.
func (a *Assembler) nodeOf(addr schema.Addr) *decode.Node {
	if b := a.byAddr[addr.Whole()]; b != nil {
		return b.node
	}
	return nil
}

// Range is where an attribute of a resource stands, or its block where the path is "" or leads nowhere.
func (a *Assembler) Range(addr schema.Addr, path string) hcl.Range {
	n := a.nodeOf(addr)
	if n == nil {
		return hcl.Range{}
	}
	if addr.Kind == "host" && addr.Part == "sysctl" {
		path = "sysctl" + strings.TrimPrefix(path, "values")
		if n.Attrs["sysctl"] == nil {
			path = "forwarding"
		}
	}
	if addr.Kind == "host" && addr.Part == "nftables" {
		path = "nftables"
	}
	return n.Find(path)
}
