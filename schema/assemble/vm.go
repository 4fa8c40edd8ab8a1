package assemble

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/decode"
	"github.com/labctl/labctl/schema/diag"
	"github.com/labctl/labctl/schema/live"
	"github.com/labctl/labctl/schema/nat"
	"github.com/labctl/labctl/schema/osvariant"
	"github.com/labctl/labctl/schema/router"
	"github.com/labctl/labctl/schema/ruleset"
)

// Memory of a machine that declares none: a micro guest holds a few megabytes, a distribution wants more.
const (
	defaultMemory = 512 << 20
	microMemory   = 128 << 20
)

func (a *Assembler) vm(b *block) hcl.Diagnostics {
	n := b.node
	n.Set("name", cty.StringVal(a.lab+"-"+qualified(b.addr)))
	n.Set("hostname", cty.StringVal(strings.ToLower(strings.ReplaceAll(label(b.addr), "_", "-"))))
	diags := a.place(b)
	b.domain = new(schema.Domain)
	wants, more := osvariant.Look(a.systems, n)
	b.os, diags = wants, append(diags, more...)
	diags = append(diags, a.start(b)...)
	diags = append(diags, a.interfaces(b)...)
	a.reader.Fill(n, b.domain)
	osvariant.Suit(b.os, b.domain)
	b.guest = &schema.Guest{Domain: b.domain.Name, AgentTimeout: b.domain.Timeouts.Agent}
	a.reader.Fill(n, b.guest)
	n.Each("interface", func(card *decode.Node) {
		for _, server := range text(card.Argument("nameservers").Value) {
			if !slices.Contains(b.guest.Nameservers, server) {
				b.guest.Nameservers = append(b.guest.Nameservers, server)
			}
		}
	})
	b.impair()
	a.plug(b)
	a.devices(b)
	if !n.Failed {
		routes, more := a.routes(n, ports(b.guest))
		diags = append(diags, more...)
		b.guest.Routes = routes
	}
	diags = append(diags, a.hostsFile(b)...)
	diags = append(diags, a.rules(b)...)
	diags = append(diags, a.refuse(b)...)
	a.forwarding(b.guest)
	for _, iface := range b.guest.Interfaces {
		if len(iface.Addresses) > 0 {
			n.Set("ip", cty.StringVal(bare(iface.Addresses[0])))
			break
		}
	}
	live.Give(n, a.Facts[b.addr])
	b.domain.Seed = b.guest
	return diags
}

// start finds what the machine starts from.
func (a *Assembler) start(b *block) hcl.Diagnostics {
	n := b.node
	memory := uint64(defaultMemory)
	if b.os != nil && b.os.Memory > 0 {
		memory = b.os.Memory
	}
	var diags hcl.Diagnostics
	var given []string
	for _, name := range []string{"image", "clone", "cdrom"} {
		if n.Has(name) {
			given = append(given, name)
		}
	}
	if v, ok := n.Value("image"); ok {
		ref, d := a.refer(v.Value, "image", v.Place())
		switch {
		case d != nil:
			diags = append(diags, d)
		case ref == nil:
			n.Failed = true
		case ref.block == nil:
			diags = append(diags, diag.New(diag.WrongRef, v.Place(), "image takes an image block", fmt.Sprintf("Write image = image.%s, and declare image %q { … }.", ref.name, ref.name)))
		default:
			img := ref.block.image
			b.domain.Image = &schema.ImageRef{Addr: ref.block.addr, Key: img.Key, Build: img.Build}
			b.deps = append(b.deps, ref.block.addr)
			if img.Build == "micro" {
				memory = microMemory
			}
		}
	}
	n.Set("memory", cty.NumberUIntVal(memory))
	if v := n.Text("clone"); v != "" {
		b.domain.Clone = &schema.Clone{From: v, Linked: n.Flag("linked")}
	} else if n.Flag("linked") {
		diags = append(diags, diag.New(diag.Conflict, n.At("linked"), "linked is for clone", "Leave it out, or say what to clone."))
	}
	switch {
	case len(given) > 1:
		diags = append(diags, diag.New(diag.Conflict, n.At(given[1]), fmt.Sprintf("%s and %s exclude each other", given[0], given[1]), "A machine starts from one of image, clone and cdrom."))
	case len(given) == 0 && !bootable(n):
		diags = append(diags, diag.New(diag.NoSource, n.DefRange, "The machine has nothing to start from",
			"Give it one of image, clone and cdrom; or a kernel in boot, a disk with a source, or \"network\" in boot.order."))
	}
	return diags
}

