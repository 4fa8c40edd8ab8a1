package netplan

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/netplan/link"
	"github.com/labctl/labctl/provider/providertest"
	"github.com/labctl/labctl/schema"
)

func declared(edit func(*schema.Bridge)) schema.Resource {
	b := &schema.Bridge{Name: "br0", Addresses: []string{"192.168.111.1/24"}, MTU: 1400, Interfaces: []string{"eth1"}}
	edit(b)
	return schema.Resource{Addr: schema.Addr{Kind: "bridge", Name: "br0"}, Deps: []schema.Addr{{Kind: "host", Part: "sysctl"}}, Body: b}
}

func (m *machine) snapshot() string {
	text := ""
	view, err := m.Read(nil) //nolint:staticcheck // the fake asks no context
	if err != nil {
		return err.Error()
	}
	for _, name := range []string{"br0", "br1", "eth0", "eth1"} {
		if l := view.Links[name]; l != nil {
			text += fmt.Sprintf("%+v %+v\n", *l, l.Bridge)
		}
	}
	files, err := filepath.Glob(filepath.Join(m.root, "etc/netplan/*"))
	for _, f := range files {
		data, readErr := os.ReadFile(f)
		text += fmt.Sprintf("%s %s %v %v\n", f, data, err, readErr)
	}
	return text + fmt.Sprint(view.Routes)
}

func fakeHarness(t *testing.T) providertest.Harness {
	m := newMachine(t)
	before := m.snapshot()
	locked := func(change func()) func() error {
		return func() error {
			m.mu.Lock()
			defer m.mu.Unlock()
			change()
			return nil
		}
	}
	variant := func(name string, action provider.Action, edit func(*schema.Bridge), paths ...string) providertest.Variant {
		return providertest.Variant{Name: name, Want: declared(edit), Action: action, Paths: paths}
	}
	return providertest.Harness{
		Lab:  "bench",
		New:  func() provider.Provider { return m.provider() },
		Want: declared(func(*schema.Bridge) {}),
		Variants: []providertest.Variant{
			variant("addresses", provider.Update, func(b *schema.Bridge) { b.Addresses = []string{"192.168.111.1/24", "10.0.0.1/8"} }, "addresses"),
			variant("timers", provider.Update, func(b *schema.Bridge) { b.STP, b.HelloTime, b.Priority = new(true), new(1.5), new(4096) },
				"stp", "hello_time", "priority"),
			variant("port", provider.Update, func(b *schema.Bridge) { b.Interfaces, b.PathCost = []string{"eth0"}, map[string]int{"eth0": 5} },
				"interfaces", "path_cost"),
			variant("what only the file tells", provider.Update, func(b *schema.Bridge) { b.Nameservers, b.DHCP6 = []string{"1.1.1.1"}, true },
				"nameservers", "dhcp6"),
			variant("route", provider.Update, func(b *schema.Bridge) { b.Routes = []schema.Route{{To: "default", Via: "192.168.111.9"}} }, "route.default"),
			variant("name", provider.Replace, func(b *schema.Bridge) { b.Name = "br1" }, "name"),
		},
		Foreign: locked(func() { m.view.Links["br0"] = &link.Link{Name: "br0", Kind: "bridge", Bridge: &link.BridgeState{}} }),
		Survives: func() error {
			if m.view.Links["br0"] == nil || m.view.Links["br0"].Up {
				return fmt.Errorf("there is %s", m.snapshot())
			}
			return nil
		},
		Mutate: locked(func() { m.view.Links["br0"].Addresses = nil }),
		Lose:   locked(func() { delete(m.view.Links, "br0") }),
		Down: func() (func(), error) {
			m.cut = true
			return func() { m.cut = false }, nil
		},
		Gone: func() error {
			if diff := cmp.Diff(before, m.snapshot()); diff != "" {
				return errors.New(diff)
			}
			return nil
		},
	}
}

func TestContractOnTheFake(t *testing.T) { providertest.Run(t, fakeHarness) }

