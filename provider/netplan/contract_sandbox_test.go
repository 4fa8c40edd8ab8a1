//go:build sandbox

package netplan

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/providertest"
	"github.com/labctl/labctl/schema"
)

// line is a host that is reached over a line which can be cut.
type line struct {
	host.Host
	cut bool
}

func (l *line) Run(ctx context.Context, c host.Command) (host.Output, error) {
	if l.cut {
		return host.Output{}, fmt.Errorf("no answer")
	}
	return l.Host.Run(ctx, c)
}

func harness(t *testing.T) providertest.Harness {
	clean(t)
	before := snapshot(t)
	far := &line{Host: host.Local{}}
	declare := func(edit func(*schema.Bridge)) schema.Resource {
		r := bridge("br0", "192.168.111.1/24", "fd00:1::1/64")
		r.Deps = []schema.Addr{{Kind: "host", Part: "sysctl"}}
		edit(r.Body.(*schema.Bridge))
		return r
	}
	command := func(words string) func() error {
		return func() error {
			_, err := host.Local{}.Run(context.Background(), host.Cmd("sh", "-ec", words))
			return err
		}
	}
	return providertest.Harness{
		Lab:  lab,
		New:  func() provider.Provider { return New(far, Kernel(far)) },
		Want: declare(func(b *schema.Bridge) { b.MTU = 1400 }),
		Variants: []providertest.Variant{
			{Name: "addresses", Want: declare(func(b *schema.Bridge) { b.MTU, b.Addresses = 1400, []string{"192.168.112.1/24"} }),
				Action: provider.Update, Paths: []string{"addresses"}},
			{Name: "stp", Want: declare(func(b *schema.Bridge) { b.STP, b.ForwardDelay = new(true), new(3.0) }),
				Action: provider.Update, Paths: []string{"mtu", "stp", "forward_delay"}},
			{Name: "name", Want: declare(func(b *schema.Bridge) { b.Name = "br1" }), Action: provider.Replace, Paths: []string{"name"}},
		},
		Foreign: command("ip link add br0 type bridge; ip addr add 10.0.0.1/8 dev br0"),
		Survives: func() error {
			if all := snapshot(t); !strings.Contains(all, "10.0.0.1/8") || strings.Contains(all, "192.168") {
				return fmt.Errorf("there is %s", all)
			}
			return nil
		},
		Mutate: command("ip addr del 192.168.111.1/24 dev br0"),
		Lose:   command("ip link del br0"),
		Down: func() (func(), error) {
			far.cut = true
			return func() { far.cut = false }, nil
		},
		Gone: func() error {
			if diff := cmp.Diff(before, snapshot(t)); diff != "" {
				return fmt.Errorf("%s", diff)
			}
			return nil
		},
	}
}

func TestContract(t *testing.T) { providertest.Run(t, harness) }

func TestAnotherFilesAddressIsNamed(t *testing.T) {
	p := clean(t)
	want := bridge("br0", "192.168.111.1/24")
	converge(t, p, want)
	extra := "network:\n  version: 2\n  bridges:\n    br0:\n      addresses: [10.99.0.1/24]\n"
	if err := os.WriteFile("/etc/netplan/99-other.yaml", []byte(extra), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "netplan", "generate")
	run(t, "networkctl", "reload")
	c := plan(t, p, want)[0]
	for range 50 {
		if c.Action != provider.NoOp {
			break
		}
		c = plan(t, p, want)[0]
	}
	if c.Action != provider.Update || !strings.Contains(c.Why, "/etc/netplan/99-other.yaml") {
		t.Fatalf("%s %s %+v", c.Action, c.Why, c.Details)
	}
	if err := p.Apply(t.Context(), lab, c); err == nil || !strings.Contains(err.Error(), "/etc/netplan/99-other.yaml") {
		t.Errorf("%v", err)
	}
}