// bootable reports whether the machine starts without image, clone and cdrom.
func bootable(n *decode.Node) bool {
	ok := false
	n.Each("boot", func(boot *decode.Node) {
		ok = ok || boot.Has("kernel") || boot.Has("order") && slices.Contains(text(boot.Argument("order").Value), "network")
	})
	n.Each("disk", func(disk *decode.Node) { ok = ok || disk.Has("source") })
	return ok
}

// interfaces gives the interface nodes their derived values and plugs the cards in.
func (a *Assembler) interfaces(b *block) hcl.Diagnostics {
	var diags hcl.Diagnostics
	b.node.Each("interface", func(n *decode.Node) {
		if len(n.Labels) == 0 {
			return
		}
		name := n.Label()
		if len(name) > 15 || name == "" || strings.ContainsAny(name, "/ :") {
			diags = append(diags, diag.New(diag.LongName, n.Labels[0].Range, fmt.Sprintf("%q cannot be the name of an interface", name),
				"Interface names have at most 15 characters, no /, no : and no spaces."))
		}
		n.Set("mac", cty.StringVal(schema.InterfaceMAC(a.lab, b.addr, name)))
		if v, ok := n.Value("addresses"); ok {
			setIP(n, text(v.Value))
		}
		has := 0
		for _, kind := range []string{"bridge", "network"} {
			if n.Has(kind) {
				has++
			} else if n.Attrs[kind] != nil && n.Failed {
				has = 1 // told already
			}
		}
		switch has {
		case 0:
			diags = append(diags, diag.New(diag.NoNetwork, n.DefRange, fmt.Sprintf("The interface %q is not plugged in", name), "Give it bridge = bridge.NAME or network = network.NAME."))
		case 2:
			diags = append(diags, diag.In(diag.New(diag.Conflict, n.At("network"), "bridge and network exclude each other", "An interface is plugged into one of them."), n.DefRange))
		}
	})
	return diags
}

// plug sets the cards' bridges and networks, once the domain's cards are there.
func (a *Assembler) plug(b *block) {
	i := 0
	b.node.Each("interface", func(n *decode.Node) {
		nic := &b.domain.Interfaces[i]
		i++
		for _, kind := range []string{"bridge", "network"} {
			v, ok := n.Value(kind)
			if !ok {
				continue
			}
			name := a.plugInto(b, v, kind)
			if kind == "bridge" {
				nic.Bridge = name
			} else {
				nic.Network = name
			}
		}
	})
}

func (a *Assembler) plugInto(b *block, v decode.Value, kind string) string {
	ref, d := a.refer(v.Value, kind, v.Place())
	switch {
	case d != nil:
		b.problems = append(b.problems, d)
	case ref == nil:
		b.node.Failed = true
	case ref.block == nil:
		return ref.name
	case kind == "bridge":
		b.deps = append(b.deps, ref.block.addr)
		return ref.block.bridge.Name
	default:
		if !ref.block.network.Existing {
			b.deps = append(b.deps, ref.block.addr)
		}
		return ref.block.network.Name
	}
	return ""
}

// impair leaves each impairment where it is done: at the host's end, or in the machine.
func (b *block) impair() {
	for i := range b.guest.Interfaces {
		if b.guest.Interfaces[i].Impair.On == "host" {
			b.guest.Interfaces[i].Impair = schema.Impair{}
			continue
		}
		b.guest.Interfaces[i].Impair.On = ""
		b.domain.Interfaces[i].Impair = schema.Impair{}
	}
}

// devices adds those that every machine has.
func (a *Assembler) devices(b *block) {
	d := b.domain
	if len(d.Consoles) == 0 && len(d.Serials) == 0 {
		d.Consoles = []schema.CharDevice{{Type: "pty", Target: "serial"}}
	}
	for i := range d.Consoles {
		if d.Consoles[i].Target == "" {
			d.Consoles[i].Target = "serial"
		}
	}
	if d.RNG == nil {
		d.RNG = &schema.RNG{Source: "/dev/urandom"}
	}
}

func ports(g *schema.Guest) []port {
	out := make([]port, 0, len(g.Interfaces))
	for _, i := range g.Interfaces {
		out = append(out, port{
			name: i.Name, prefixes: prefixes(i.Addresses), connected: i.ConnectedRoute,
			dynamic: i.DHCP4 || i.DHCP6 || i.AcceptRA != nil && *i.AcceptRA,
		})
	}
	return out
}

