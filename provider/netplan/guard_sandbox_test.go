//go:build sandbox

package netplan

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// uplinked is a host whose only way out is up0, with a gateway behind it in a namespace of its own.
func uplinked(t *testing.T) *Provider {
	t.Helper()
	p := clean(t)
	p.Patience = 3 * time.Second
	run(t, "sh", "-ec", `ip netns add gw; ip link add up0 type veth peer name gw0 netns gw
		ip netns exec gw sh -ec 'ip addr add 10.3.0.1/24 dev gw0; ip link set gw0 up; ip link set lo up'`)
	t.Cleanup(func() { run(t, "ip", "netns", "delete", "gw") })
	site := "network:\n  version: 2\n  ethernets:\n    up0:\n      addresses: [10.3.0.2/24]\n      routes: [{to: default, via: 10.3.0.1}]\n"
	if err := os.WriteFile("/etc/netplan/50-site.yaml", []byte(site), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "netplan", "generate")
	run(t, "networkctl", "reload")
	for began := time.Now(); !p.answers(t.Context(), "10.3.0.1"); {
		if time.Since(began) > 10*time.Second {
			t.Fatal("the gateway does not answer:\n", run(t, "sh", "-c", "ip addr; ip route; ip neigh; networkctl"))
		}
	}
	return p
}

// backAsBefore waits until the host's own network is there again and the lab has nothing.
func backAsBefore(t *testing.T, p *Provider) {
	t.Helper()
	for began := time.Now(); !p.answers(t.Context(), "10.3.0.1"); {
		if time.Since(began) > 15*time.Second {
			t.Fatal("the host stays cut off:\n", run(t, "sh", "-c", "ip addr; ip route; networkctl; ls /run/labctl/guard"))
		}
	}
	if all := snapshot(t); strings.Contains(all, "br0") || strings.Contains(all, "labctl") {
		t.Errorf("left behind:\n%s", all)
	}
	calledOff(t)
}

func cut() schema.Resource {
	r := bridge("br0")
	r.Body.(*schema.Bridge).Interfaces = []string{"up0"}
	return r
}

func TestAChangeThatCutsTheHostOffIsTakenBack(t *testing.T) {
	p := uplinked(t)
	want := cut()
	err := p.Apply(t.Context(), lab, provider.Change{Addr: want.Addr, Action: provider.Create, Want: &want})
	if err == nil || !strings.Contains(err.Error(), "10.3.0.1, which the host reached before, did not answer for 3s: the change was taken back") {
		t.Errorf("%v", err)
	}
	backAsBefore(t, p)
	// A bridge that has nothing to do with it is made as ever, and the guard is called off.
	converge(t, p, bridge("br5", "192.168.111.1/24"))
	calledOff(t)
	converge(t, p)
}

func TestTheGuardOutlivesLabctl(t *testing.T) {
	p := uplinked(t)
	died := errors.New("died")
	ctx := provider.WithSteps(context.Background(), func(stage string) error {
		if strings.HasPrefix(stage, "see that") {
			return died
		}
		return nil
	})
	want := cut()
	if err := p.Apply(ctx, lab, provider.Change{Addr: want.Addr, Action: provider.Create, Want: &want}); !errors.Is(err, died) {
		t.Fatalf("%v", err)
	}
	if p.answers(t.Context(), "10.3.0.1") {
		t.Fatal("the host is not cut off, so this shows nothing")
	}
	backAsBefore(t, p)
}

func TestABridgeMayTakeTheUplinkOver(t *testing.T) {
	p := uplinked(t)
	if err := os.Remove("/etc/netplan/50-site.yaml"); err != nil {
		t.Fatal(err)
	}
	want := bridge("br0", "10.3.0.2/24")
	b := want.Body.(*schema.Bridge)
	b.Interfaces, b.STP, b.Routes = []string{"up0"}, new(false), []schema.Route{{To: "default", Via: "10.3.0.1"}}
	run(t, "ip", "addr", "flush", "dev", "up0") // as somebody does who moves the host's address to the bridge
	run(t, "ip", "addr", "add", "10.3.0.2/24", "dev", "up0")
	run(t, "ip", "route", "add", "default", "via", "10.3.0.1")
	if !p.answers(t.Context(), "10.3.0.1") {
		t.Fatal("the gateway does not answer")
	}
	converge(t, p, want)
	if !p.answers(t.Context(), "10.3.0.1") {
		t.Error("the gateway does not answer through the bridge")
	}
	calledOff(t)
}

func calledOff(t *testing.T) {
	t.Helper()
	if out, err := (host.Local{}).Run(t.Context(), host.Cmd("pgrep", "-af", "/run/labctl/guard/")); err == nil {
		t.Errorf("the guard still runs: %s", out.Stdout)
	}
	if left, err := os.ReadDir("/run/labctl/guard"); err == nil && len(left) > 0 {
		t.Errorf("guards left: %v", left)
	}
}
