package config

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/table"
)

// sample is a value for an argument that is not its default, in HCL.
func sample(path string, a *table.Attr) string {
	special := map[string]string{
		"bridge.renderer": `"NetworkManager"`, "image.checksum": `"sha256:` + strings.Repeat("ab", 32) + `"`, "image.source": `"/x.qcow2"`,
		"vm.interface.pci": `"0000:00:03.0"`, "vm.nat.ports": `"contiguous"`, "vm.nat.mapping": `"address_and_port_dependent"`,
		"vm.nat.filtering": `"endpoint_independent"`, "vm.nat.inside": `["eth0"]`, "vm.nat.outside": `"eth1"`, "vm.hosts": `{ "10.0.0.1" = "x" }`,
		"vm.nat6.mapping": `"address_and_port_dependent"`, "vm.nat6.filtering": `"endpoint_independent"`, "vm.nat6.inside": `["eth0"]`,
		"vm.nat6.outside": `"eth1"`, "vm.nat6.ports": `"contiguous"`, "vm.nat6.forward.to": `"fd00::5"`, "vm.nat6.one_to_one.outside": `"2001:db8::7"`,
		"vm.nat6.one_to_one.inside": `"fd00::7"`, "vm.nat6.prefix.inside": `"fd01:203:405:1::/64"`, "vm.nat6.prefix.outside": `"2001:db8:1:d550::/64"`,
		"vm.route.interface": `"eth1"`, "vm.route.via": `"10.9.0.2"`, "bridge.route.via": `"10.1.0.2"`,
		"check.nat.mapping": `"address_and_port_dependent"`, "check.nat.filtering": `"address_and_port_dependent"`,
		"check.exec.expect_output": `"x+"`, "vm.nat.forward.to": `"10.9.0.5"`, "bridge.name": `"br-x"`, "vm.route.on_link": "true",
		"vm.sysctl": `{ "net.x" = 7 }`, "vm.file.mode": `"0600"`, "vm.hostdev.pci": `"0000:03:00.0"`, "vm.hostdev.usb": `"046d:c52b"`,
	}
	if text, ok := special[path+"."+a.Name]; ok {
		return text
	}
	text := scalarSample(a)
	switch a.Coll {
	case table.List:
		return "[" + text + "]"
	case table.Map:
		return `{ "x" = ` + text + ` }`
	}
	return text
}

func scalarSample(a *table.Attr) string {
	if len(a.Enum) > 0 {
		return fmt.Sprintf("%q", slices.DeleteFunc(slices.Clone(a.Enum), func(word string) bool { return a.Default == fmt.Sprintf("%q", word) || word == "unicast" })[0])
	}
	switch a.Type {
	case table.Bool:
		if a.Default == "true" {
			return "false"
		}
		return "true"
	case table.Int, table.Number, table.Text:
		least := 7.0
		if a.Min != nil {
			least = *a.Min + 2
		}
		return fmt.Sprint(least)
	case table.Size:
		return `"3GiB"`
	case table.Duration:
		return `"17s"`
	case table.Rate:
		return `"3mbit"`
	case table.IP:
		return `"10.9.0.7"`
	case table.Address:
		return `"10.7.0.1/24"`
	case table.Prefix:
		return `"10.8.0.0/16"`
	case table.MAC:
		return `"52:54:00:00:00:07"`
	case table.Ref:
		return map[string]string{"bridge": "bridge.other", "network": "network.other", "image": "image.other", "nftables": "nftables.other", "host": "host"}[a.Ref]
	case table.Endpoint:
		return "vm.other"
	case table.OS:
		return `"debian11"`
	}
	return `"x"`
}

// stage is what samples refer to, and what the block under test needs around it.
const stage = `
lab "x" {}
bridge "other" { addresses = ["10.9.0.1/24"] }
network "other" { existing = true }
image "other" { build = "debian" }
nftables "other" { ruleset = "table ip other {}" }
vm "other" {
  image = image.other
  nftables = [nftables.other]
  interface "eth0" {
    bridge = bridge.other
    addresses = ["10.9.0.2/24"]
  }
}
`