// hostsFile reads hosts: for each address a name or a list of names.
func (a *Assembler) hostsFile(b *block) hcl.Diagnostics {
	v, ok := b.node.Value("hosts")
	if !ok || v.LengthInt() == 0 {
		return nil
	}
	var diags hcl.Diagnostics
	b.guest.Hosts = make(map[string][]string)
	for ip, names := range v.AsValueMap() {
		ty := names.Type()
		switch {
		case names.IsNull():
		case ty == cty.String:
			b.guest.Hosts[ip] = []string{names.AsString()}
		case (ty.IsTupleType() || ty.IsListType() || ty.IsSetType()) && allText(names):
			b.guest.Hosts[ip] = text(names)
		default:
			diags = append(diags, diag.New(diag.WrongType, v.Place(), "hosts takes a name or a list of names for each address", `As { "192.168.111.1" = ["router", "gw"] }.`))
		}
		if len(prefixes([]string{ip + "/0"})) == 0 {
			diags = append(diags, diag.New(diag.Malformed, v.Place(), fmt.Sprintf("%q is not an IP address", ip), "hosts holds names by address."))
		}
	}
	return diags
}

func allText(v cty.Value) bool {
	for it := v.ElementIterator(); it.Next(); {
		if _, element := it.Element(); element.Type() != cty.String || element.IsNull() {
			return false
		}
	}
	return true
}

// forwarding stops a router with one arm from sending redirects: they would lead its neighbours past it (RFC 1812 5.2.7.2).
func (a *Assembler) forwarding(g *schema.Guest) {
	if !g.Forwarding || len(g.Interfaces) != 1 {
		return
	}
	if g.Sysctl == nil {
		g.Sysctl = make(map[string]string)
	}
	for _, name := range []string{"all", g.Interfaces[0].Name} {
		key := "net.ipv4.conf." + name + ".send_redirects"
		if _, declared := g.Sysctl[key]; !declared {
			g.Sysctl[key] = "0"
		}
	}
}

// rules makes the machine's whole ruleset of its nftables blocks and its NAT.
func (a *Assembler) rules(b *block) hcl.Diagnostics {
	sets, diags := a.attached(b, false)
	for _, declared := range []*schema.NAT{b.guest.NAT, b.guest.NAT6} {
		kind := router.Block
		if declared != nil && declared == b.guest.NAT6 {
			kind = router.Block6
		}
		n := b.node.Child(kind)
		if n == nil || declared == nil {
			continue
		}
		diags = append(diags, router.Complete(n, declared, b.guest)...)
		if !diags.HasErrors() && !b.node.Failed {
			sets = append(sets, ruleset.Text(nat.Compile(*declared), ruleset.Pos(n.DefRange)))
		}
	}
	b.guest.Ruleset = ruleset.Join(sets...)
	if b.guest.Ruleset == nil && b.node.Has("nftables") {
		b.guest.Ruleset = new(schema.Ruleset) // nftables = [] is an empty ruleset of the lab's
	}
	return diags
}

// attached finds the rulesets that a vm or host names.
func (a *Assembler) attached(b *block, onHost bool) ([]*schema.Ruleset, hcl.Diagnostics) {
	v, ok := b.node.Value("nftables")
	if !ok || v.LengthInt() == 0 {
		return nil, nil
	}
	var sets []*schema.Ruleset
	var diags hcl.Diagnostics
	for i, element := range v.AsValueSlice() {
		at := b.node.Find(fmt.Sprintf("nftables[%d]", i))
		ref, d := a.refer(element, "nftables", at)
		switch {
		case d != nil:
			diags = append(diags, d)
		case ref == nil:
			b.node.Failed = true
		case ref.block == nil:
			diags = append(diags, diag.New(diag.WrongRef, at, "nftables takes nftables blocks", fmt.Sprintf("Write nftables.%s, without quotes.", ref.name)))
		default:
			ref.block.used = true
			set, flush := withoutFlush(a.rulesets[ref.block.addr])
			if flush >= 0 && onHost {
				diags = append(diags, diag.New(diag.Conflict, at, "A host's ruleset may not flush the others",
					fmt.Sprintf("%s says flush ruleset, which would delete tables that the lab does not own. Take it out.", set.Lines[flush])))
			}
			sets = append(sets, set)
		}
	}
	return sets, diags
}

// withoutFlush takes `flush ruleset` out, which files for `nft -f` begin with: a lab's rules replace what it owns as it is.
// Lines keep their numbers. It returns the line's index, or -1.
func withoutFlush(set *schema.Ruleset) (*schema.Ruleset, int) {
	found := -1
	lines := strings.Split(set.Text, "\n")
	for i, line := range lines {
		if strings.Join(strings.Fields(strings.TrimSuffix(strings.TrimSpace(line), ";")), " ") == "flush ruleset" {
			lines[i], found = "", i
		}
	}
	if found < 0 {
		return set, -1
	}
	return &schema.Ruleset{Text: strings.Join(lines, "\n"), Lines: set.Lines}, found
}
