//go:build sandbox

package libvirt

import (
	"strings"
	"testing"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// TestLimitAtTheHostsEnd gives a card a rate on its tap, changes it while the machine runs, and finds what others do to it.
func TestLimitAtTheHostsEnd(t *testing.T) {
	w := newWorld(t)
	limited := func(rates ...uint64) schema.Resource {
		return w.vm("a", func(d *schema.Domain) {
			second := d.Interfaces[0]
			second.Name, second.MAC = "eth1", "52:54:00:00:77:01"
			d.Interfaces = append(d.Interfaces, second)[:len(rates)]
			for i, rate := range rates {
				if rate != 0 {
					d.Interfaces[i].Impair = schema.Impair{On: "host", Direction: "in", Rate: rate}
				}
			}
		})
	}
	w.apply(limited(2_000_003), provider.Create)
	w.hasRate("a tap that is new", "rate 2Mbit")
	w.up("t-a")
	first := w.id("t-a")
	change := func(what string, want schema.Resource, path, rate string) {
		t.Helper()
		c := w.apply(want, provider.Update)
		if len(c.Details) != 1 || c.Details[0].Path != path || c.Details[0].Effect != provider.Live {
			t.Errorf("%s: details %+v, want just %s", what, c.Details, path)
		}
		w.hasRate(what, rate)
	}
	five := limited(5_000_000)
	change("another rate", five, "interface.eth0.impair.rate", "rate 5Mbit")
	w.tc("qdisc", "del", "dev", w.tap("t-a"), "root")
	change("taken away", five, "interface.eth0.impair", "rate 5Mbit")
	w.tc("qdisc", "replace", "dev", w.tap("t-a"), "root", "tbf", "rate", "1mbit", "burst", "64kb", "latency", "50ms")
	change("made slower", five, "interface.eth0.impair.rate", "rate 5Mbit")
	change("declared no more", limited(0), "interface.eth0.impair", "")
	w.tc("qdisc", "replace", "dev", w.tap("t-a"), "root", "tbf", "rate", "1mbit", "burst", "64kb", "latency", "50ms")
	change("not declared", limited(0), "interface.eth0.impair", "")
	w.apply(limited(0, 7_000_000), provider.Update)
	if shown := w.tc("qdisc", "show"); !strings.Contains(shown, "rate 7Mbit") {
		t.Errorf("a card that is added while the machine runs has no limit:\n%s", shown)
	}
	if now := w.id("t-a"); now != first {
		t.Error("the machine was started anew")
	}
	// A tap is new whenever the machine is started; labctl puts back what another's start left out.
	w.virsh("destroy", "t-a")
	w.virsh("start", "t-a")
	c := w.apply(limited(0, 7_000_000), provider.Update)
	if len(c.Details) != 1 || c.Details[0].Path != "interface.eth1.impair" {
		t.Errorf("after a power cut: details %+v", c.Details)
	}
	w.virsh("destroy", "t-a")
	w.apply(limited(0, 7_000_000), provider.Update)
	if shown := w.tc("qdisc", "show"); !strings.Contains(shown, "rate 7Mbit") {
		t.Errorf("labctl starts the machine, and its limit is not there:\n%s", shown)
	}
}

func (w *world) tc(args ...string) string {
	w.Helper()
	out, err := host.Local{}.Run(w.ctx, host.Cmd(append([]string{"tc"}, args...)...))
	if err != nil {
		w.Fatal(err)
	}
	return string(out.Stdout)
}

// hasRate looks at the tap of the machine's first card, as tc shows it; "" is no limit.
func (w *world) hasRate(what, rate string) {
	w.Helper()
	shown := w.tc("qdisc", "show", "dev", w.tap("t-a"))
	if has := strings.Contains(shown, "tbf"); has != (rate != "") || !strings.Contains(shown, rate) {
		w.Errorf("%s: want %q, got %q", what, rate, shown)
	}
}
