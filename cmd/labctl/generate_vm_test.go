package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labctl/labctl/schema/table"
)

// lend makes the files and disks that random labs refer to.
func lend(t *testing.T, folder string) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, size := range map[string]int64{"plain.raw": 1 << 20, "own.raw": 1 << 20, "install.iso": 1 << 20} {
		f, err := os.Create(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// place is where a machine is plugged in.
type place struct {
	bridge, subnet, subnet6 string
	first                   int // the host part of its first address
	networks                []string
}

// images writes the images that machines start from: the one that labctl makes, and a disk that is there.
func (g *generator) images() {
	g.open("image", "micro")
	g.say("image.build", `"micro"`)
	g.close()
	g.open("image", "plain")
	g.say("image.source", fmt.Sprintf("%q", g.lent+"/plain.raw"))
	if g.sometimes() {
		g.say("image.format", `"raw"`)
	}
	if g.sometimes() {
		g.say("image.checksum", `"sha256:`+plainSum+`"`)
	}
	g.close()
}

// plainSum is the checksum of a mebibyte of zeroes.
const plainSum = "30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58"

// networks writes some of libvirt's networks, and returns what to plug into and whether the host forwards for one.
func (g *generator) networks() (names []string, forwards bool) {
	for n := range []int{0, 0, 0, 1, 1, 2}[g.IntN(6)] { // libvirt takes half a second for one
		label := fmt.Sprintf("net%d", n)
		names = append(names, "network."+label)
		subnet := g.subnet()
		g.open("network", label)
		mode := []string{"nat", "route", "open", "isolated"}[g.IntN(4)]
		forwards = forwards || mode != "isolated"
		g.say("network.mode", fmt.Sprintf("%q", mode))
		g.say("network.addresses", fmt.Sprintf("[%q]", subnet+".1/24"))
		if g.sometimes() {
			g.say("network.name", fmt.Sprintf("%q", "random-"+label))
		}
		if g.sometimes() {
			g.say("network.bridge", fmt.Sprintf("%q", "vnet-"+label))
		}
		if g.sometimes() {
			g.open("network.dhcp")
			g.say("network.dhcp.start", fmt.Sprintf("%q", subnet+".10"))
			g.say("network.dhcp.end", fmt.Sprintf("%q", subnet+".99"))
			g.close()
			for k := range g.IntN(3) {
				g.open("network.lease")
				g.say("network.lease.mac", fmt.Sprintf("\"52:54:02:00:%02x:%02x\"", n, k))
				g.say("network.lease.ip", fmt.Sprintf("\"%s.%d\"", subnet, 20+k))
				if g.sometimes() {
					g.say("network.lease.name", fmt.Sprintf("\"leased%d\"", k))
				}
				g.close()
			}
		}
		for k := range g.IntN(3) {
			g.open("network.dns")
			g.say("network.dns.ip", fmt.Sprintf("\"%s.%d\"", subnet, 200+k))
			g.say("network.dns.names", fmt.Sprintf("[\"name%d\", \"also%d.random.test\"]", k, k))
			g.close()
		}
		g.body(table.Root().Block("network"), "network", subnet)
		g.close()
	}
	return names, forwards
}

// machine writes a machine that stays off.
func (g *generator) machine(label string, at place) {
	g.open("vm", label)
	g.say("vm.running", "false")
	if g.sometimes() {
		g.next++
		g.say("vm.name", fmt.Sprintf("\"named-%d\"", g.next))
	}
	old := g.sometimes()
	if old || g.sometimes() {
		g.say("vm.machine", map[bool]string{true: `"pc"`, false: `"q35"`}[old])
	}
	if g.IntN(8) == 0 {
		g.say("vm.firmware", []string{`"bios"`, `"uefi"`}[g.IntN(2)])
	}
	from := []string{"micro", "micro", "plain", "kernel", "cdrom", "network", "disk"}[g.IntN(7)]
	ordered := g.start(from)
	nics := g.nics(at)
	if from == "micro" || from == "plain" {
		g.inside(nics, at)
	}
	g.devices(ordered)
	g.body(table.Root().Block("vm"), "vm", at.subnet)
	g.close()
}

// start writes what a machine starts from, and tells whether the order of its devices is said.
func (g *generator) start(from string) (ordered bool) {
	switch from {
	case "micro":
		g.say("vm.image", "image.micro")
	case "plain":
		g.say("vm.image", "image.plain")
		if g.sometimes() {
			g.say("vm.packages", `["curl", "tcpdump"]`)
		}
		if g.sometimes() {
			g.say("vm.user_data", fmt.Sprintf("\"#cloud-config\\nlocale: C.UTF-8\\n# %d\\n\"", g.IntN(9)))
		}
		if g.sometimes() {
			g.open("vm.ssh")
			g.say("vm.ssh.user", `"ada"`)
			g.say("vm.ssh.authorized_keys", `["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1Xn6tW1o3v7mJ7o0f2y2m0m0rT3uZkqk4iTJm1Vbq9 ada"]`)
			g.close()
		}
	case "cdrom":
		g.say("vm.cdrom", fmt.Sprintf("%q", g.lent+"/install.iso"))
	case "kernel":
		g.open("vm.boot")
		g.say("vm.boot.kernel", `"/boot/vmlinuz"`)
		if g.sometimes() {
			g.say("vm.boot.initrd", `"/boot/initrd.img"`)
		}
		if g.sometimes() {
			g.say("vm.boot.cmdline", `"console=ttyS0 panic=1"`)
		}
		g.close()
		return false
	case "disk":
		g.open("vm.disk", "own")
		g.say("vm.disk.source", fmt.Sprintf("%q", g.lent+"/own.raw"))
		g.say("vm.disk.format", `"raw"`)
		if g.sometimes() {
			g.say("vm.disk.shareable", "true")
		}
		g.close()
	}
	if from == "network" || g.sometimes() {
		g.open("vm.boot")
		g.say("vm.boot.order", []string{`["network"]`, `["network", "hd"]`, `["cdrom", "hd", "network"]`}[g.IntN(3)])
		g.close()
		return true
	}
	return false
}

// nics writes up to three cards and returns those that have an address on the bridge.
func (g *generator) nics(at place) (addressed []string) {
	for n := range g.IntN(4) {
		name := fmt.Sprintf("eth%d", n)
		g.open("vm.interface", name)
		switch way := g.IntN(5); {
		case way == 0 && len(at.networks) > 0:
			g.say("vm.interface.network", at.networks[g.IntN(len(at.networks))])
			g.say("vm.interface.dhcp4", "true")
		case way == 1:
			g.say("vm.interface.bridge", at.bridge)
			g.say("vm.interface.dhcp4", fmt.Sprint(g.IntN(2) == 0))
			g.say("vm.interface.dhcp6", fmt.Sprint(g.IntN(2) == 0))
		default:
			g.say("vm.interface.bridge", at.bridge)
			g.say("vm.interface.addresses", fmt.Sprintf(`["%s.%d/24", "%s:%d/64"]`, at.subnet, at.first+n, at.subnet6, at.first+n))
			addressed = append(addressed, name)
		}
		if g.sometimes() {
			g.say("vm.interface.pci", fmt.Sprintf("\"0000:00:%02x.0\"", 0x10+n))
		}
		if g.sometimes() {
			g.open("vm.interface.impair")
			g.impair()
			g.close()
		}
		g.body(table.Root().Block("vm").Block("interface"), "vm.interface", at.subnet)
		g.close()
	}
	return addressed
}

// impair writes how a link is bad: jitter and reorder go with a delay.
func (g *generator) impair() {
	const path = "vm.interface.impair."
	g.maybe(path+"on", `"guest"`) // at the host's end it is of machines that run
	g.say(path+"delay", fmt.Sprintf("\"%dms\"", 1+g.IntN(99)))
	for name, value := range map[string]string{
		"direction": []string{`"in"`, `"out"`}[g.IntN(2)], "jitter": fmt.Sprintf("\"%dms\"", 1+g.IntN(9)), "loss": fmt.Sprint(g.IntN(9)),
		"duplicate": fmt.Sprint(g.IntN(9)), "reorder": fmt.Sprint(g.IntN(9)), "rate": fmt.Sprintf("\"%dmbit\"", 1+g.IntN(99)),
	} {
		if g.sometimes() {
			g.say(path+name, value)
		}
	}
}

// inside writes routes, rules and NAT of a machine whose interfaces with addresses are named.
func (g *generator) inside(addressed []string, at place) {
	for range g.IntN(3) {
		g.open("vm.route", g.subnet()+".0/24")
		via := fmt.Sprintf("%q", at.subnet+".254")
		switch {
		case len(addressed) == 0 || g.sometimes():
			g.say("vm.route.type", []string{`"blackhole"`, `"unreachable"`, `"prohibit"`}[g.IntN(3)])
		case g.sometimes():
			g.say("vm.route.via", `"203.0.113.9"`)
			g.say("vm.route.interface", fmt.Sprintf("%q", addressed[0]))
			g.say("vm.route.on_link", "true")
		case g.sometimes():
			g.say("vm.route.via", via)
			g.say("vm.route.interface", fmt.Sprintf("%q", addressed[0]))
			g.say("vm.route.source", fmt.Sprintf("\"%s.%d\"", at.subnet, at.first+int(addressed[0][3]-'0')))
		default:
			g.say("vm.route.via", via)
		}
		if g.sometimes() {
			g.say("vm.route.metric", fmt.Sprint(1+g.IntN(999)))
		}
		if g.sometimes() {
			g.say("vm.route.table", fmt.Sprint(1+g.IntN(200)))
		}
		g.close()
	}
	if g.sometimes() {
		g.say("vm.nftables", "[nftables.rules]")
	}
	if len(addressed) < 2 {
		return
	}
	if g.often() {
		g.open("vm.nat")
		g.nat("vm.nat", addressed, at.subnet+".")
		g.close()
	}
	if g.sometimes() {
		g.open("vm.nat6")
		if g.sometimes() {
			g.say("vm.nat6.outside", fmt.Sprintf("%q", addressed[0]))
			g.say("vm.nat6.type", `"prefix"`)
			g.open("vm.nat6.prefix", "site")
			g.say("vm.nat6.prefix.inside", fmt.Sprintf("%q", at.subnet6+":/48"))
			g.say("vm.nat6.prefix.outside", `"fd00:99::/48"`)
			g.close()
		} else {
			g.nat("vm.nat6", addressed, at.subnet6+":")
		}
		g.close()
	}
}

// nat writes how a router translates; hosts are numbers behind net.
func (g *generator) nat(path string, addressed []string, net string) {
	g.say(path+".outside", fmt.Sprintf("%q", addressed[0]))
	if g.often() {
		g.say(path+".inside", `["`+strings.Join(addressed[1:], `", "`)+`"]`)
	}
	kind := g.IntN(4)
	if g.often() {
		g.say(path+".type", fmt.Sprintf("%q", []string{"full_cone", "address_restricted_cone", "port_restricted_cone", "symmetric"}[kind]))
	} else {
		g.say(path+".mapping", []string{`"endpoint_independent"`, `"address_and_port_dependent"`}[kind/3])
		g.say(path+".filtering", []string{`"endpoint_independent"`, `"address_dependent"`, `"address_and_port_dependent"`, `"address_and_port_dependent"`}[kind])
	}
	if kind == 3 && g.sometimes() {
		g.say(path+".ports", []string{`"random"`, `"contiguous"`, `"20000-30000"`}[g.IntN(3)])
	}
	g.maybe(path+".hairpin", "true")
	switch g.IntN(3) {
	case 0:
		g.say(path+".mapping_timeout", fmt.Sprintf("\"%ds\"", 30+g.IntN(600)))
	case 1:
		g.say(path+".udp_timeout", fmt.Sprintf("\"%ds\"", 30+g.IntN(600)))
		g.say(path+".tcp_timeout", fmt.Sprintf("\"%ds\"", 30+g.IntN(600)))
	}
	for n := range g.IntN(3) {
		g.open(path+".forward", fmt.Sprintf("way%d", n))
		g.say(path+".forward.port", fmt.Sprint(2200+n))
		g.say(path+".forward.to", fmt.Sprintf("%q", net+"77"))
		g.maybe(path+".forward.protocol", []string{`"tcp"`, `"udp"`}[g.IntN(2)])
		g.maybe(path+".forward.to_port", fmt.Sprint(1+g.IntN(60000)))
		g.close()
	}
	if g.sometimes() {
		g.open(path + ".one_to_one")
		g.say(path+".one_to_one.outside", fmt.Sprintf("%q", net+"240"))
		g.say(path+".one_to_one.inside", fmt.Sprintf("%q", net+"78"))
		g.close()
	}
}

// devices writes those whose arguments hang together.
func (g *generator) devices(ordered bool) {
	if g.sometimes() {
		g.open("vm.tpm")
		which := g.IntN(3)
		g.say("vm.tpm.version", []string{`"2.0"`, `"2.0"`, `"1.2"`}[which])
		g.say("vm.tpm.model", []string{`"tpm-crb"`, `"tpm-tis"`, `"tpm-tis"`}[which])
		g.close()
	}
	for n := range g.IntN(2) {
		g.open("vm.channel")
		g.say("vm.channel.type", []string{`"pty"`, `"unix"`}[g.IntN(2)])
		g.say("vm.channel.target", fmt.Sprintf("\"org.labctl.random.%d\"", n))
		g.close()
	}
	if g.sometimes() {
		g.open("vm.serial")
		g.say("vm.serial.type", `"pty"`)
		g.close()
		g.open("vm.serial")
		g.say("vm.serial.type", `"file"`)
		g.say("vm.serial.path", `"/var/log/random-serial"`)
		g.close()
	} else if g.sometimes() {
		g.open("vm.console")
		g.say("vm.console.type", `"pty"`)
		g.say("vm.console.target", []string{`"virtio"`, `"serial"`}[g.IntN(2)])
		g.close()
	}
	if g.sometimes() {
		g.open("vm.filesystem")
		g.say("vm.filesystem.source", fmt.Sprintf("%q", g.lent))
		g.say("vm.filesystem.target", `"lent"`)
		virtio := g.sometimes()
		g.say("vm.filesystem.driver", map[bool]string{true: `"virtiofs"`, false: `"9p"`}[virtio])
		if !virtio && g.sometimes() {
			g.say("vm.filesystem.readonly", "true")
		}
		g.close()
	}
	if g.IntN(8) == 0 {
		g.say("vm.xml", `"<domain><memoryBacking><nosharepages/></memoryBacking></domain>"`)
	}
	if !ordered && g.sometimes() {
		g.open("vm.disk", "first")
		g.say("vm.disk.size", smallDisk)
		g.say("vm.disk.boot_order", "1")
		g.close()
	}
}

// smallDisk is the one size of disks: where labs are changed into each other, a smaller disk is refused.
const smallDisk = `"16MiB"`

func (g *generator) disk(n int) {
	g.say("vm.disk.size", smallDisk)
	if n == 0 && g.sometimes() { // one name, one format: a disk that is there keeps it
		g.say("vm.disk.format", `"qcow2"`)
	}
}
