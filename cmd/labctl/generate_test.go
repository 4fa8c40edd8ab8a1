package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/labctl/labctl/schema/table"
)

// generator writes random valid labs by walking the table of blocks: an argument that is added to the language is in the
// labs from then on, unless it is left out here by name.
type generator struct {
	*rand.Rand
	out  strings.Builder
	next int // for names and subnets that occur once
}

// leftOut is what random labs do not say, and why.
var leftOut = map[string]string{
	"host": "there is one host", "host.uri": "the host is this one", "host.ssh": "the host is this one",
	"bridge.name": "the label is unique", "bridge.interfaces": "needs interfaces of the host", "bridge.path_cost": "needs ports",
	"bridge.port_priority": "needs ports", "bridge.renderer": "NetworkManager is not there",
	"vm.name": "the name that is derived is unique", "vm.image": "machines stay off", "vm.clone": "needs a machine to copy",
	"vm.linked": "goes with clone", "vm.cdrom": "needs an installer", "vm.arch": "the host's own", "vm.xml": "has a test of its own",
	"vm.packages": "first boot only", "vm.user_data": "first boot only", "vm.ssh": "first boot only",
	"vm.interface.network": "excludes bridge", "vm.interface.impair": "is of running machines", "vm.interface.dhcp4": "excludes addresses here",
	"vm.interface.dhcp6": "excludes addresses here", "vm.disk.source": "needs a file", "vm.disk.boot_order": "excludes boot.order",
	"vm.boot.initrd": "goes with an image", "vm.tpm": "needs swtpm", "vm.filesystem": "needs a folder", "vm.hostdev": "needs a device",
	"vm.nat": "is of guests that run", "vm.nat6": "is of guests that run", "vm.route": "is of guests that run", "vm.nftables": "is of guests that run", "vm.firmware": "needs OVMF",
	"vm.channel": "has a target and a path that go together", "vm.console": "has a target and a path that go together",
	"vm.serial": "has a path that goes with its type", "vm.interface.pci": "addresses are few and must not collide",
}

// meta is what every block takes: it is the language's own, and says nothing of the thing that is made.
var meta = []string{"count", "for_each", "depends_on", "lifecycle"}

// lab writes one lab.
func (g *generator) lab(name string) string {
	g.out.Reset()
	fmt.Fprintf(&g.out, "lab %q {}\n", name)
	g.nftables()
	fmt.Fprintf(&g.out, "host {\n  forwarding = %v\n  nftables   = [nftables.rules]\n}\n", g.IntN(2) == 0)
	for n := range 1 + g.IntN(3) {
		fmt.Fprintf(&g.out, "bridge \"br%d\" {\n", n)
		subnet := g.subnet()
		fmt.Fprintf(&g.out, "  addresses = [\"%s.1/24\"]\n", subnet)
		g.body(table.Root().Block("bridge"), "bridge", subnet)
		fmt.Fprint(&g.out, "}\n")
		for k := range g.IntN(3) {
			fmt.Fprintf(&g.out, "vm \"m%d_%d\" {\n  running = false\n", n, k)
			for nic := range g.IntN(3) {
				fmt.Fprintf(&g.out, "interface \"eth%d\" {\n  bridge = bridge.br%d\n  addresses = [\"%s.%d/24\"]\n", nic, n, subnet, 10+10*k+nic)
				g.body(table.Root().Block("vm").Block("interface"), "vm.interface", subnet)
				fmt.Fprint(&g.out, "}\n")
			}
			g.body(table.Root().Block("vm"), "vm", subnet)
			fmt.Fprint(&g.out, "}\n")
		}
	}
	return g.out.String()
}

func (g *generator) subnet() string {
	g.next++
	return fmt.Sprintf("10.%d.%d", 100+g.next/250%100, g.next%250)
}

