//go:build sandbox

package guest_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"github.com/labctl/labctl/internal/guest"
	"github.com/labctl/labctl/internal/helper"
	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/internal/nft"
	"github.com/labctl/labctl/schema"
)

const mac0, mac1 = "52:54:00:00:00:01", "52:54:00:00:00:02"

// machine is a guest with two NICs that still have the kernel's names, in the sandbox's network namespace.
func machine(t *testing.T) guest.System {
	t.Helper()
	for n, mac := range []string{mac0, mac1} {
		address, err := net.ParseMAC(mac)
		if err != nil {
			t.Fatal(err)
		}
		name := string("ab"[n])
		link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "kernel" + name, HardwareAddr: address}, PeerName: "far" + name}
		if err := netlink.LinkAdd(link); err != nil {
			t.Fatal(err)
		}
		far, err := netlink.LinkByName("far" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkSetUp(far); err != nil {
			t.Fatal(err)
		}
		near, err := netlink.LinkByName("kernel" + name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			// Its other end may have gone with a namespace, which the kernel takes apart later on.
			if err := netlink.LinkDel(near); err != nil && !errors.Is(err, syscall.ENODEV) {
				t.Error(err)
			}
		})
	}
	run(t, "sysctl", "-qw", "net.ipv4.tcp_syncookies=1", "net.ipv4.ip_forward=0", "net.ipv6.conf.all.forwarding=0")
	t.Cleanup(func() { run(t, "nft", "flush", "ruleset") })
	return guest.System{Root: t.TempDir(), Host: host.Local{}}
}

func run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := host.Local{}.Run(context.Background(), host.Cmd(args...)) // also in a Cleanup
	if err != nil {
		t.Fatal(err)
	}
	return string(out.Stdout)
}

func router() *schema.Guest {
	no := false
	return &schema.Guest{
		Domain: "x", Hostname: "router", Forwarding: true,
		Interfaces: []schema.GuestInterface{
			{Name: "eth0", MAC: mac0, Addresses: []string{"192.168.111.101/24", "2001:db8::0001/64"}, ConnectedRoute: true},
			{Name: "eth1", MAC: mac1, MTU: 1400, Addresses: []string{"10.0.0.1/24", "10.0.0.2/24"}, AcceptRA: &no},
		},
		Routes: []schema.Route{
			{To: "default", Via: "192.168.111.1"}, {To: "default6", Via: "2001:db8::ff"},
			{To: "10.9.0.0/16", Via: "10.0.0.9", Metric: 50}, {To: "10.8.0.0/16", Type: "blackhole"},
			{To: "172.16.0.0/12", Via: "192.168.111.7", Table: 100, Source: "192.168.111.101"},
		},
		Nameservers: []string{"192.168.111.1"}, Search: []string{"lab.test"},
		Hosts:  map[string][]string{"10.0.0.9": {"peer", "peer.lab.test"}},
		Sysctl: map[string]string{"net.ipv4.tcp_syncookies": "0", "net.ipv4.ip_local_port_range": "20000 30000"},
		Files:  []schema.File{{Path: "/etc/app/conf", Content: "a=1\n", Mode: "0640"}},
		Ruleset: &schema.Ruleset{Text: `table ip nat {
	chain post {
		type nat hook postrouting priority srcnat;
		iif lo accept
		oifname "eth0" masquerade
	}
}
table inet filter {
	chain input {
		type filter hook input priority filter; policy accept;
		iif "eth0" tcp dport { 22, 80 } counter accept
	}
}
`},
	}
}

func converge(t *testing.T, s guest.System, g *schema.Guest) helper.Response {
	t.Helper()
	r := s.Converge(t.Context(), helper.Request{Mark: "m", Guest: g})
	if len(r.Problems) > 0 {
		t.Fatalf("problems: %+v", r.Problems)
	}
	expect(t, r, g)
	return r
}

func expect(t *testing.T, r helper.Response, g *schema.Guest) {
	t.Helper()
	if diff := cmp.Diff(helper.Essence(g), helper.Essence(r.Guest)); diff != "" || len(r.Rules) > 0 || !r.Kept {
		t.Fatalf("not converged (kept %t): %s\n%+v", r.Kept, diff, r.Rules)
	}
}

