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
	seed int
	next int             // for names and subnets that occur once
	said map[string]bool // what labs have said so far, by path in the table
	lent string          // folder of files and disks that are there
}

// leftOut is what random labs do not say, and why.
var leftOut = map[string]string{
	"host.uri": "the host is this one", "host.ssh": "the host is this one", "bridge.host": "there is one host",
	"network.host": "there is one host", "image.host": "there is one host", "vm.host": "there is one host",
	"network.existing": "says that there is nothing to make", "image.packages": "goes with a Debian, which takes minutes to make",
	"vm.clone": "needs a machine that is off, and has tests of its own", "vm.linked": "goes with clone",
	"vm.hostdev":      "needs a device of the host, and is in the matrix of arguments",
	"vm.channel.path": "libvirt chooses it", "vm.console.path": "libvirt chooses it",
	"nftables.ruleset": "is nft's own text, and has a property test of its own", "nftables.table.chain.device": "needs a hook of a device",
	"nftables.table.flowtable": "needs offload of devices", "nftables.table.map.typeof": "excludes type, and a set's is the same",
	"nftables.table.set.typeof": "excludes type", "nftables.table.map.gc_interval": "nft 1.0.6 takes it for sets alone", "nftables.table.map.auto_merge": "nft takes it for sets alone",
}

// newGenerator is a generator of the labs of a seed; lent is a folder that lend has filled.
func newGenerator(seed int, lent string) *generator {
	return &generator{seed: seed, Rand: rand.New(rand.NewPCG(uint64(seed), 0)), said: map[string]bool{}, lent: lent}
}

// meta is what every block takes: it is the language's own, and says nothing of the thing that is made.
var meta = []string{"count", "for_each", "depends_on", "lifecycle"}

// say writes an argument.
func (g *generator) say(where, value string) {
	g.said[where] = true
	fmt.Fprintf(&g.out, "  %s = %s\n", where[strings.LastIndexByte(where, '.')+1:], value)
}

// open begins a block; its labels are quoted.
func (g *generator) open(where string, labels ...string) {
	g.said[where] = true
	fmt.Fprintf(&g.out, "%s", where[strings.LastIndexByte(where, '.')+1:])
	for _, label := range labels {
		fmt.Fprintf(&g.out, " %q", label)
	}
	fmt.Fprint(&g.out, " {\n")
}

func (g *generator) close() { fmt.Fprint(&g.out, "}\n") }

// often is true three times in four, and sometimes one time in three.
func (g *generator) often() bool     { return g.IntN(4) > 0 }
func (g *generator) sometimes() bool { return g.IntN(3) == 0 }

// lab writes one lab.
func (g *generator) lab(name string) string {
	g.out.Reset()
	fmt.Fprintf(&g.out, "lab %q {}\n", name)
	g.nftables()
	g.images()
	networks, forwards := g.networks()
	g.open("host")
	g.say("host.forwarding", fmt.Sprint(forwards || g.IntN(2) == 0))
	g.say("host.nftables", "[nftables.rules]")
	if g.sometimes() {
		g.say("host.sysctl", fmt.Sprintf(`{ "net.ipv4.tcp_keepalive_time" = %d, "net.ipv4.ip_local_port_range" = "%d\t60999" }`, 600+g.IntN(999), 30000+g.IntN(999)))
	}
	g.close()
	for n := range 1 + g.IntN(3) {
		subnet := g.bridge(n)
		for k := range g.IntN(3) {
			at := place{bridge: fmt.Sprintf("bridge.br%d", n), subnet: subnet, subnet6: fmt.Sprintf("fd00:%x:", n+1), first: 10 + 10*k, networks: networks}
			g.machine(fmt.Sprintf("m%d_%d", n, k), at)
		}
	}
	return g.out.String()
}

