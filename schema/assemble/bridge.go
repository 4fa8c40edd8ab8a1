package assemble

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/decode"
	"github.com/labctl/labctl/schema/diag"
	"github.com/labctl/labctl/schema/function"
	"github.com/labctl/labctl/schema/ruleset"
	"github.com/labctl/labctl/schema/table"
)

func (a *Assembler) bridge(b *block) hcl.Diagnostics {
	b.node.Set("name", cty.StringVal(label(b.addr)))
	diags := a.place(b)
	b.bridge = new(schema.Bridge)
	a.reader.Fill(b.node, b.bridge)
	setIP(b.node, b.bridge.Addresses)
	at := b.node.At("name")
	switch name := b.bridge.Name; {
	case len(name) > 15:
		diags = append(diags, diag.New(diag.LongName, at, fmt.Sprintf("The bridge name %q has %d characters", name, len(name)),
			fmt.Sprintf("Linux takes at most 15. Give the bridge a shorter name, as name = %q.", strings.TrimRight(name[:15], "-."))))
	case name == "" || strings.ContainsAny(name, "/ \t\n:") || name == "." || name == "..":
		diags = append(diags, diag.New(diag.LongName, at, fmt.Sprintf("%q cannot be the name of an interface", name),
			"Interface names have no /, no : and no spaces."))
	}
	routes, more := a.routes(b.node, bridgePort(b.bridge))
	b.bridge.Routes = routes
	for i := range b.bridge.Routes {
		if b.bridge.Routes[i].Interface == b.bridge.Name {
			b.bridge.Routes[i].Interface = "" // a route of the bridge's own stanza names none
		}
	}
	return append(diags, more...)
}

// setIP gives a node its computed ip.
func setIP(n *decode.Node, addresses []string) {
	if len(addresses) > 0 {
		n.Set("ip", cty.StringVal(bare(addresses[0])))
	}
}

// port is an interface as routes see it.
type port struct {
	name      string
	prefixes  []netip.Prefix
	connected bool
	dynamic   bool // it gets addresses that are not declared
}

func bridgePort(b *schema.Bridge) []port {
	return []port{{
		name: b.Name, prefixes: prefixes(b.Addresses), connected: true,
		dynamic: b.DHCP4 || b.DHCP6 || b.AcceptRA != nil && *b.AcceptRA,
	}}
}

func prefixes(addresses []string) []netip.Prefix {
	var out []netip.Prefix
	for _, text := range addresses {
		if p, err := netip.ParsePrefix(text); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// routes reads the route blocks of a bridge or machine and finds the interfaces that they leave open.
func (a *Assembler) routes(n *decode.Node, ports []port) ([]schema.Route, hcl.Diagnostics) {
	var out []schema.Route
	var diags hcl.Diagnostics
	n.Each("route", func(child *decode.Node) {
		var r schema.Route
		a.reader.Fill(child, &r)
		if to, err := destination(r.To); err == nil {
			r.To = to
		} else {
			at := child.DefRange
			if len(child.Labels) > 0 {
				at = child.Labels[0].Range
			}
			diags = append(diags, diag.In(diag.New(diag.Malformed, at, fmt.Sprintf("%q is not a destination", r.To),
				err.Error()), child.DefRange))
			return
		}
		if r.Type == "unicast" {
			r.Type = ""
		}
		diags = append(diags, a.outlet(child, &r, ports)...)
		out = append(out, r)
	})
	return out, diags
}

// destination checks a route's label and writes it in its canonical form.
func destination(to string) (string, error) {
	if to == "default" || to == "default6" {
		return to, nil
	}
	if addr, err := netip.ParseAddr(to); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr, addr.BitLen()).String(), nil
	}
	p, err := netip.ParsePrefix(to)
	switch {
	case err != nil:
		return "", errors.New("Write default, default6, or a prefix such as 10.0.0.0/8.") //nolint:staticcheck,revive // a sentence for people
	case p.Bits() == 0 && p.Addr().Is4():
		return "default", nil
	case p.Bits() == 0:
		return "default6", nil
	case p != p.Masked():
		return "", fmt.Errorf("Its host bits are set; write %q.", p.Masked()) //nolint:staticcheck,revive // likewise
	}
	return p.String(), nil
}

// outlet finds the interface of a route and whether its gateway is to be taken for a neighbour.
func (a *Assembler) outlet(n *decode.Node, r *schema.Route, ports []port) hcl.Diagnostics {
	if d := family(n, r); d != nil {
		return hcl.Diagnostics{d}
	}
	if d := noInterface(n, r, ports); d != nil {
		return hcl.Diagnostics{d}
	}
	if r.Via == "" {
		if r.Interface == "" && r.Type == "" {
			return hcl.Diagnostics{diag.New(diag.NoSubnet, n.DefRange, fmt.Sprintf("The route to %s has no way out", r.To),
				"Give it via, interface, or a type such as blackhole.")}
		}
		return nil
	}
	via, err := netip.ParseAddr(r.Via)
	if err != nil {
		return nil
	}
	holder, dynamic := holderOf(via, r.Interface, ports)
	switch {
	case holder != nil:
		if r.Interface == "" {
			r.Interface = holder.name
		}
		if !n.Has("on_link") && !holder.connected {
			r.OnLink = true
		}
	case via.IsLinkLocalUnicast() && r.Interface != "", r.OnLink && r.Interface != "", dynamic:
	default:
		return hcl.Diagnostics{outside(n, r, ports)}
	}
	return nil
}

