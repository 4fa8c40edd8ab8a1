package engine_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/labctl/labctl/internal/engine"
	"github.com/labctl/labctl/internal/plan"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

func TestFirstErrorDoesNotStopWhatIsIndependent(t *testing.T) {
	r := newRig(t)
	p := r.plan(small(), engine.PlanOptions{})
	r.provider.Down = func(addr schema.Addr) error {
		if addr == at("bridge.br0") {
			return errors.New("networkd is gone")
		}
		return nil
	}
	report, err := r.engine.Apply(t.Context(), p, engine.ApplyOptions{})
	if err == nil || !strings.Contains(err.Error(), "bridge.br0: read: it cannot be reached: networkd is gone") {
		t.Errorf("%v", err)
	}
	list := ran(report)
	for _, want := range []string{
		"failed create bridge.br0", "skipped create vm.a", "skipped create vm.a.guest", "done create vm.b", "done create vm.b.guest",
	} {
		if !slices.Contains(list, want) {
			t.Errorf("%q is missing in %v", want, list)
		}
	}
	for _, o := range report.Skipped() {
		if o.Cause != at("bridge.br0") {
			t.Errorf("%s was skipped for %s", o.Addr, o.Cause)
		}
	}
	if report.Converged {
		t.Error("converged")
	}
}

func TestStopFinishesWhatIsUnderWay(t *testing.T) {
	r := newRig(t)
	stop := make(chan struct{})
	var stages atomic.Int64
	report, err := r.engine.Apply(t.Context(), r.plan(small(), engine.PlanOptions{}), engine.ApplyOptions{
		Parallel: 1, Stop: stop,
		Events: func(e plan.Event) {
			if e.Kind == plan.Stage && stages.Add(1) == 1 {
				close(stop)
			}
		},
	})
	if !errors.Is(err, engine.ErrStopped) || !report.Stopped || report.Converged || report.Remaining == nil {
		t.Fatalf("%v, %+v", err, report)
	}
	list := ran(report)
	if len(list) != 7 || !strings.HasPrefix(list[0], "done") || len(report.Skipped()) != 6 {
		t.Errorf("%v", list)
	}
	if left := says(report.Remaining); len(left) != 6 {
		t.Errorf("left: %v", left)
	}
}

func TestCancelStopsAtTheNextStep(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	report, err := r.engine.Apply(ctx, r.plan(small(), engine.PlanOptions{}), engine.ApplyOptions{
		Parallel: 1,
		Events: func(e plan.Event) {
			if e.Stage == "fill" {
				cancel()
			}
		},
	})
	if !errors.Is(err, context.Canceled) || report == nil || report.Remaining != nil || report.Converged {
		t.Fatalf("%v, %+v", err, report)
	}
	r.apply(small(), engine.PlanOptions{})
}

func TestSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.provider.Latency = time.Second
		var resources []schema.Resource
		for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} {
			resources = append(resources, bridge(name))
		}
		report := r.apply(lab(resources...), engine.PlanOptions{})
		if report.Took != 3*time.Second { // three steps each, ten at once
			t.Errorf("it took %s", report.Took)
		}
		for _, o := range report.Outcomes {
			if len(o.Stages) != 3 || o.Stages[1] != (plan.Timing{Stage: "fill", Took: time.Second}) || o.Took != 3*time.Second {
				t.Errorf("%+v", o)
			}
		}
	})
}

// TestReadBackTellsWhatStillDiffers: a system that says yes and does not do it.
func TestReadBackTellsWhatStillDiffers(t *testing.T) {
	r := newRig(t)
	r.apply(small(), engine.PlanOptions{})
	lab := with(small(), "bridge.br0", func(b *schema.Bridge) { b.MTU = 1400 })
	p := r.plan(lab, engine.PlanOptions{})
	report, err := r.engine.Apply(t.Context(), p, engine.ApplyOptions{Events: func(e plan.Event) {
		if e.Kind == plan.Done {
			check(t, r.system.Change(at("bridge.br0"), func(b any) { b.(*schema.Bridge).MTU = 1300 }))
		}
	}})
	if !errors.Is(err, engine.ErrDiffers) || report.Converged {
		t.Fatalf("%v", err)
	}
	if d := detail(t, report.Remaining, "bridge.br0", "mtu"); d.Old == nil || d.New == nil {
		t.Errorf("%+v", d)
	}
}

// save writes a plan and reads it back as another labctl would.
func save(t *testing.T, p *plan.Plan) (*plan.File, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lab.plan")
	check(t, plan.Write(path, p, plan.Source{Dir: "/labs/x"}, "test"))
	file, err := plan.Read(path)
	check(t, err)
	return file, path
}