// bridge writes a bridge, with a port of the host's now and then, and returns its subnet.
func (g *generator) bridge(n int) (subnet string) {
	g.open("bridge", fmt.Sprintf("br%d", n))
	defer g.close()
	subnet = g.subnet()
	g.say("bridge.addresses", fmt.Sprintf("[%q, %q]", subnet+".1/24", fmt.Sprintf("fd00:%x::1/64", n+1)))
	if g.sometimes() {
		g.say("bridge.name", fmt.Sprintf("%q", fmt.Sprintf("rnd%d", g.next)))
	}
	if port := fmt.Sprintf("port%d", n); g.sometimes() {
		g.say("bridge.interfaces", fmt.Sprintf("[%q]", port))
		if g.often() {
			g.say("bridge.path_cost", fmt.Sprintf("{ %q = %d }", port, 1+g.IntN(99)))
			g.say("bridge.port_priority", fmt.Sprintf("{ %q = %d }", port, 1+g.IntN(60)))
		}
	}
	g.body(table.Root().Block("bridge"), "bridge", subnet)
	return subnet
}

func (g *generator) subnet() string {
	g.next++
	// Labs that are changed into each other share none: a network is not made where another still has its subnet.
	return fmt.Sprintf("10.%d.%d", 100+g.seed%100, g.next%250)
}

// byHand is what is written with its block, where it hangs together with the rest.
var byHand = []string{
	"bridge.addresses", "bridge.name", "bridge.interfaces", "bridge.path_cost", "bridge.port_priority",
	"network.addresses", "network.bridge", "network.mode", "network.name", "network.dhcp", "network.lease", "network.dns", "vm.name", "vm.running",
	"vm.image", "vm.cdrom", "vm.boot", "vm.interface", "vm.route", "vm.nat", "vm.nat6", "vm.nftables", "vm.packages", "vm.user_data", "vm.ssh",
	"vm.firmware", "vm.machine", "vm.tpm", "vm.disk.source", "vm.disk.boot_order", "vm.disk.size", "vm.disk.shareable", "vm.disk.format",
	"vm.interface.bridge", "vm.interface.network", "vm.interface.addresses", "vm.interface.dhcp4", "vm.interface.dhcp6",
	"vm.interface.pci", "vm.interface.impair", "vm.channel", "vm.console", "vm.serial", "vm.filesystem", "vm.xml",
}

// body writes some of a block's arguments and nested blocks.
func (g *generator) body(b *table.Block, path, subnet string) {
	for _, a := range b.Attrs {
		where := path + "." + a.Name
		if a.Computed || slices.Contains(meta, a.Name) || leftOut[where] != "" || slices.Contains(byHand, where) ||
			!a.Required && !always(where) && !g.sometimes() {
			continue
		}
		if text := g.argument(a, where, subnet); text != "" {
			g.say(where, text)
		}
	}
	for _, nested := range b.Blocks {
		where := path + "." + nested.Kind
		if slices.Contains(meta, nested.Kind) || leftOut[where] != "" || slices.Contains(byHand, where) || !always(where) && !g.sometimes() {
			continue
		}
		times := 1
		if nested.Count == table.Many && where != "bridge.route" && nested.Kind != "graphics" {
			times += g.IntN(2)
		}
		for n := range times {
			g.open(where, g.labels(where, n)...)
			if where == "vm.disk" {
				g.disk(n)
			}
			g.body(&nested, where, subnet)
			g.close()
		}
	}
}

func always(where string) bool {
	return where == "bridge.route.via"
}

func (g *generator) labels(where string, n int) []string {
	switch where {
	case "vm.disk":
		return []string{fmt.Sprintf("data%d", n)}
	case "vm.file":
		return []string{fmt.Sprintf("/etc/file%d", n)}
	case "bridge.route":
		return []string{g.subnet() + ".0/24"}
	}
	return nil
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
	case "vm.os_variant":
		return []string{`"debian11"`, `"ubuntu22.04"`}[g.IntN(2)]
	case "vm.virt":
		return `"qemu"`
	case "vm.interface.model":
		return []string{`"virtio"`, `"e1000"`, `"rtl8139"`, `"e1000e"`}[g.IntN(4)]
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
	case "vm.arch":
		return `"x86_64"`
	case "bridge.renderer":
		return `"networkd"` // NetworkManager is not there
	case "bridge.nameservers", "vm.nameservers":
		return `["192.0.2.53"]`
	case "network.mtu":
		return fmt.Sprint(1280 + g.IntN(220))
	case "network.domain":
		return `"random.test"`
	case "vm.graphics.type":
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