// body writes some of a block's arguments and nested blocks.
func (g *generator) body(b *table.Block, path, subnet string) {
	written := []string{"addresses", "bridge", "running", "host"} // by the caller, or never
	for _, a := range b.Attrs {
		where := path + "." + a.Name
		if a.Computed || slices.Contains(meta, a.Name) || leftOut[where] != "" || slices.Contains(written, a.Name) || !a.Required && !always(where) && g.IntN(3) > 0 {
			continue
		}
		if text := g.argument(a, where, subnet); text != "" {
			fmt.Fprintf(&g.out, "  %s = %s\n", a.Name, text)
		}
	}
	for _, nested := range b.Blocks {
		where := path + "." + nested.Kind
		if slices.Contains(meta, nested.Kind) || leftOut[where] != "" || where == "vm.interface" || !always(where) && g.IntN(3) > 0 {
			continue
		}
		times := 1
		if nested.Count == table.Many && where != "bridge.route" && nested.Kind != "graphics" {
			times += g.IntN(2)
		}
		for n := range times {
			fmt.Fprintf(&g.out, "%s %s {\n", nested.Kind, g.labels(where, n))
			g.body(&nested, where, subnet)
			fmt.Fprint(&g.out, "}\n")
		}
	}
}

func always(where string) bool {
	return where == "vm.boot" || where == "vm.boot.kernel" || where == "bridge.route.via" || where == "vm.disk.size"
}

func (g *generator) labels(where string, n int) string {
	switch where {
	case "vm.disk":
		return fmt.Sprintf("%q", fmt.Sprintf("data%d", n))
	case "vm.file":
		return fmt.Sprintf("%q", fmt.Sprintf("/etc/file%d", n))
	case "bridge.route":
		return `"` + g.subnet() + `.0/24"`
	}
	return ""
}

// argument is a value for an argument: one that fits the others where they hang together, or any of its type.
func (g *generator) argument(a table.Attr, where, subnet string) string {
	switch where {
	case "bridge.mtu", "vm.interface.mtu":
		return fmt.Sprint(1280 + g.IntN(220))
	case "bridge.forward_delay":
		return fmt.Sprint(15 + g.IntN(15))
	case "bridge.hello_time":
		return fmt.Sprint(1 + g.IntN(3))
	case "bridge.max_age":
		return fmt.Sprint(10 + g.IntN(10))
	case "bridge.ageing_time":
		return fmt.Sprint(g.IntN(600))
	case "bridge.route.via":
		return fmt.Sprintf("%q", subnet+".254")
	case "bridge.route.metric", "bridge.route.table":
		return fmt.Sprint(1 + g.IntN(200))
	case "bridge.route.source":
		return fmt.Sprintf("%q", subnet+".1")
	case "bridge.route.type":
		return `"unicast"`
	case "vm.memory":
		return fmt.Sprintf("\"%dMiB\"", 32+g.IntN(32))
	case "vm.max_memory":
		return fmt.Sprintf("\"%dMiB\"", 8192+g.IntN(32))
	case "vm.vcpus":
		return fmt.Sprint(1 + g.IntN(2))
	case "vm.max_vcpus":
		return fmt.Sprint(2 + g.IntN(2))
	case "vm.cpu":
		return []string{`"maximum"`, `"qemu64"`}[g.IntN(2)]
	case "vm.machine":
		return []string{`"q35"`, `"pc"`}[g.IntN(2)]
	case "vm.os_variant":
		return []string{`"debian11"`, `"ubuntu22.04"`}[g.IntN(2)]
	case "vm.virt":
		return `"qemu"`
	case "vm.boot.kernel":
		return `"/boot/vmlinuz"`
	case "vm.boot.order":
		return []string{`["hd"]`, `["network", "hd"]`, `["cdrom", "hd", "network"]`}[g.IntN(3)]
	case "vm.interface.model":
		return []string{`"virtio"`, `"e1000"`, `"rtl8139"`, `"e1000e"`}[g.IntN(4)]
	case "vm.disk.size":
		return `"16MiB"` // one size: where labs are changed into each other, a smaller disk is refused
	case "vm.disk.shareable":
		return "false"
	case "vm.disk.bus": // not sata, since another draw may make it readonly
		return []string{`"virtio"`, `"scsi"`, `"usb"`}[g.IntN(3)]
	case "vm.hostname":
		return fmt.Sprintf("%q", fmt.Sprintf("host-%d", g.IntN(100)))
	case "vm.hosts":
		return fmt.Sprintf("{ %q = \"name\" }", subnet+".7")
	case "vm.sysctl":
		return `{ "net.ipv4.tcp_syncookies" = 1 }`
	case "vm.file.mode":
		return []string{`"0600"`, `"0755"`}[g.IntN(2)]
	case "vm.file.owner":
		return `"root:root"`
	case "vm.rng.source":
		return []string{`"/dev/urandom"`, `"/dev/random"`}[g.IntN(2)]
	case "vm.tpm.model", "vm.graphics.type":
		return `"vnc"`
	case "vm.graphics.port":
		g.next++
		return fmt.Sprint(5950 + g.next%4000)
	case "vm.watchdog.model":
		return `"i6300esb"`
	}
	return g.value(a)
}

