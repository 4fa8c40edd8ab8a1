//go:build sandbox

package libvirt

import (
	"context"
	"errors"
	"testing"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

var errStopped = errors.New("stopped by the test")

// TestStoppedAnywhere stops an apply before each of its steps in turn. After every stop the plan must say that there is
// something to do, or that there is nothing and be right, and one apply must converge.
func TestStoppedAnywhere(t *testing.T) {
	w := newWorld(t)
	base := w.vm("a", func(d *schema.Domain) {
		d.Timeouts.Shutdown = 0.1
		d.Disks = []schema.Disk{{Name: "data", Size: 1 << 20}}
	})
	changed := func(change func(d *schema.Domain)) schema.Resource {
		other := base
		change(body(&other))
		return other
	}
	stops := 0
	for _, tc := range []struct {
		name     string
		from, to *schema.Resource
	}{
		{"create", nil, &base},
		{"create one that stays off", nil, new(changed(func(d *schema.Domain) { d.Running = false }))},
		{"live", &base, new(changed(func(d *schema.Domain) {
			d.Description, d.Autostart, d.Interfaces[0].Bridge = "x", true, "tbr1"
			d.Disks = []schema.Disk{{Name: "data", Size: 2 << 20}, {Name: "more", Size: 1 << 20}}
		}))},
		{"restart", &base, new(changed(func(d *schema.Domain) { d.Memory, d.CPU = 144<<20, "Nehalem" }))},
		{"rename", &base, new(changed(func(d *schema.Domain) { d.Name = "t-other" }))},
		{"stop", &base, new(changed(func(d *schema.Domain) { d.Running = false }))},
		{"replace", &base, new(changed(func(d *schema.Domain) { d.Disks[0].Format = "raw" }))},
		{"delete", &base, nil},
	} {
		for at := 1; ; at++ {
			w.reset(base.Addr, nil) // a disk that has grown does not shrink
			w.reset(base.Addr, tc.from)
			if !w.stopAt(tc.name, tc.to, base.Addr, at) {
				break
			}
			stops++
			w.reset(base.Addr, tc.to)
		}
	}
	if stops < 20 {
		t.Errorf("stopped %d times, want every step of every sort of change", stops)
	}
	t.Logf("stopped and converged %d times", stops)
}

// reset brings the lab to want by a whole apply, and requires an empty plan.
func (w *world) reset(addr schema.Addr, want *schema.Resource) {
	w.Helper()
	c, err := w.plan(want, addr)
	if err != nil {
		w.Fatal(err)
	}
	if err := w.p.Apply(context.Background(), testLab, c); err != nil {
		w.Fatalf("%s: %v", c.Action, err)
	}
	if want != nil {
		w.empty(*want)
	} else if left, err := w.plan(nil, addr); err != nil || left.Action != provider.NoOp {
		w.Fatalf("after a delete: %+v, %v", left, err)
	}
}

// stopAt applies want and stops before the at-th step. It returns false where there are fewer steps.
func (w *world) stopAt(name string, want *schema.Resource, addr schema.Addr, at int) bool {
	w.Helper()
	c, err := w.plan(want, addr)
	if err != nil {
		w.Fatal(err)
	}
	step, stage := 0, ""
	ctx := provider.WithSteps(context.Background(), func(s string) error {
		if step++; step == at {
			stage = s
			return errStopped
		}
		return nil
	})
	err = w.p.Apply(ctx, testLab, c)
	if err == nil {
		return false
	}
	if !errors.Is(err, errStopped) {
		w.Fatalf("%s, stopped before %q: %v", name, stage, err)
	}
	if want != nil {
		if left, err := w.plan(want, addr); err != nil || left.Action == provider.NoOp {
			w.Fatalf("%s, stopped before %q: the plan says %s, %v", name, stage, left.Action, err)
		}
	}
	w.Logf("%s, stopped before %q", name, stage)
	return true
}