func TestSavedPlanDoesWhatItShowed(t *testing.T) {
	r := newRig(t)
	file, _ := save(t, r.plan(small(), engine.PlanOptions{}))
	report, err := r.engine.Apply(t.Context(), file.Plan, engine.ApplyOptions{})
	if err != nil || !report.Converged {
		t.Fatalf("%v", err)
	}
	// the same for a change, a replacement and a destroy
	for _, way := range []struct {
		lab  *schema.Lab
		opts engine.PlanOptions
	}{
		{changed(), engine.PlanOptions{}},
		{changed(), engine.PlanOptions{Replace: ats("vm.a")}},
		{changed(), engine.PlanOptions{Destroy: true}},
	} {
		p := r.plan(way.lab, way.opts)
		file, _ := save(t, p)
		if got, want := says(file.Plan), says(p); !slices.Equal(got, want) {
			t.Errorf("saved: %v\nmade: %v", got, want)
		}
		if report, err := r.engine.Apply(t.Context(), file.Plan, engine.ApplyOptions{}); err != nil || !report.Converged {
			t.Errorf("%v: %v", way.opts, err)
		}
	}
}

func TestSavedPlanIsRefusedWhereThingsMoved(t *testing.T) {
	for name, move := range map[string]struct {
		do   func(r *rig) error
		what string
		path string
	}{
		"changed": {func(r *rig) error {
			return r.system.Change(at("bridge.br0"), func(b any) { b.(*schema.Bridge).MTU = 9000 })
		}, "bridge.br0: it has changed", "mtu"},
		"gone": {func(r *rig) error { return r.system.Lose(at("vm.b")) }, "vm.b: it is gone", ""},
		"appeared": {func(r *rig) error {
			r.apply(with(small(), "bridge.br1", func(*schema.Bridge) {}), engine.PlanOptions{})
			return nil
		}, "bridge.br1: it is there now and was not", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.apply(small(), engine.PlanOptions{})
			if name == "appeared" {
				check(t, r.system.Lose(at("bridge.br1")))
			}
			file, _ := save(t, r.plan(with(small(), "bridge.br0", func(b *schema.Bridge) { b.MTU = 1400 }), engine.PlanOptions{}))
			check(t, move.do(r))
			before := r.snapshot()
			_, err := r.engine.Apply(t.Context(), file.Plan, engine.ApplyOptions{})
			stale, is := errors.AsType[*plan.StaleError](err)
			if !is || !strings.Contains(err.Error(), move.what) {
				t.Fatalf("%v", err)
			}
			if move.path != "" && (len(stale.Differences) != 1 || stale.Differences[0].Details[0].Path != move.path) {
				t.Errorf("%+v", stale.Differences)
			}
			if r.snapshot() != before {
				t.Error("something was changed")
			}
		})
	}
}

func TestRecheckOfAPlanInHand(t *testing.T) {
	r := newRig(t)
	p := r.plan(small(), engine.PlanOptions{})
	r.apply(lab(bridge("br0")), engine.PlanOptions{})
	if _, err := r.engine.Apply(t.Context(), p, engine.ApplyOptions{Recheck: true}); err == nil {
		t.Error("applied although a bridge is there meanwhile")
	}
}

func TestSecretsAreNotInASavedPlan(t *testing.T) {
	const secret = "correct horse battery staple"
	declared := func(value string) *schema.Lab {
		l := with(small(), "vm.a.guest", func(g *schema.Guest) {
			g.Files = []schema.File{{Path: "/etc/key", Content: value, Mode: "0600"}, {Path: "/etc/motd", Content: "hello"}}
		})
		for n := range l.Resources {
			if l.Resources[n].Addr == at("vm.a.guest") {
				l.Resources[n].Sensitive = []string{`file["/etc/key"].content`}
			}
		}
		l.Outputs = []schema.Output{{Name: "key", Value: value, Sensitive: true}}
		return l
	}
	for _, before := range []*schema.Lab{nil, small(), declared("an old secret, correct horse")} {
		r := newRig(t)
		if before != nil {
			r.apply(before, engine.PlanOptions{})
		}
		file, path := save(t, r.plan(declared(secret), engine.PlanOptions{}))
		if text := readAll(t, path); strings.Contains(text, "correct horse") || !strings.Contains(text, "hello") {
			t.Fatalf("the file holds a secret, or not the rest:\n%s", text)
		}
		if !file.NeedsSecrets() {
			t.Fatal("it does not say that it needs its secrets")
		}
		if err := file.Supply(declared("another")); err == nil {
			t.Error("another secret was taken")
		}
		check(t, file.Supply(declared(secret)))
		if report, err := r.engine.Apply(t.Context(), file.Plan, engine.ApplyOptions{}); err != nil || !report.Converged {
			t.Fatalf("%v", err)
		}
		r.expect(r.plan(declared(secret), engine.PlanOptions{}))
	}
}

func TestPanicFailsOneOperationOnly(t *testing.T) {
	r := newRig(t)
	ctx := provider.WithSteps(t.Context(), func(stage string) error {
		if stage == "fill" {
			panic("index out of range")
		}
		return nil
	})
	report, err := r.engine.Apply(ctx, r.plan(lab(bridge("a"), bridge("b")), engine.PlanOptions{}), engine.ApplyOptions{})
	if err == nil || !strings.Contains(err.Error(), "labctl has a bug: index out of range") || len(report.Failures()) != 2 {
		t.Fatalf("%v", err)
	}
	if told, ok := errors.AsType[*provider.Error](err); !ok || !strings.Contains(told.Detail, "memory.go") {
		t.Errorf("%+v", told)
	}
}
