package tree

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

var write = flag.Bool("update", false, "write the golden files anew")

// full is a bridge with everything declared.
var full = schema.Bridge{
	Name: "br0", Addresses: []string{"192.168.111.1/24", "fd00::1/64"}, Interfaces: []string{"enp1s0", "enp2s0"}, MTU: 1400,
	MAC: "52:54:00:aa:bb:cc", Nameservers: []string{"192.168.111.1"}, Search: []string{"lab.test"}, DHCP4: true, DHCP6: true,
	AcceptRA: new(false), LinkLocal: []string{}, STP: new(false), ForwardDelay: new(4.0), HelloTime: new(1.5), MaxAge: new(20.0),
	AgeingTime: new(300.0), Priority: new(4096), PathCost: map[string]int{"enp2s0": 4, "enp1s0": 5},
	PortPriority: map[string]int{"enp1s0": 6},
	Routes: []schema.Route{
		{To: "default", Via: "192.168.111.9", Metric: 7, OnLink: true}, {To: "10.0.0.0/8", Table: 5},
		{To: "default6", Via: "fd00::9", Source: "fd00::1"}, {To: "10.9.0.0/16", Type: "blackhole"},
	},
	Optional: true, Renderer: "networkd",
}

func mark(name string) provider.Mark {
	return provider.Mark{Lab: "demo", Addr: schema.Addr{Module: `module.site["a b"]`, Kind: "bridge", Name: name, Key: `"x.y"`}, Version: 1,
		Fingerprint: "0123456789ab", Deps: []schema.Addr{{Kind: "host", Part: "sysctl"}}}
}

func TestGoldenFile(t *testing.T) {
	f := &File{Path: "/etc/netplan/90-labctl-demo.yaml", Entries: []Entry{
		{Name: "vlan.7", Mark: mark("odd"), Stanza: Encode(&schema.Bridge{Name: "vlan.7"})},
		{Name: "br0", Mark: mark("br0"), Stanza: Encode(&full)},
		{Name: "yes", Stanza: Encode(&schema.Bridge{Name: "yes", Interfaces: []string{"br0"}})},
	}}
	text, err := Render(Heading("demo"), f, func(link string) bool { return link == "enp2s0" })
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "demo.yaml")
	if *write {
		if err := os.WriteFile(golden, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(text)); diff != "" {
		t.Error(diff)
	}
	again := Parse(f.Path, text)
	if again.Err != nil || len(again.Entries) != 3 {
		t.Fatalf("%v %+v", again.Err, again.Entries)
	}
	read, unknown := Decode("br0", again.Entry("br0").Stanza)
	declared := full
	declared.Routes = slices.Clone(full.Routes)
	for i, to := range map[int]string{0: "0.0.0.0/0", 2: "::/0"} {
		declared.Routes[i].To = to // the language's two words for default routes
	}
	if diff := cmp.Diff(declared, read); diff != "" || len(unknown) > 0 {
		t.Errorf("%v %s", unknown, diff)
	}
	if diff := cmp.Diff(mark("br0"), again.Entry("br0").Mark); diff != "" {
		t.Error(diff)
	}
	if again.Entry("yes").Mark.Lab != "" || again.Entry("vlan.7").Mark.Addr.Name != "odd" {
		t.Errorf("%+v", again.Entries)
	}
	same, err := Render(Heading("demo"), again, func(link string) bool { return link == "enp2s0" })
	if err != nil || cmp.Diff(string(text), string(same)) != "" {
		t.Errorf("read and written again it differs: %v %s", err, cmp.Diff(string(text), string(same)))
	}
}

func TestMergedTree(t *testing.T) {
	tree := &Tree{Files: []*File{
		Parse("/etc/netplan/10-a.yaml", []byte("network: {renderer: NetworkManager, bridges: {br0: {addresses: [10.0.0.1/8], mtu: 1400, dhcp4: yes, parameters: {stp: on}}}}")),
		Parse("/etc/netplan/90-labctl-demo.yaml", []byte("network:\n  bridges:\n    # labctl lab=demo address=bridge.br0 v=1\n    br0: {addresses: [{10.0.0.2/8: {label: x}}], mtu: 1500, renderer: networkd}\n")),
		Parse("/etc/netplan/91-b.yaml", []byte("network:\n  bridges:\n    # labctl lab=demo address=bridge.copied v=1\n    br1: {}\n  ethernets: {eth0: {}}\n")),
	}}
	got, _ := Decode("br0", tree.Merged("br0"))
	want := schema.Bridge{Name: "br0", Addresses: []string{"10.0.0.1/8", "10.0.0.2/8"}, MTU: 1500, DHCP4: true, STP: new(true), Renderer: "networkd"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if tree.Renderer("br0") != "networkd" || tree.Renderer("br1") != "NetworkManager" {
		t.Error(tree.Renderer("br0"), tree.Renderer("br1"))
	}
	if tree.Files[2].Entry("br1").Mark.Lab != "" {
		t.Error("a mark that was copied into another file is heeded")
	}
	if !tree.Configured("eth0", Base("demo")) || tree.Configured("eth1", Base("demo")) {
		t.Error("which links other files speak of")
	}
	if others := tree.Others("demo", "br0"); len(others) != 1 || others[0].Path != "/etc/netplan/10-a.yaml" {
		t.Errorf("%+v", others)
	}
}

func TestWithout(t *testing.T) {
	text := "# top\nnetwork:\n  version: 2\n  # first\n  bridges:\n    # of br0\n    br0: {mtu: 1400}\n    # of br1\n    br1:\n      # inner\n      mtu: 1500\n"
	left := string(Without([]byte(text), "br0"))
	if strings.Contains(left, "br0:") || !strings.Contains(left, "# inner") || !strings.Contains(left, "# top") {
		t.Error(left)
	}
	if f := Parse("x.yaml", []byte(left)); f.Err != nil || f.Entry("br1") == nil {
		t.Errorf("%v\n%s", f.Err, left)
	}
	if left := Without([]byte(left), "br1"); left != nil {
		t.Errorf("of nothing there is left %s", left)
	}
}

func FuzzParseFile(f *testing.F) {
	golden, err := os.ReadFile("testdata/demo.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(golden))
	f.Add("network:\n  bridges:\n    # labctl lab=demo address=bridge.br0 v=1\n    br0:\n    # labctl lab=demo address=bridge.br1 v=1\n    br1: ~\n")
	f.Add("network: {bridges: {br0: {routes: [{to: 1}], parameters: {path-cost: {a: b}}, nameservers: 3}}}")
	f.Add("a: &x\n  b: *x\nnetwork: !t\n  bridges: *x\n")
	f.Fuzz(func(t *testing.T, text string) {
		parsed := Parse("/etc/netplan/90-labctl-demo.yaml", []byte(text))
		for _, e := range parsed.Entries {
			if e.Mark.Lab != "" && e.Mark.Lab != "demo" {
				t.Errorf("a mark of another lab is heeded: %+v", e.Mark)
			}
			Decode(e.Name, e.Stanza)
		}
		Without([]byte(text), "br0")
	})
}