func TestManyAtOnceAreOneCommit(t *testing.T) {
	m := newMachine(t)
	p := m.provider()
	var wait sync.WaitGroup
	const n = 20
	for i := range n {
		wait.Go(func() {
			r := schema.Resource{Addr: schema.Addr{Kind: "bridge", Name: fmt.Sprintf("b%d", i)},
				Body: &schema.Bridge{Name: fmt.Sprintf("b%d", i), Addresses: []string{fmt.Sprintf("10.%d.0.1/24", i)}}}
			if err := p.Apply(t.Context(), "bench", provider.Change{Addr: r.Addr, Action: provider.Create, Want: &r}); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	reloads := strings.Count(strings.Join(m.log, "\n"), "networkctl reload")
	if reloads > n/4 {
		t.Errorf("%d bridges were loaded in %d commits: %v", n, reloads, m.log)
	}
	if objects, err := p.Read(t.Context(), "bench", nil); err != nil || len(objects) != n {
		t.Errorf("%d objects, %v", len(objects), err)
	}
}

func TestTheOldFileIsPutBack(t *testing.T) {
	m := newMachine(t)
	p := m.provider()
	good := declared(func(*schema.Bridge) {})
	apply := func(r schema.Resource) error {
		return p.Apply(t.Context(), "bench", provider.Change{Addr: r.Addr, Action: provider.Update, Want: &r})
	}
	if err := apply(good); err != nil {
		t.Fatal(err)
	}
	file := p.ownPath("bench")
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, late := range []bool{false, true} { // refused in the trial, or only when it is meant
		m.refuse, m.late = "192.168.300.1", late
		if err := apply(declared(func(b *schema.Bridge) { b.Addresses = []string{"192.168.300.1/24"} })); err == nil ||
			!strings.Contains(err.Error(), "netplan: Error in network definition: 192.168.300.1") {
			t.Errorf("%v", err)
		}
		if after, err := os.ReadFile(file); err != nil || string(after) != string(before) {
			t.Errorf("late %v: %v\n%s", late, err, after)
		}
		if diff := cmp.Diff([]string{"192.168.111.1/24"}, m.made["br0"].Addresses); diff != "" {
			t.Errorf("what netplan generated was not put back: %s", diff)
		}
	}
}

func TestOnlyTheMarkChangesNothingElse(t *testing.T) {
	m := newMachine(t)
	p := m.provider()
	r := declared(func(*schema.Bridge) {})
	for _, keep := range []bool{false, true} {
		r.Lifecycle.PreventDestroy = keep
		m.log = nil
		if err := p.Apply(t.Context(), "bench", provider.Change{Addr: r.Addr, Action: provider.Update, Want: &r}); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"try", "disarm", "write 90-labctl-bench.yaml"}, m.log); diff != "" {
		t.Error(diff)
	}
}

func TestNetworkManagerIsAskedByApply(t *testing.T) {
	m := newMachine(t)
	p := m.provider()
	site := "network: {version: 2, renderer: NetworkManager}\n"
	if err := os.WriteFile(filepath.Join(m.root, "etc/netplan/01-nm.yaml"), []byte(site), 0o600); err != nil {
		t.Fatal(err)
	}
	r := declared(func(*schema.Bridge) {})
	if err := p.Apply(t.Context(), "bench", provider.Change{Addr: r.Addr, Action: provider.Create, Want: &r}); err != nil {
		t.Fatal(err)
	}
	if log := strings.Join(m.log, "\n"); !strings.Contains(log, "netplan apply") || strings.Contains(log, "networkctl") {
		t.Errorf("%v", m.log)
	}
}

func TestBrokenFileIsAnErrorAndNotEmpty(t *testing.T) {
	m := newMachine(t)
	p := m.provider()
	if err := os.WriteFile(p.ownPath("demo"), []byte("network: [\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if objects, err := p.Read(t.Context(), "demo", nil); err == nil || !strings.Contains(err.Error(), "90-labctl-demo.yaml") {
		t.Errorf("%v %v", objects, err)
	}
}

func TestLifelines(t *testing.T) {
	m := newMachine(t)
	p := m.provider()
	p.Patience, p.Peer = time.Millisecond, "10.3.0.77"
	silent := map[string]bool{"10.3.0.9": true}
	m.answer = func(address string) bool { return !silent[address] }
	m.view.Routes = []link.Route{{Route: schema.Route{To: "default", Via: "10.3.0.1", Interface: "eth0"}},
		{Route: schema.Route{To: "default", Via: "10.3.0.9", Interface: "eth1", Metric: 9}}}
	r := declared(func(*schema.Bridge) {})
	apply := func() (string, error) {
		m.log = nil
		err := p.Apply(t.Context(), "bench", provider.Change{Addr: r.Addr, Action: provider.Update, Want: &r})
		return strings.Join(m.log, "\n"), err
	}
	log, err := apply()
	if err != nil || !strings.Contains(log, "arm\n") || !strings.HasSuffix(log, "ask 10.3.0.1\nask 10.3.0.77\ndisarm\nwrite 90-labctl-bench.yaml") {
		t.Errorf("%v\n%s", err, log)
	}
	// What was silent before is no reason to go back; what falls silent is.
	r.Body.(*schema.Bridge).MTU = 1300
	asked := 0
	m.answer = func(address string) bool {
		asked++
		return asked <= 3
	}
	if log, err = apply(); err == nil || !strings.Contains(err.Error(), "the change was taken back") || !strings.HasSuffix(log, "take back") {
		t.Errorf("%v\n%s", err, log)
	}
}