// value is any value of the argument's type.
func (g *generator) value(a table.Attr) string {
	one := func() string {
		if len(a.Enum) > 0 {
			return fmt.Sprintf("%q", a.Enum[g.IntN(len(a.Enum))])
		}
		switch a.Type {
		case table.Bool:
			return fmt.Sprint(g.IntN(2) == 0)
		case table.Int, table.Number:
			low, high := 0.0, 1000.0
			if a.Min != nil {
				low = *a.Min
			}
			if a.Max != nil {
				high = *a.Max
			}
			return fmt.Sprint(int(low) + g.IntN(int(high-low)+1))
		case table.Duration:
			return fmt.Sprintf("\"%ds\"", 1+g.IntN(60))
		case table.IP:
			return fmt.Sprintf("\"127.0.0.%d\"", 1+g.IntN(250))
		case table.MAC:
			return fmt.Sprintf("\"52:54:01:%02x:%02x:%02x\"", g.IntN(256), g.IntN(256), g.IntN(256))
		case table.String:
			texts := []string{"word", "two words", "a <tag> & 'quotes'", "ünïcödé", "tab\\tand \\\"quotes\\\"", "100% = all; #done"}
			if a.Coll == table.List {
				texts = []string{"lab.test", "example.org", "a.example"}
			}
			return `"` + texts[g.IntN(len(texts))] + `"`
		}
		return ""
	}
	text := one()
	if text == "" || a.Coll == table.One {
		return text
	}
	if a.Coll == table.Map {
		return ""
	}
	list := []string{text}
	if more := one(); more != text && g.IntN(2) == 0 {
		list = append(list, more)
	}
	return "[" + strings.Join(list, ", ") + "]"
}

// nftables writes a ruleset whose rules nft writes otherwise than they were given: other orders, names, intervals, numbers.
func (g *generator) nftables() {
	rules := []string{
		"ct state established,related accept", "tcp dport { 443, 80, 22 } counter accept", "ip saddr 10.0.0.1/8 drop",
		"icmp type echo-request limit rate 4/second accept", "iifname \\\"br*\\\" meta mark set 0x10", "udp dport domain accept",
		"ip daddr { 10.9.0.0/16, 10.8.0.0/16, 10.10.0.0/16 } counter", "meta l4proto { tcp, udp } th dport 1000-2000 drop",
		"tcp flags & (syn|ack) == syn counter", "ip6 saddr fd00::/8 accept", "log prefix \\\"seen \\\" level info", "ip ttl 1 reject",
		"ct count over 20 reject with tcp reset", "tcp dport vmap { 22 : accept, 23 : drop }", "quota over 10 mbytes drop", "counter",
	}
	picked := []string{}
	for _, n := range g.Perm(len(rules))[:1+g.IntN(6)] {
		picked = append(picked, `"`+rules[n]+`"`)
	}
	fmt.Fprintf(&g.out, "nftables \"rules\" {\n  table \"inet\" \"rnd\" {\n    chain \"input\" {\n      hook = \"input\"\n      policy = %q\n      rules = [\n        %s,\n      ]\n    }\n",
		[]string{"accept", "drop"}[g.IntN(2)], strings.Join(picked, ",\n        "))
	if g.IntN(2) == 0 {
		fmt.Fprint(&g.out, "    set \"peers\" {\n      type = \"ipv4_addr\"\n      flags = [\"interval\"]\n      elements = [\"10.2.0.0/16\", \"10.1.0.0/16\", \"192.0.2.9\"]\n    }\n")
	}
	fmt.Fprint(&g.out, "  }\n}\n")
}