// minimal writes the least that a block can be, with the argument extra (and without what extra replaces).
func minimal(b *table.Block, path string, extra *table.Attr, inner string) string {
	var s strings.Builder
	s.WriteString(b.Kind)
	for _, label := range b.Labels {
		name := map[string]string{"to": "10.3.0.0/16", "family": "ip", "path": "/x", "name": "eth0"}[label.Name]
		if name == "" || b.Kind == "bridge" {
			name = "label"
		}
		if b.Kind != "host" {
			fmt.Fprintf(&s, " %q", name)
		}
	}
	s.WriteString(" {\n")
	for i := range b.Attrs {
		a := &b.Attrs[i]
		if a != extra && (a.Required && a.Type != table.Static) {
			fmt.Fprintf(&s, "%s = %s\n", a.Name, sample(path, a))
		}
	}
	if extra != nil {
		fmt.Fprintf(&s, "%s = %s\n", extra.Name, sample(path, extra))
	}
	s.WriteString(needs(path, extra) + inner + "}\n")
	return s.String()
}

// needs is what a block cannot do without though the table does not say so.
func needs(path string, extra *table.Attr) string {
	name := ""
	if extra != nil {
		name = extra.Name
	}
	switch {
	case path == "image" && name != "source" && name != "build":
		if name == "packages" {
			return "build = \"debian\"\n"
		}
		return "source = \"/y\"\n"
	case path == "vm" && name == "linked":
		return "clone = \"c\"\n"
	case path == "vm" && name != "image" && name != "clone" && name != "cdrom":
		return "image = image.other\n"
	case path == "vm.disk" && name == "shareable":
		return "size = \"1MiB\"\nformat = \"raw\"\n"
	case path == "vm.disk" && name != "size":
		return "size = \"1MiB\"\n"
	case path == "vm.console" && (name == "type" || name == "path"):
		return "target = \"virtio\"\n"
	case path == "vm.hostdev" && name == "":
		return "usb = \"1234:5678\"\n"
	case path == "vm.interface.impair" && name == "on":
		return "direction = \"in\"\nrate = \"3mbit\"\n"
	case path == "vm.interface" && name == "network":
		return ""
	case path == "vm.interface" && name == "addresses":
		return "bridge = bridge.other\n"
	case path == "vm.interface" && name != "bridge":
		return "bridge = bridge.other\naddresses = [\"10.9.0.3/24\"]\n"
	case strings.HasSuffix(path, "route") && path != "check.route" && name != "via":
		return map[bool]string{true: "via = \"10.1.0.9\"\n", false: "via = \"10.9.0.1\"\n"}[path == "bridge.route"]
	case strings.HasPrefix(path, "bridge") && path == "bridge" && name != "addresses":
		return "addresses = [\"10.1.0.1/24\"]\n"
	case path == "nftables.table.chain" && (name == "type" || name == "priority" || name == "policy"):
		return "hook = \"input\"\n"
	case path == "nftables.table.chain" && name == "device":
		return "hook = \"ingress\"\n"
	case (path == "nftables.table.set" || path == "nftables.table.map") && name != "type" && name != "typeof":
		return "type = \"ipv4_addr\"\n"
	case (path == "check.tcp" || path == "check.udp") && name != "port":
		return "port = 7\n"
	case path == "check.nat" && name == "simultaneous_open":
		return "expect = \"symmetric\"\nprotocol = \"tcp\"\n"
	case path == "check.nat" && name != "expect":
		return "expect = \"symmetric\"\n"
	case path == "vm.nat6" && name == "ports":
		return "mapping = \"address_and_port_dependent\"\n"
	case path == "vm.nat" && name != "outside" && name != "mapping" && name != "filtering" && name != "type":
		return ""
	}
	return ""
}