func snapshot(t *testing.T, s guest.System, g *schema.Guest) helper.Response {
	t.Helper()
	r := s.Snapshot(t.Context(), helper.Request{Guest: g})
	if len(r.Problems) > 0 {
		t.Fatalf("problems: %+v", r.Problems)
	}
	return r
}

func TestConvergeFromNothingAndAgain(t *testing.T) {
	s, g := machine(t), router()
	first := converge(t, s, g)
	if len(first.Changed) == 0 {
		t.Fatal("nothing was changed")
	}
	if again := converge(t, s, g); len(again.Changed) > 0 {
		t.Errorf("the second time changed %q", again.Changed)
	}
	expect(t, snapshot(t, s, g), g)
	if out := run(t, "ip", "route", "show", "dev", "eth1"); strings.Contains(out, "10.0.0.0/24") {
		t.Errorf("a connected route is there: %s", out)
	}
	if out := run(t, "ip", "route", "show", "10.9.0.0/16"); !strings.Contains(out, "via 10.0.0.9 dev eth1 proto static metric 50 onlink") {
		t.Errorf("route: %s", out)
	}
	info, err := os.Stat(filepath.Join(s.Root, "/etc/app/conf"))
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("file: %v, %v", info, err)
	}
}

func TestDriftIsNamedAndMended(t *testing.T) {
	s, g := machine(t), router()
	converge(t, s, g)
	for name, test := range map[string]struct {
		command []string
		drifted func(have *schema.Guest) bool
		does    int // changes that mend it
	}{
		"address gone": {[]string{"ip", "addr", "del", "10.0.0.2/24", "dev", "eth1"},
			func(h *schema.Guest) bool { return slices.Equal(h.Interfaces[1].Addresses, []string{"10.0.0.1/24"}) }, 1},
		"first address gone": {[]string{"ip", "addr", "del", "10.0.0.1/24", "dev", "eth1"}, // the second and a route go with it
			func(h *schema.Guest) bool {
				return h.Interfaces[1].Addresses == nil && len(h.Routes) == len(g.Routes)-1
			}, 3},
		"address more": {[]string{"ip", "addr", "add", "10.7.0.1/24", "dev", "eth0"},
			func(h *schema.Guest) bool { return slices.Contains(h.Interfaces[0].Addresses, "10.7.0.1/24") }, 1},
		"route gone": {[]string{"ip", "route", "del", "10.9.0.0/16"},
			func(h *schema.Guest) bool { return len(h.Routes) == len(g.Routes)-1 }, 1},
		"route changed": {[]string{"ip", "route", "replace", "default", "via", "192.168.111.2", "proto", "static"},
			func(h *schema.Guest) bool { return h.Routes[0].Via == "192.168.111.2" }, 1},
		"route more": {[]string{"ip", "route", "add", "10.6.0.0/16", "dev", "eth0"},
			func(h *schema.Guest) bool { return len(h.Routes) == len(g.Routes)+1 }, 1},
		"connected route": {[]string{"ip", "route", "add", "10.0.0.0/24", "dev", "eth1", "proto", "kernel", "scope", "link", "src", "10.0.0.1"},
			func(h *schema.Guest) bool { return h.Interfaces[1].ConnectedRoute }, 1},
		"mtu": {[]string{"ip", "link", "set", "eth1", "mtu", "1450"},
			func(h *schema.Guest) bool { return h.Interfaces[1].MTU == 1450 }, 1},
		"name": {[]string{"sh", "-c", "ip link set eth1 down; ip link set eth1 name other; ip link set other up"},
			func(h *schema.Guest) bool { return h.Interfaces[1].Name == "other" }, -1},
		"down": {[]string{"ip", "link", "set", "eth0", "down"},
			func(h *schema.Guest) bool { return h.Interfaces[0].Down && len(h.Routes) < len(g.Routes) }, -1},
		"forwarding": {[]string{"sysctl", "-qw", "net.ipv4.ip_forward=0"}, func(h *schema.Guest) bool { return !h.Forwarding }, 1},
		"redirects":  {[]string{"sysctl", "-qw", "net.ipv4.conf.eth0.send_redirects=1"}, func(h *schema.Guest) bool { return !h.Forwarding }, 1},
		"sysctl": {[]string{"sysctl", "-qw", "net.ipv4.tcp_syncookies=1"},
			func(h *schema.Guest) bool { return h.Sysctl["net.ipv4.tcp_syncookies"] == "1" }, 1},
		"file": {[]string{"sh", "-c", "echo b=2 >" + s.Root + "/etc/app/conf"},
			func(h *schema.Guest) bool { return h.Files[0].Content == "b=2\n" }, 1},
		"file mode": {[]string{"chmod", "600", s.Root + "/etc/app/conf"},
			func(h *schema.Guest) bool { return h.Files[0].Mode == "0600" && h.Files[0].Content == "a=1\n" }, 1},
		"file gone": {[]string{"rm", s.Root + "/etc/app/conf"}, func(h *schema.Guest) bool { return len(h.Files) == 0 }, 1},
		"hosts": {[]string{"sh", "-c", "sed -i s/peer/pair/ " + s.Root + "/etc/hosts"},
			func(h *schema.Guest) bool { return h.Hosts["10.0.0.9"][0] == "pair" }, 1},
		"dns": {[]string{"sh", "-c", "echo nameserver 9.9.9.9 >" + s.Root + "/etc/resolv.conf"},
			func(h *schema.Guest) bool { return h.Nameservers[0] == "9.9.9.9" && h.Search == nil }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, test.command...)
			have := snapshot(t, s, g)
			if !test.drifted(have.Guest) {
				t.Fatalf("not seen: %s", cmp.Diff(helper.Essence(g), helper.Essence(have.Guest)))
			}
			mended := converge(t, s, g)
			if test.does > 0 && len(mended.Changed) != test.does {
				t.Errorf("changed more than what differs: %q", mended.Changed)
			}
		})
	}
}

