package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/diag"
)

// load reads a lab that must be without errors.
func load(t testing.TB, dir string, opts Options) *Result {
	t.Helper()
	res, diags := Load(dir, opts)
	if diags.HasErrors() {
		var b bytes.Buffer
		if err := diag.Text(&b, diags, res.Files, false, 100); err != nil {
			t.Fatal(err)
		}
		t.Fatalf("load %s:\n%s", dir, b.String())
	}
	return res
}

// write puts a lab's files into a folder of its own.
func write(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// body is the body of a resource of the lab.
func body[T any](t testing.TB, lab *schema.Lab, addr string) *T {
	t.Helper()
	for _, r := range lab.Resources {
		if r.Addr.String() == addr {
			typed, ok := r.Body.(*T)
			if !ok {
				t.Fatalf("%s is a %T", addr, r.Body)
			}
			return typed
		}
	}
	t.Fatalf("the lab has no %s", addr)
	return nil
}

// said is what is wrong with a lab, as text.
func said(t testing.TB, dir string, opts Options) string {
	t.Helper()
	res, diags := Load(dir, opts)
	var b bytes.Buffer
	if err := diag.Text(&b, diags, res.Files, false, 0); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestHolePunchExample(t *testing.T) {
	res := load(t, "../../examples/holepunch", Options{})
	var addrs []string
	for _, r := range res.Lab.Resources {
		addrs = append(addrs, r.Addr.String())
	}
	want := []string{
		"host.sysctl", "bridge.br0", "bridge.br1", "image.micro",
		`vm.nat["a"]`, `vm.nat["a"].guest`, `vm.nat["b"]`, `vm.nat["b"].guest`,
		`vm.client["a"]`, `vm.client["a"].guest`, `vm.client["b"]`, `vm.client["b"].guest`,
	}
	if d := cmp.Diff(want, addrs); d != "" {
		t.Errorf("resources (-want +got):\n%s", d)
	}
	client := body[schema.Guest](t, res.Lab, `vm.client["b"].guest`)
	route := schema.Route{To: "default", Via: "192.168.222.101", Interface: "eth0", OnLink: true}
	if d := cmp.Diff([]schema.Route{route}, client.Routes); d != "" {
		t.Errorf("the client's route (-want +got):\n%s", d)
	}
	if client.Interfaces[0].ConnectedRoute {
		t.Error("the client has a connected route")
	}
	if n := strings.Count(client.Ruleset.Text, "\n"); n != len(client.Ruleset.Lines) {
		t.Errorf("%d lines of rules, and places of %d", n, len(client.Ruleset.Lines))
	}
	router := body[schema.Guest](t, res.Lab, `vm.nat["a"].guest`)
	for _, key := range []string{"net.ipv4.conf.all.send_redirects", "net.ipv4.conf.eth0.send_redirects"} {
		if router.Sysctl[key] != "0" {
			t.Errorf("%s is %q on a router with one arm", key, router.Sysctl[key])
		}
	}
	var punch *schema.HolePunchCheck
	for _, c := range res.Lab.Checks {
		if c.HolePunch != nil {
			punch = c.HolePunch
		}
	}
	wantB := schema.PunchPeer{
		Endpoint: schema.Endpoint{VM: schema.Addr{Kind: "vm", Name: "client", Key: `"b"`}, Domain: "holepunch-client-b", Address: "192.168.222.100", Port: 55555},
		Outside:  "192.168.222.101",
	}
	if d := cmp.Diff(wantB, punch.B); d != "" {
		t.Errorf("side b of the hole punch (-want +got):\n%s", d)
	}
}

func TestHolePunchVariable(t *testing.T) {
	res := load(t, "../../examples/holepunch", Options{Given: []Given{{Name: "nat_b", Value: "symmetric"}}})
	if nat := body[schema.Guest](t, res.Lab, `vm.nat["b"].guest`).NAT; nat.Type != "symmetric" {
		t.Errorf("NAT b is %q", nat.Type)
	}
	if nat := body[schema.Guest](t, res.Lab, `vm.nat["a"].guest`).NAT; nat.Type != "port_restricted_cone" {
		t.Errorf("NAT a is %q", nat.Type)
	}
}

func TestFirstVMExample(t *testing.T) {
	res := load(t, "../../examples/first-vm", Options{})
	set := body[schema.Ruleset](t, res.Lab, "host.nftables")
	if !strings.Contains(set.Text, "table inet labctl_first_vm {") ||
		!strings.Contains(set.Text, "ip saddr 192.168.111.0/24 ip daddr != { 192.168.111.0/24 } counter masquerade") {
		t.Errorf("the host's rules are\n%s", set.Text)
	}
	if line := set.Lines[3]; line.Line == 0 || res.Pos(schema.Addr{Kind: "bridge", Name: "br0"}, "masquerade") != line {
		t.Errorf("the rule comes from %v", line)
	}
	vm := body[schema.Domain](t, res.Lab, "vm.first")
	if vm.Name != "first-vm-first" || vm.Memory != 128<<20 || vm.Seed == nil || vm.Seed.Hostname != "first" {
		t.Errorf("the machine is %+v", vm)
	}
}
