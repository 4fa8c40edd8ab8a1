package native_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/guest/native"
	"github.com/labctl/labctl/schema"
)

var update = flag.Bool("update", false, "write testdata anew")

func router() *schema.Guest {
	no := false
	return &schema.Guest{
		Hostname: "router", Forwarding: true, Sysctl: map[string]string{"net.ipv4.tcp_syncookies": "0"},
		Nameservers: []string{"10.0.0.53", "2001:db8::53"}, Search: []string{"lab.test"},
		Interfaces: []schema.GuestInterface{
			{Name: "eth0", MAC: "52:54:00:AA:00:01", MTU: 1400, Addresses: []string{"10.0.0.1/24", "2001:db8::1/64"}, ConnectedRoute: true, AcceptRA: &no},
			{Name: "eth1", MAC: "52:54:00:aa:00:02", Addresses: []string{"10.1.0.1/24"}},
			{Name: "eth2", MAC: "52:54:00:aa:00:03", DHCP4: true, ConnectedRoute: true},
		},
		Routes: []schema.Route{
			{To: "default", Via: "10.0.0.254", Interface: "eth0"}, {To: "default6", Via: "2001:db8::ff", Interface: "eth0"},
			{To: "10.9.0.0/16", Via: "10.1.0.9", Interface: "eth1", Metric: 50, Table: 100, Source: "10.1.0.1"},
			{To: "10.8.0.0/16", Type: "blackhole"}, {To: "10.7.0.0/16", Interface: "eth1"},
		},
		Ruleset: &schema.Ruleset{Text: "table ip x {\n}\n"},
	}
}

func TestFilesAreAsPeopleWriteThem(t *testing.T) {
	everything := func(string) bool { return true }
	for _, kind := range []native.Kind{native.Netplan, native.Networkd, native.Ifupdown} {
		var all strings.Builder
		for _, f := range native.Files(kind, router(), everything) {
			all.WriteString("==> " + f.Path + " " + f.Mode + "\n" + f.Content + "\n")
		}
		golden := filepath.Join("testdata", string(kind)+".txt")
		if *update {
			if err := os.WriteFile(golden, []byte(all.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), all.String()); diff != "" {
			t.Errorf("%s: %s", kind, diff)
		}
	}
}

func TestNothingIsWrittenWhereNothingIsKnown(t *testing.T) {
	if files := native.Files(native.None, router(), func(string) bool { return true }); files != nil {
		t.Errorf("%+v", files)
	}
	var paths []string
	for _, f := range native.Files(native.Netplan, &schema.Guest{}, func(string) bool { return false }) {
		paths = append(paths, f.Path)
	}
	if diff := cmp.Diff([]string{native.NetplanFile}, paths); diff != "" {
		t.Error(diff)
	}
}

func TestNetplanFileIsYAML(t *testing.T) {
	for _, g := range []*schema.Guest{router(), {}} {
		var root struct {
			Network struct {
				Version   int            `yaml:"version"`
				Ethernets map[string]any `yaml:"ethernets"`
			} `yaml:"network"`
		}
		text := native.Files(native.Netplan, g, func(string) bool { return false })[0].Content
		if err := yaml.Unmarshal([]byte(text), &root); err != nil || root.Network.Version != 2 || len(root.Network.Ethernets) != len(g.Interfaces) {
			t.Errorf("%+v, %v in\n%s", root, err, text)
		}
	}
}

func TestDetect(t *testing.T) {
	for want, paths := range map[native.Kind][]string{
		native.None:     {"/etc/network"},
		native.Netplan:  {"/etc/netplan", "/usr/sbin/netplan", "/run/systemd/netif/state"},
		native.Networkd: {"/run/systemd/netif/state", "/etc/netplan"},
		native.Ifupdown: {"/etc/network/interfaces", "/sbin/ifup"},
	} {
		got := native.Detect(func(path string) bool {
			for _, p := range paths {
				if p == path {
					return true
				}
			}
			return false
		})
		if got != want {
			t.Errorf("%q for %q", got, paths)
		}
	}
}

func TestRulesThatNameALinkByItsIndexLoadLate(t *testing.T) {
	for text, early := range map[string]bool{
		`iif lo accept`: true, `iif "lo" accept`: true, `iifname "eth0" accept`: true, `meta iifname eth0`: true, "": true,
		`iif eth0 accept`: false, `oif "eth0" accept`: false, `iif { "eth0", lo } accept`: false, `iif != eth0 drop`: false,
		"type filter hook ingress device eth0 priority 0": false, "devices = { eth0 };": false, "iif lo accept\noif eth1 drop": false,
	} {
		if native.LoadsEarly(&schema.Ruleset{Text: text}) != early {
			t.Errorf("%q loads early: %t", text, !early)
		}
	}
}

func TestLeases(t *testing.T) {
	got := native.Leases("auto eth0\niface eth0 inet dhcp\niface eth1 inet static\n\taddress 10.0.0.1\niface eth2 inet6 dhcp\n#iface eth3 inet dhcp\n")
	if diff := cmp.Diff(map[string]bool{"eth0": true}, got); diff != "" {
		t.Error(diff)
	}
}
