//go:build sandbox

package netplan

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

const lab = "bench"

func bridge(name string, addresses ...string) schema.Resource {
	return schema.Resource{Addr: schema.Addr{Kind: "bridge", Name: name}, Body: &schema.Bridge{Name: name, Addresses: addresses}}
}

// clean gives a test a host with no bridges and no netplan files.
func clean(t *testing.T) *Provider {
	t.Helper()
	files, err := filepath.Glob("/etc/netplan/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "netplan", "generate")
	run(t, "networkctl", "reload")
	view, err := Kernel(host.Local{}).Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name := range view.Links {
		if name != "lo" && view.Links[name] != nil {
			_, _ = host.Local{}.Run(t.Context(), host.Cmd("ip", "link", "delete", "dev", name)) // a veth's peer is gone already
		}
	}
	return New(host.Local{}, Kernel(host.Local{}))
}

func run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := host.Local{}.Run(context.Background(), host.Cmd(args...))
	if err != nil {
		t.Fatal(err)
	}
	return string(out.Stdout)
}

// plan reads and plans all of want and what is the lab's beside it.
func plan(t *testing.T, p *Provider, want ...schema.Resource) []provider.Change {
	t.Helper()
	objects, err := p.Read(t.Context(), lab, want)
	if err != nil {
		t.Fatal(err)
	}
	var changes []provider.Change
	seen := map[schema.Addr]bool{}
	for i := range want {
		seen[want[i].Addr] = true
		var have *provider.Object
		for j := range objects {
			if objects[j].Addr == want[i].Addr {
				have = &objects[j]
			}
		}
		c, err := p.Plan(&want[i], have)
		if err != nil {
			t.Fatal(err)
		}
		changes = append(changes, c)
	}
	for i := range objects {
		if !seen[objects[i].Addr] {
			c, err := p.Plan(nil, &objects[i])
			if err != nil {
				t.Fatal(err)
			}
			changes = append(changes, c)
		}
	}
	return changes
}