func TestRuleDriftIsOneRule(t *testing.T) {
	s, g := machine(t), router()
	converge(t, s, g)
	run(t, "nft", "add", "rule", "inet", "filter", "input", "tcp", "dport", "9", "drop")
	run(t, "nft", "add", "counter", "ip", "nat", "seen")
	have := snapshot(t, s, g)
	if diff := cmp.Diff([]nft.Difference{
		{Table: "inet filter", Chain: "input", Kind: "rule", Old: "tcp dport 9 drop"},
		{Table: "ip nat", Chain: "seen", Kind: "counter", Old: "counter seen"},
	}, have.Rules); diff != "" {
		t.Error(diff)
	}
	if mended := converge(t, s, g); len(mended.Changed) != 1 {
		t.Errorf("changed %q", mended.Changed)
	}
}

func TestRefusedRulesetSaysWhere(t *testing.T) {
	s, g := machine(t), router()
	converge(t, s, g)
	before := run(t, "nft", "list", "ruleset")
	g.Ruleset = &schema.Ruleset{Text: "table inet filter {\n\tchain c {\n\t\ttcp dprt 1 accept\n\t}\n}\n"}
	r := s.Converge(t.Context(), helper.Request{Mark: "m", Guest: g})
	if len(r.Problems) == 0 || r.Problems[0].Code != helper.Refused || r.Problems[0].Lines[0].Line != 3 {
		t.Fatalf("%+v", r.Problems)
	}
	if after := run(t, "nft", "list", "ruleset"); after != before {
		t.Errorf("a refused ruleset changed the live one:\n%s", after)
	}
}

