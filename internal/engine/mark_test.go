package engine_test

import (
	"fmt"
	"testing"

	"github.com/labctl/labctl/internal/engine"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// TestWhatOnlyTheMarkHolds: a change of depends_on or prevent_destroy alone is planned as a live update of just the thing that
// it is about, is no drift, and leaves nothing to do; the order of what is named is no change.
func TestWhatOnlyTheMarkHolds(t *testing.T) {
	depends := func(texts ...string) *schema.Lab {
		l := small()
		for n := range l.Resources {
			if l.Resources[n].Addr == at("bridge.br1") {
				l.Resources[n].Deps = ats(texts...)
			}
		}
		return l
	}
	for _, c := range []struct {
		name     string
		from, to *schema.Lab
		path     string // "" where nothing is to do
		old, new string
	}{
		{"added", small(), depends("bridge.br0"), "depends_on", "[]", "[bridge.br0]"},
		{"taken away", depends("bridge.br0", "image.micro"), depends("image.micro"), "depends_on", "[bridge.br0 image.micro]", "[image.micro]"},
		{"in another order", depends("bridge.br0", "image.micro"), depends("image.micro", "bridge.br0"), "", "", ""},
		{"kept", small(), lifecycle(small(), "bridge.br1", schema.Lifecycle{PreventDestroy: true}), "lifecycle.prevent_destroy", "false", "true"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.apply(c.from, engine.PlanOptions{})
			p := r.plan(c.to, engine.PlanOptions{})
			if c.path == "" {
				r.expect(p)
				return
			}
			r.expect(p, "update bridge.br1")
			d := detail(t, p, "bridge.br1", c.path)
			if text(d.Old) != c.old || text(d.New) != c.new || d.Effect != provider.Live {
				t.Errorf("%+v", d)
			}
			item := p.Item(at("bridge.br1"))
			if item.Drift || len(item.Details) != 1 {
				t.Errorf("drift %t, %+v", item.Drift, item.Details)
			}
			r.apply(c.to, engine.PlanOptions{})
			r.expect(r.plan(c.to, engine.PlanOptions{}))
		})
	}
}

// TestNamesArePassedOn: a thing that takes the name of another waits until that one has its new name.
func TestNamesArePassedOn(t *testing.T) {
	called := func(a, b string) *schema.Lab {
		l := with(small(), "vm.a", func(d *schema.Domain) { d.Name = a })
		return with(l, "vm.b", func(d *schema.Domain) { d.Name = b })
	}
	for effect, words := range map[provider.Effect][2]string{provider.Live: {"update", "update"}, provider.OnReplace: {"delete", "create"}} {
		r := newRig(t)
		r.provider.Effects = map[string]provider.Effect{"name": effect}
		r.apply(called("one", "two"), engine.PlanOptions{})
		report := r.apply(called("two", "three"), engine.PlanOptions{})
		before(t, report, "done "+words[0]+" vm.b", "done "+words[1]+" vm.a")
		report = r.apply(called("zero", "two"), engine.PlanOptions{})
		before(t, report, "done "+words[0]+" vm.a", "done "+words[1]+" vm.b")
		if effect == provider.OnReplace { // changed about: both are deleted first
			r.apply(called("two", "zero"), engine.PlanOptions{})
		}
	}
}
func text(value any) string { return fmt.Sprint(value) }