// noInterface tells of a route by an interface that is not there.
func noInterface(n *decode.Node, r *schema.Route, ports []port) *hcl.Diagnostic {
	var names []string
	for _, p := range ports {
		if p.name == r.Interface {
			return nil
		}
		names = append(names, p.name)
	}
	if r.Interface == "" {
		return nil
	}
	detail := "There are: " + strings.Join(names, ", ") + "."
	if len(names) == 0 {
		detail = "It has no interfaces."
	} else if meant := table.Nearest(r.Interface, names); meant != "" {
		detail = fmt.Sprintf("Did you mean %q?", meant)
	}
	return diag.In(diag.New(diag.NoInterface, n.At("interface"), fmt.Sprintf("There is no interface %q here", r.Interface), detail), n.DefRange)
}

// holderOf is the port with the subnet of via; dynamic says that a port may get one while it runs.
func holderOf(via netip.Addr, name string, ports []port) (holder *port, dynamic bool) {
	for i := range ports {
		if name != "" && ports[i].name != name {
			continue
		}
		dynamic = dynamic || ports[i].dynamic
		for _, p := range ports[i].prefixes {
			if p.Masked().Contains(via) && holder == nil {
				holder = &ports[i]
			}
		}
	}
	return holder, dynamic
}

func outside(n *decode.Node, r *schema.Route, ports []port) *hcl.Diagnostic {
	var subnets []string
	for _, p := range ports {
		for _, prefix := range p.prefixes {
			subnets = append(subnets, fmt.Sprintf("%s (%s)", prefix.Masked(), p.name))
		}
	}
	has := "None of its interfaces has an address."
	if len(subnets) > 0 {
		has = "Its subnets are " + strings.Join(subnets, ", ") + "."
	}
	d := diag.New(diag.GatewayOutside, n.At("via"), fmt.Sprintf("The gateway %s is outside every subnet here", r.Via),
		has+" Correct the gateway or a prefix length; or, where it is a neighbour all the same, say on_link = true and interface.")
	return diag.In(d, n.DefRange)
}

// family checks that a route and its gateway are of one address family.
func family(n *decode.Node, r *schema.Route) *hcl.Diagnostic {
	via, err := netip.ParseAddr(r.Via)
	if err != nil {
		return nil
	}
	six := strings.Contains(r.To, ":") || r.To == "default6"
	if via.Is6() == six {
		return nil
	}
	want, instead := "IPv4", "For the IPv6 default route write route \"default6\"."
	if six {
		want, instead = "IPv6", "For the IPv4 default route write route \"default\"."
	}
	return diag.In(diag.New(diag.WrongFamily, n.At("via"), fmt.Sprintf("A route to %s needs an %s gateway", r.To, want), instead), n.DefRange)
}

func (a *Assembler) networkBlock(b *block) hcl.Diagnostics {
	name := a.lab + "-" + qualified(b.addr)
	if b.node.Flag("existing") {
		name = b.addr.Name
	}
	b.node.Set("name", cty.StringVal(name))
	diags := a.place(b)
	b.network = new(schema.Network)
	a.reader.Fill(b.node, b.network)
	if b.network.Existing {
		b.network.Mode = ""
		for _, set := range []string{"mode", "bridge", "domain", "mtu", "autostart", "addresses"} {
			if b.node.Attrs[set] != nil {
				diags = append(diags, diag.New(diag.Conflict, b.node.At(set), fmt.Sprintf("An existing network takes no %q", set),
					"With existing = true the network is referred to and never changed. Leave one of both out."))
			}
		}
	}
	return diags
}

func (a *Assembler) imageBlock(b *block) hcl.Diagnostics {
	diags := a.place(b)
	b.image = &schema.Image{Name: b.addr.Name}
	a.reader.Fill(b.node, b.image)
	img := b.image
	switch {
	case img.Source == "" && img.Build == "":
		diags = append(diags, diag.New(diag.MissingArgument, b.node.DefRange, "The image has neither source nor build", `Write source = "PATH or URL", or build = "micro".`))
	case img.Source != "" && img.Build != "":
		diags = append(diags, diag.New(diag.Conflict, b.node.At("build"), "source and build exclude each other", "Keep one of them."))
	case img.Build != "debian" && len(img.Packages) > 0:
		diags = append(diags, diag.New(diag.Conflict, b.node.At("packages"), "packages are for build = \"debian\"", "Leave them out, or build a debian image."))
	case img.Build != "" && (img.Checksum != "" || img.Format != ""):
		diags = append(diags, diag.New(diag.Conflict, b.node.At("build"), "A built image takes no checksum and no format", "They are for source."))
	}
	if img.Checksum != "" && !checksum(img.Checksum) {
		diags = append(diags, diag.New(diag.Malformed, b.node.At("checksum"), "The checksum is malformed",
			"Write sha256: and 64 hexadecimal digits, or sha512: and 128."))
	}
	if img.Source != "" && !strings.HasPrefix(img.Source, "http://") && !strings.HasPrefix(img.Source, "https://") {
		img.Source = function.Path(a.reader.Dir(), img.Source)
	}
	img.Key = schema.ImageKey(*img)
	return diags
}

func checksum(text string) bool {
	kind, digits, _ := strings.Cut(text, ":")
	length := map[string]int{"sha256": 64, "sha512": 128}[kind]
	return length > 0 && len(digits) == length && strings.Trim(strings.ToLower(digits), "0123456789abcdef") == ""
}

func (a *Assembler) nftables(b *block) hcl.Diagnostics {
	set, diags := ruleset.Compile(b.node, a.dir)
	if !diags.HasErrors() {
		a.rulesets[b.addr] = set
	}
	return diags
}