func TestNetplansRefusalChangesNothing(t *testing.T) {
	p := clean(t)
	good, bad := bridge("br0", "192.168.111.1/24"), bridge("br1", "192.168.300.1/24")
	converge(t, p, good)
	before := snapshot(t)
	if errs := p.Check(t.Context(), []schema.Resource{good, bad}); len(errs) != 1 || !strings.Contains(errs[0].Error(), "bridge.br1: check bridge: netplan") ||
		!strings.Contains(errs[0].Error(), "192.168.300.1") {
		t.Errorf("check: %v", errs)
	}
	if err := p.Apply(t.Context(), lab, provider.Change{Addr: bad.Addr, Action: provider.Create, Want: &bad}); err == nil || !strings.Contains(err.Error(), "192.168.300.1") {
		t.Errorf("apply: %v", err)
	}
	if diff := cmp.Diff(before, snapshot(t)); diff != "" {
		t.Error(diff)
	}
	// Of two at once, the good one is made all the same.
	other := bridge("br2", "192.168.222.1/24")
	errs := make(chan error, 2)
	for _, r := range []schema.Resource{bad, other} {
		go func() {
			errs <- p.Apply(t.Context(), lab, provider.Change{Addr: r.Addr, Action: provider.Create, Want: &r})
		}()
	}
	if a, b := <-errs, <-errs; (a == nil) == (b == nil) {
		t.Errorf("%v, %v", a, b)
	}
	if c := plan(t, p, good, other); c[0].Action != provider.NoOp || c[1].Action != provider.NoOp {
		t.Errorf("%+v", c)
	}
}

func TestImportAndForget(t *testing.T) {
	p := clean(t)
	site := "# The site's own.\nnetwork:\n  version: 2\n  bridges:\n    # one\n    br7:\n      addresses: [10.70.0.1/24]\n      mtu: 1400\n    # two\n    br8: {mtu: 1400}\n"
	if err := os.WriteFile("/etc/netplan/50-site.yaml", []byte(site), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "netplan", "generate")
	run(t, "networkctl", "reload")
	run(t, "ip", "link", "add", "br9", "type", "bridge", "forward_delay", "300")
	run(t, "ip", "addr", "add", "10.90.0.1/24", "dev", "br9")
	filed, bare := bridge("br7", "10.70.0.1/24"), bridge("br9", "10.90.0.1/24")
	filed.Body.(*schema.Bridge).MTU = 1400
	for _, r := range []schema.Resource{filed, bare} {
		if err := p.Import(t.Context(), lab, r, r.Body.(*schema.Bridge).Name); err != nil {
			t.Fatal(err)
		}
		if err := p.Import(t.Context(), lab, r, r.Body.(*schema.Bridge).Name); err != nil {
			t.Fatalf("again: %v", err)
		}
	}
	for _, c := range plan(t, p, filed, bare) {
		if c.Action != provider.NoOp {
			t.Errorf("after the import: %s %s %s %+v", c.Addr, c.Action, c.Why, c.Details)
		}
	}
	left, err := os.ReadFile("/etc/netplan/50-site.yaml")
	if err != nil || strings.Contains(string(left), "br7") || !strings.Contains(string(left), "# two\n    br8: {mtu: 1400}") || !strings.Contains(string(left), "# The site's own.") {
		t.Errorf("%s %v", left, err)
	}
	objects, err := p.Read(t.Context(), lab, nil)
	if err != nil || len(objects) != 2 {
		t.Fatal(objects, err)
	}
	links := run(t, "sh", "-c", "ip -br addr; cat /run/systemd/network/*")
	for _, o := range objects {
		if err := p.Forget(t.Context(), lab, o); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(links, run(t, "sh", "-c", "ip -br addr; cat /run/systemd/network/*")); diff != "" {
		t.Errorf("something was touched: %s", diff)
	}
	if objects, err = p.Read(t.Context(), lab, []schema.Resource{filed}); err != nil || len(objects) != 1 || objects[0].Mark.Lab != "" {
		t.Errorf("%+v %v", objects, err)
	}
	all, err := p.List(t.Context())
	if err != nil || len(all) != 3 {
		t.Errorf("%+v %v", all, err)
	}
}

func TestRiskOfTheDefaultRoute(t *testing.T) {
	p := clean(t)
	run(t, "sh", "-ec", "ip link add up0 type veth peer name up1; ip addr add 10.3.0.2/24 dev up0; ip link set up0 up; ip link set up1 up; ip route add default via 10.3.0.1")
	want := bridge("br0")
	want.Body.(*schema.Bridge).Interfaces = []string{"up0"}
	c := plan(t, p, want)[0]
	if !strings.Contains(c.Risk, "up0 carries the host's default route via 10.3.0.1") || c.Why != "careful: "+c.Risk {
		t.Errorf("%q %q", c.Why, c.Risk)
	}
	want.Body.(*schema.Bridge).Interfaces = []string{"up7"}
	if errs := p.Check(t.Context(), []schema.Resource{want}); len(errs) != 1 || !strings.Contains(errs[0].Error(), "no interface up7") {
		t.Errorf("%v", errs)
	}
}
