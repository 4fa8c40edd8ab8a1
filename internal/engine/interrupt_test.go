package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/labctl/labctl/internal/engine"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

var errKilled = errors.New("killed here by the test")

// fault is a context in which the step n (from 0) fails, and with dead every step after it too, as if labctl had been
// killed. taken counts the steps that were begun.
func fault(ctx context.Context, n int, dead bool) (_ context.Context, taken *atomic.Int64) {
	taken = new(atomic.Int64)
	return provider.WithSteps(ctx, func(string) error {
		k := int(taken.Add(1)) - 1
		if k == n || dead && k > n {
			return errKilled
		}
		return nil
	}), taken
}

// passage is a way from one declared lab to another; nil is no lab.
type passage struct {
	name     string
	from, to func() *schema.Lab
}

// changed is small with a bit of everything: a restart, a replacement, a removal, an addition, a machine on another bridge,
// a freed name taken by another resource, and rules in a guest.
func changed() *schema.Lab {
	l := with(small(), "vm.a", func(d *schema.Domain) { d.Memory *= 2 })
	l = without(l, "vm.b", "bridge.br1")
	renamed := bridge("br1")
	renamed.Addr = at("bridge.renamed")
	l.Resources = append(l.Resources, renamed)
	moved := vm("b", "br0", func(d *schema.Domain, g *schema.Guest) {
		d.Image.Key = "other"
		g.Ruleset = &schema.Ruleset{Text: "table ip filter {\n}\n"}
	})
	l.Resources = append(l.Resources, moved...)
	l.Resources = append(l.Resources, vm("c", "br1")...)
	for n := range l.Resources {
		if l.Resources[n].Addr == at("vm.c") {
			l.Resources[n].Deps = ats("bridge.renamed", "image.micro")
		}
	}
	l.Link()
	return l
}

var passages = []passage{
	{"create", nil, small},
	{"change", small, changed},
	{"change back", changed, small},
	{"destroy", small, nil},
	{"destroy the changed", changed, nil},
}

// reach brings the rig's system to a lab.
func (r *rig) reach(to func() *schema.Lab) {
	r.t.Helper()
	if to != nil {
		r.apply(to(), engine.PlanOptions{})
		return
	}
	r.apply(&schema.Lab{Name: "lab"}, engine.PlanOptions{Destroy: true})
}

func (r *rig) snapshot() string {
	r.t.Helper()
	text, err := json.MarshalIndent(r.system, "", " ")
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text)
}

// TestInterruptedAnywhere stops labctl before each step of each passage, as an error and as a death, alone and side by side.
// After each, a fresh labctl's plan tells the truth, one apply converges, and the system is as if nothing had happened.
func TestInterruptedAnywhere(t *testing.T) {
	total := 0
	for _, way := range passages {
		undisturbed := newRig(t)
		if way.from != nil {
			undisturbed.reach(way.from)
		}
		undisturbed.reach(way.to)
		want := undisturbed.snapshot()
		for _, dead := range []bool{false, true} {
			for _, parallel := range []int{1, 8} {
				n := 0
				for interrupt(t, way, n, dead, parallel, want) {
					n++
				}
				if n < 5 {
					t.Errorf("%s: only %d steps", way.name, n)
				}
				total += n
			}
		}
	}
	t.Logf("%d faults injected, %d survived", total, total)
	if total < 300 {
		t.Errorf("only %d faults: the passages have lost their steps", total)
	}
}

// interrupt reports whether there was a step n.
func interrupt(t *testing.T, way passage, n int, dead bool, parallel int, want string) bool {
	t.Helper()
	r := newRig(t)
	if way.from != nil {
		r.reach(way.from)
	}
	lab, opts := &schema.Lab{Name: "lab"}, engine.PlanOptions{Destroy: true}
	if way.to != nil {
		lab, opts = way.to(), engine.PlanOptions{}
	}
	ctx, taken := fault(t.Context(), n, dead)
	report, err := r.engine.Apply(ctx, r.plan(lab, opts), engine.ApplyOptions{Parallel: parallel})
	hit := int(taken.Load()) > n
	switch {
	case hit && (!errors.Is(err, errKilled) || report.Converged):
		t.Errorf("%s, step %d: the fault is not told: %v", way.name, n, err)
	case !hit && err != nil:
		t.Fatalf("%s with no fault: %v", way.name, err)
	}
	again := &rig{t: t, system: r.system, provider: r.provider, engine: r.engine}
	again.apply(lab, opts)
	if got := again.snapshot(); got != want {
		t.Errorf("%s, step %d, dead %v: after the mend there is\n%s\nand not\n%s", way.name, n, dead, got, want)
	}
	return hit
}

// TestInterruptedTwice kills labctl anywhere, and the labctl that mends that anywhere too.
func TestInterruptedTwice(t *testing.T) {
	undisturbed := newRig(t)
	undisturbed.reach(small)
	undisturbed.reach(changed)
	want := undisturbed.snapshot()
	total := 0
	for first := 0; ; first++ {
		hitFirst := false
		for second := 0; ; second++ {
			r := newRig(t)
			r.reach(small)
			hit := []bool{false, false}
			for k, n := range []int{first, second} {
				ctx, taken := fault(t.Context(), n, true)
				_, err := r.engine.Apply(ctx, r.plan(changed(), engine.PlanOptions{}), engine.ApplyOptions{Parallel: 1})
				if hit[k] = int(taken.Load()) > n; hit[k] != (err != nil) {
					t.Fatalf("steps %d and %d: %v", first, second, err)
				}
			}
			r.apply(changed(), engine.PlanOptions{})
			if got := r.snapshot(); got != want {
				t.Fatalf("steps %d and %d: after the mend there is\n%s\nand not\n%s", first, second, got, want)
			}
			hitFirst = hit[0]
			if !hit[1] {
				break
			}
			total++
		}
		if !hitFirst {
			break
		}
	}
	t.Logf("%d pairs of deaths survived", total)
	if total < 100 {
		t.Errorf("only %d pairs", total)
	}
}