func TestWhatIsNoLongerDeclaredGoesBack(t *testing.T) {
	s, g := machine(t), router()
	was := run(t, "sysctl", "-n", "net.ipv4.tcp_syncookies")
	if err := os.MkdirAll(filepath.Join(s.Root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.Root, "etc/motd"), []byte("hello\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.Files = append(g.Files, schema.File{Path: "/etc/motd", Content: "lab\n"})
	converge(t, s, g)
	bare := &schema.Guest{Domain: "x", Interfaces: []schema.GuestInterface{
		{Name: "eth0", MAC: mac0, ConnectedRoute: true}, {Name: "eth1", MAC: mac1, ConnectedRoute: true},
	}}
	have := snapshot(t, s, bare).Guest
	if len(have.Files) != 2 || have.Sysctl["net.ipv4.tcp_syncookies"] != "0" || have.Ruleset == nil || have.Interfaces[1].MTU != 1400 {
		t.Errorf("what is to go is not seen: %+v", have)
	}
	converge(t, s, bare)
	expect(t, snapshot(t, s, bare), bare)
	if now := run(t, "sysctl", "-n", "net.ipv4.tcp_syncookies"); now != was {
		t.Errorf("sysctl is %q, was %q", now, was)
	}
	motd, err := os.ReadFile(filepath.Join(s.Root, "etc/motd"))
	if err != nil || string(motd) != "hello\n" {
		t.Errorf("motd: %q, %v", motd, err)
	}
	if _, err := os.Stat(filepath.Join(s.Root, "etc/app/conf")); !os.IsNotExist(err) {
		t.Errorf("the file is still there: %v", err)
	}
	if mtu := run(t, "cat", "/sys/class/net/eth1/mtu"); mtu != "1500\n" {
		t.Errorf("MTU %s", mtu)
	}
	if rules := run(t, "nft", "list", "ruleset"); rules != "" {
		t.Errorf("rules: %s", rules)
	}
}

func TestBootMakesSoWhatIsKept(t *testing.T) {
	s, g := machine(t), router()
	seed, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	if err := (host.Local{}).WriteFile(t.Context(), filepath.Join(s.Root, "run/seed/labctl/guest.json"), seed, 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Boot(t.Context()); err != nil || len(r.Problems) > 0 {
		t.Fatalf("%+v, %v", r.Problems, err)
	}
	r := s.Snapshot(t.Context(), helper.Request{Mark: "m", Guest: g})
	if diff := cmp.Diff(helper.Essence(g), helper.Essence(r.Guest)); diff != "" || len(r.Rules) > 0 || len(r.Problems) > 0 {
		t.Fatalf("after the first boot: %s %+v %+v", diff, r.Rules, r.Problems)
	}
	if r.Mark != "" || !r.Kept {
		t.Errorf("marked %q, kept %t before any converge", r.Mark, r.Kept)
	}
	if r := converge(t, s, g); len(r.Changed) > 0 || r.Mark != "m" {
		t.Errorf("the converge after it changed %q, mark %q", r.Changed, r.Mark)
	}
	g.Interfaces[1].Addresses = []string{"10.0.0.3/24"}
	converge(t, s, g)
	run(t, "sh", "-c", "ip addr flush dev eth1; ip addr flush dev eth0; nft flush ruleset; rm -r "+s.Root+"/run")
	if r, err := s.Boot(t.Context()); err != nil || len(r.Problems) > 0 {
		t.Fatalf("%+v, %v", r.Problems, err)
	}
	expect(t, snapshot(t, s, g), g)
}

// TestCopyWritesItsOwnFilesAtBoot: a copy has the network files of the machine that it is a copy of until it has been told by the seed
// disc what it is.
func TestCopyWritesItsOwnFilesAtBoot(t *testing.T) {
	s, g := machine(t), router()
	put := func(name, text string) {
		t.Helper()
		if err := (host.Local{}).WriteFile(t.Context(), filepath.Join(s.Root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("usr/sbin/netplan", "")
	put("etc/netplan/empty", "")
	converge(t, s, g)
	g.Hostname, g.Interfaces[0].Addresses = "copy", []string{"192.168.111.102/24"}
	g.Routes = slices.DeleteFunc(g.Routes, func(r schema.Route) bool { return r.Source != "" || r.To == "default6" })
	seed, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	put("run/seed/"+helper.SeedGuest, string(seed))
	put("run/seed/"+helper.SeedClone, "another\n")
	if r, err := s.Boot(t.Context()); err != nil || len(r.Problems) > 0 {
		t.Fatalf("%+v, %v", r.Problems, err)
	}
	text, err := os.ReadFile(filepath.Join(s.Root, "etc/netplan/90-labctl.yaml"))
	if err != nil || !strings.Contains(string(text), "192.168.111.102/24") || strings.Contains(string(text), "111.101") {
		t.Errorf("%v\n%s", err, text)
	}
	expect(t, snapshot(t, s, g), g)
}