func apply(t *testing.T, p *Provider, changes []provider.Change) {
	t.Helper()
	var wait sync.WaitGroup
	for _, c := range changes {
		wait.Go(func() {
			if err := p.Apply(t.Context(), lab, c); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
}

// converge applies want and demands that the plan is empty then.
func converge(t *testing.T, p *Provider, want ...schema.Resource) time.Duration {
	t.Helper()
	began := time.Now()
	apply(t, p, plan(t, p, want...))
	took := time.Since(began)
	for _, c := range plan(t, p, want...) {
		if c.Action != provider.NoOp {
			t.Errorf("after the apply %s is still to be changed: %s %s %+v", c.Addr, c.Action, c.Why, c.Details)
		}
	}
	if t.Failed() {
		t.Log(run(t, "ip", "-d", "addr"), run(t, "sh", "-c", "cat /etc/netplan/*"))
		t.FailNow()
	}
	return took
}

func snapshot(t *testing.T) string {
	t.Helper()
	return run(t, "sh", "-c", "ip -br link; ip -br addr; ip route; ls -la --time-style=+ /etc/netplan; cat /etc/netplan/* 2>/dev/null; ls /run/systemd/network")
}

func TestBridgesComeChangeAndGo(t *testing.T) {
	p := clean(t)
	before := snapshot(t)
	br0, br1 := bridge("br0", "192.168.111.1/24"), bridge("br1", "192.168.222.1/24", "fd00:1::1/64")
	t.Logf("create: %v", converge(t, p, br0, br1))

	full := bridge("br0", "192.168.111.1/24", "10.9.0.1/16")
	full.Body = &schema.Bridge{
		Name: "br0", Addresses: []string{"192.168.111.1/24", "10.9.0.1/16", "fd00:2::1/64"}, MTU: 1400, MAC: "52:54:00:00:00:01",
		STP: new(true), ForwardDelay: new(4.0), HelloTime: new(1.5), MaxAge: new(8.0), AgeingTime: new(60.0), Priority: new(4096),
		Nameservers: []string{"192.168.111.1"}, Search: []string{"lab.test"}, LinkLocal: []string{}, AcceptRA: new(false),
		Optional: true,
		Routes: []schema.Route{
			{To: "10.50.0.0/16", Via: "192.168.111.101", Metric: 7}, {To: "10.51.0.0/16"},
			{To: "default", Via: "192.168.111.102", Table: 77, OnLink: true}, {To: "10.52.0.0/16", Type: "unreachable"},
			{To: "default6", Via: "fd00:2::9"}, {To: "fd00:9::/64", Via: "fd00:2::9", Source: "fd00:2::1", Metric: 9}, {To: "fd00:8::/64"},
		},
	}
	t.Logf("change in place: %v", converge(t, p, full, br1))
	t.Logf("change back: %v", converge(t, p, br0, br1))
	br0.Body = &schema.Bridge{Name: "br5", Addresses: []string{"192.168.111.1/24"}}
	t.Logf("rename: %v", converge(t, p, br0, br1))
	t.Logf("drop one: %v", converge(t, p, br1))
	t.Logf("drop all: %v", converge(t, p))
	if after := snapshot(t); after != before {
		t.Errorf("the host is not as it was found:\n%s\nbefore:\n%s", after, before)
	}
}

func TestDriftIsNamedAndMended(t *testing.T) {
	p := clean(t)
	run(t, "ip", "link", "add", "port0", "type", "veth", "peer", "name", "port1")
	want := bridge("br0", "192.168.111.1/24", "192.168.112.1/24")
	body := want.Body.(*schema.Bridge)
	body.STP, body.MTU, body.Interfaces = new(false), 1450, []string{"port0"}
	body.Routes = []schema.Route{{To: "10.50.0.0/16", Via: "192.168.111.101"}}
	body.PathCost, body.PortPriority = map[string]int{"port0": 50}, map[string]int{"port0": 20}
	converge(t, p, want)
	for _, drift := range []struct{ name, path, command string }{
		{"address deleted", "addresses", "ip addr del 192.168.112.1/24 dev br0"},
		{"address added", "addresses", "ip addr add 10.77.0.1/24 dev br0"},
		{"stp", "stp", "ip link set br0 type bridge stp_state 1"},
		{"mtu", "mtu", "ip link set br0 mtu 1300"},
		{"cost", "path_cost.port0", "ip link set port0 type bridge_slave cost 7"},
		{"port priority", "port_priority.port0", "ip link set port0 type bridge_slave priority 3"},
		{"route deleted", "route", "ip route del 10.50.0.0/16"},
		{"route added", "route", "ip route add 10.60.0.0/16 dev br0"},
		{"bridge deleted", "addresses", "ip link del br0"},
		{"file", "mtu", "sed -i s/1450/1451/ /etc/netplan/90-labctl-bench.yaml"},
		{"file and runtime", "mtu", "sed -i s/1450/1451/ /etc/netplan/90-labctl-bench.yaml; netplan generate; networkctl reload; sleep 0.2"},
		{"key in the file", "gateway4", "sed -i 's/      mtu: 1450/&\\n      gateway4: 192.168.111.9/' /etc/netplan/90-labctl-bench.yaml"},
	} {
		t.Run(drift.name, func(t *testing.T) {
			run(t, "sh", "-ec", drift.command)
			c := plan(t, p, want)[0]
			if c.Action != provider.Update || !slices.ContainsFunc(c.Details, func(d provider.Detail) bool { return strings.HasPrefix(d.Path, drift.path) }) {
				t.Fatalf("planned %s %q %+v, want an update of %s", c.Action, c.Why, c.Details, drift.path)
			}
			t.Logf("mended in %v: %s", converge(t, p, want), c.Why)
		})
	}
	converge(t, p)
}

func TestForeignBridgesAreLeftAlone(t *testing.T) {
	p := clean(t)
	foreign := "network:\n  version: 2\n  bridges:\n    # a comment\n    br7:\n      addresses: [10.70.0.1/24]\n    br8: {mtu: 1400}\n"
	if err := os.WriteFile("/etc/netplan/50-site.yaml", []byte(foreign), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "ip", "link", "add", "br9", "type", "bridge")
	run(t, "netplan", "generate")
	run(t, "networkctl", "reload")
	awaitLink(t, "br7")
	other := bridge("br6", "10.66.0.1/24")
	if err := p.Apply(t.Context(), "other", provider.Change{Addr: other.Addr, Action: provider.Create, Want: &other}); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t)
	for name, said := range map[string]string{"br7": "/etc/netplan/50-site.yaml", "br9": "the kernel has a bridge", "br6": "the lab other"} {
		want := bridge(name, "10.1.1.1/24")
		objects, err := p.Read(t.Context(), lab, []schema.Resource{want})
		if err != nil || len(objects) != 1 {
			t.Fatalf("%s: read %+v, %v", name, objects, err)
		}
		_, err = p.Plan(&want, &objects[0])
		if !errors.Is(err, provider.ErrForeign) || !strings.Contains(err.Error(), said) {
			t.Errorf("%s: %v", name, err)
		}
		// Even a plan that has not seen it may not take it.
		err = p.Apply(t.Context(), lab, provider.Change{Addr: want.Addr, Action: provider.Create, Want: &want})
		if !errors.Is(err, provider.ErrForeign) {
			t.Errorf("%s: apply: %v", name, err)
		}
	}
	if after := snapshot(t); after != before {
		t.Errorf("something was touched:\n%s\nbefore:\n%s", after, before)
	}
	// What somebody has put on another bridge by hand stays there: nothing but the lab's own links is configured anew.
	run(t, "ip", "addr", "add", "10.71.0.1/24", "dev", "br7")
	before = snapshot(t)
	want := bridge("br0", "192.168.111.1/24")
	converge(t, p, want)
	converge(t, p)
	if after := snapshot(t); after != before {
		t.Errorf("something was touched:\n%s\nbefore:\n%s", after, before)
	}
}

func awaitLink(t *testing.T, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	links := Kernel(host.Local{})
	changes, err := links.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for {
		view, err := links.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if view.Links[name] != nil && len(view.Links[name].Addresses) > 0 {
			return
		}
		<-changes
	}
}