// TestNothingIsIgnored sets each argument of the language, one at a time, and looks for a difference in the lab.
func TestNothingIsIgnored(t *testing.T) {
	root := table.Root()
	tried := 0
	for i := range root.Blocks {
		b := &root.Blocks[i]
		switch b.Kind {
		case "host", "bridge", "network", "image", "vm", "nftables", "check":
			tried += each(t, b, b.Kind, func(inner string) string { return inner })
		}
	}
	if tried < 150 {
		t.Errorf("only %d arguments were tried", tried)
	}
}

// each tries the arguments of a block and of those nested in it. Around puts the block into its parents.
func each(t *testing.T, b *table.Block, path string, around func(inner string) string) int {
	tried := 0
	plain := around(minimal(b, path, nil, innerOf(path)))
	for i := range b.Attrs {
		a := &b.Attrs[i]
		if a.Computed || a.Type == table.Static || slices.Contains([]string{"for_each", "count", "host"}, a.Name) || a.Required || len(a.Enum) == 1 ||
			path == "vm" && a.Name == "image" {
			continue
		}
		tried++
		inner := innerOf(path)
		if a.Name == "ruleset" {
			inner = ""
		}
		with := around(minimal(b, path, a, inner))
		if before, after := resultOf(t, plain), resultOf(t, with); before == after && after != "" {
			t.Errorf("%s.%s changes nothing:\n%s", path, a.Name, with)
		}
	}
	for i := range b.Blocks {
		child := &b.Blocks[i]
		if child.Kind == "lifecycle" {
			continue
		}
		tried += each(t, child, path+"."+child.Kind, func(inner string) string {
			return around(minimal(b, path, nil, siblings(path, child.Kind)+inner))
		})
	}
	return tried
}

// innerOf is what a block needs inside.
func innerOf(path string) string {
	switch path {
	case "nftables":
		return "table \"ip\" \"t\" {\n}\n"
	case "check":
		return "ping {\nfrom = vm.other\nto = vm.other\n}\n"
	case "vm.nat", "vm.nat6":
		return ""
	}
	return ""
}

// siblings is what a nested block needs beside it.
func siblings(path, kind string) string {
	if path == "vm" && (kind == "nat" || kind == "nat6" || kind == "route") {
		return "forwarding = true\ninterface \"eth0\" {\nbridge = bridge.other\naddresses = [\"10.9.0.3/24\", \"2001:db8::3/64\"]\n}\n" +
			"interface \"eth1\" {\nbridge = bridge.other\naddresses = [\"10.9.0.4/24\", \"2001:db8::4/64\"]\n}\n"
	}
	return ""
}

// resultOf is the lab of a text as JSON, without places in files; what is refused is told by the test.
func resultOf(t *testing.T, text string) string {
	t.Helper()
	attach := ""
	if strings.HasPrefix(text, "nftables") {
		attach = "vm \"loads\" {\nimage = image.other\nnftables = [nftables.label]\n}\n"
	}
	res, diags := Load("lab", Options{Overlay: map[string][]byte{"lab/lab.hcl": []byte(stage + attach + text)}, Systems: systems{}})
	if diags.HasErrors() {
		t.Errorf("%s\nis refused: %v", text, diags)
		return ""
	}
	for i := range res.Lab.Checks {
		res.Lab.Checks[i].Pos.Line, res.Lab.Checks[i].Pos.Column = 0, 0
	}
	for _, r := range res.Lab.Resources {
		if text, err := json.Marshal(r.Body); err == nil && strings.Contains(string(text), `"lines"`) {
			clearLines(r.Body)
		}
	}
	out, err := json.Marshal(res.Lab)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// clearLines takes the places out of a body's rules.
func clearLines(body any) {
	switch body := body.(type) {
	case *schema.Ruleset:
		body.Lines = nil
	case *schema.Guest:
		if body.Ruleset != nil {
			body.Ruleset.Lines = nil
		}
	}
}
