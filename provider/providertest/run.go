package providertest

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// Run holds a provider against the contract. fresh gives a fresh live system, or one that is as good as fresh, to each case,
// and cleans up with t.Cleanup.
func Run(t *testing.T, fresh func(*testing.T) Harness) {
	h := fresh(t)
	cases := []struct {
		name string
		run  func(*testing.T, func(*testing.T) Harness)
		has  bool
	}{
		{"create", create, true},
		{"repeat", repeat, true},
		{"delete", remove, true},
		{"orphan", orphan, true},
		{"mark", mark, true},
		{"update", update, len(h.Variants) > 0},
		{"foreign", foreign, h.Foreign != nil},
		{"drift", drift, h.Mutate != nil},
		{"lost", lost, h.Lose != nil},
		{"unreachable", unreachable, h.Down != nil},
		{"cancelled", cancelled, true},
		{"killed", killed, true},
	}
	for _, c := range cases {
		if c.has {
			t.Run(c.name, func(t *testing.T) { c.run(t, fresh) })
		}
	}
}

// create: what is not there is planned as a creation, made, marked, and then there is nothing left to do.
func create(t *testing.T, fresh func(*testing.T) Harness) {
	s := start(t, fresh)
	want := &s.h.Want
	if have, err := s.read(want); err != nil || have != nil {
		t.Fatalf("before anything is made: %+v, %v", have, err)
	}
	c, err := s.plan(want)
	if err != nil || c.Action != provider.Create {
		t.Fatalf("plan: %s, %v", c.Action, err)
	}
	s.converge(want)
	have, err := s.read(want)
	if err != nil || have == nil || !have.Owned(s.h.Lab) || have.Addr != want.Addr || have.ID == "" {
		t.Fatalf("after the creation: %+v, %v", have, err)
	}
	if got, want := reflect.TypeOf(have.Body), reflect.TypeOf(want.Body); got != want {
		t.Errorf("the body read is a %v, not a %v", got, want)
	}
	again, err := s.read(want)
	if err != nil || provider.Fingerprint(again.Body) != provider.Fingerprint(have.Body) {
		t.Errorf("two reads differ: %v\n%v", provider.Diff(have.Body, again.Body), err)
	}
	s.again()
	s.settled(want)
}

// repeat: an apply may be repeated as it is, and changes nothing the second time.
func repeat(t *testing.T, fresh func(*testing.T) Harness) {
	s := start(t, fresh)
	want := &s.h.Want
	c, err := s.plan(want)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		if err := s.apply(t.Context(), c); err != nil {
			t.Fatalf("apply %d: %v", n+1, err)
		}
	}
	s.settled(want)
	before, err := s.read(want)
	if err != nil {
		t.Fatal(err)
	}
	// an update that changes nothing, as the engine sends when something below was made anew
	if err := s.apply(t.Context(), provider.Change{Addr: want.Addr, Action: provider.Update, Want: want, Have: before}); err != nil {
		t.Fatalf("an update without details: %v", err)
	}
	s.settled(want)
}

// remove: what is no longer wanted is planned as a deletion, and nothing of it stays; a deletion may be repeated.
func remove(t *testing.T, fresh func(*testing.T) Harness) {
	s := start(t, fresh)
	s.converge(&s.h.Want)
	c, err := s.plan(nil)
	if err != nil || c.Action != provider.Delete {
		t.Fatalf("plan: %s, %v", c.Action, err)
	}
	for n := range 2 {
		if err := s.apply(t.Context(), c); err != nil {
			t.Fatalf("deletion %d: %v", n+1, err)
		}
	}
	s.gone()
}

// gone demands that nothing is read, also with the resource wanted, and that the harness finds nothing left.
func (s *state) gone() {
	s.t.Helper()
	for _, want := range []*schema.Resource{nil, &s.h.Want} {
		if have, err := s.read(want); err != nil || have != nil {
			s.t.Fatalf("after the deletion: %+v, %v", have, err)
		}
	}
	if s.h.Gone != nil {
		if err := s.h.Gone(); err != nil {
			s.t.Errorf("left behind: %v", err)
		}
	}
}

// orphan: a new labctl that wants nothing finds what was made by the bare name of the lab, and another lab does not.
func orphan(t *testing.T, fresh func(*testing.T) Harness) {
	s := start(t, fresh)
	s.converge(&s.h.Want)
	s.again()
	have, err := s.read(nil)
	if err != nil || have == nil || !have.Owned(s.h.Lab) {
		t.Fatalf("the orphan: %+v, %v", have, err)
	}
	others, err := s.p.Read(t.Context(), s.h.Lab+"-other", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range others {
		if o.Owned(s.h.Lab + "-other") {
			t.Errorf("another lab owns %+v", o)
		}
	}
	s.converge(nil)
	s.gone()
}

// mark: the mark says what MarkOf says; prevent_destroy and a dependency can be set and taken back with nothing else changed.
func mark(t *testing.T, fresh func(*testing.T) Harness) {
	s := start(t, fresh)
	kept := s.h.Want
	kept.Lifecycle.PreventDestroy = true
	depending := s.h.Want
	depending.Deps = append(slices.Clone(depending.Deps), schema.Addr{Kind: "image", Name: "further", Key: `"of its own"`})
	s.converge(&kept)
	for _, want := range []*schema.Resource{&kept, &s.h.Want, &kept, &depending, &s.h.Want} {
		have, err := s.read(want)
		if err != nil || have == nil {
			t.Fatalf("read: %+v, %v", have, err)
		}
		if err := s.apply(t.Context(), provider.Change{Addr: want.Addr, Action: provider.Update, Want: want, Have: have}); err != nil {
			t.Fatal(err)
		}
		s.again()
		s.settled(want)
		have, err = s.read(want)
		if err != nil || have == nil {
			t.Fatalf("read: %+v, %v", have, err)
		}
		should := provider.MarkOf(s.h.Lab, want)
		got := have.Mark
		if got.Lab != should.Lab || got.Addr != should.Addr || got.Version != should.Version ||
			got.PreventDestroy != should.PreventDestroy || got.Incomplete {
			t.Errorf("the mark is %+v and not %+v", got, should)
		}
		for _, dep := range want.Deps {
			if !slices.Contains(append(slices.Clone(got.Deps), have.Deps...), dep) {
				t.Errorf("what was read does not say that it depends on %s", dep)
			}
		}
		for _, dep := range got.Deps {
			if !slices.Contains(want.Deps, dep) {
				t.Errorf("what was read still says that it depends on %s", dep)
			}
		}
	}
}

// update: each variant is planned as it says, made by one apply, and so is the way back.
func update(t *testing.T, fresh func(*testing.T) Harness) {
	for _, v := range fresh(t).Variants {
		t.Run(v.Name, func(t *testing.T) {
			s := start(t, fresh)
			s.converge(&s.h.Want)
			c, err := s.plan(&v.Want)
			if err != nil {
				t.Fatalf("plan: %v", err)
			}
			if c.Action == provider.NoOp || v.Action != "" && c.Action != v.Action {
				t.Errorf("the plan says %s and not %s: %s", c.Action, v.Action, describe(c))
			}
			for _, path := range v.Paths {
				if !slices.ContainsFunc(c.Details, func(d provider.Detail) bool { return d.Path == path }) {
					t.Errorf("the plan does not name %s: %s", path, describe(c))
				}
			}
			for _, d := range c.Details {
				if c.Action == provider.Update && d.Effect != provider.Live && d.Effect != "" {
					t.Errorf("a live update has %s, which says %s", d.Path, d.Effect)
				}
			}
			s.converge(&v.Want)
			s.again()
			s.settled(&v.Want)
			s.converge(&s.h.Want)
		})
	}
}

// foreign: a thing that is somebody else's is read, refused, and left as it is, also by an apply that did not see it.
func foreign(t *testing.T, fresh func(*testing.T) Harness) {
	s := start(t, fresh)
	blind, err := s.plan(&s.h.Want)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.h.Foreign(); err != nil {
		t.Fatal(err)
	}
	c, err := s.plan(&s.h.Want)
	if !errors.Is(err, provider.ErrForeign) {
		t.Errorf("the plan is %s, %v", c.Action, err)
	}
	if err := s.apply(t.Context(), blind); err == nil {
		t.Error("an apply took the name of somebody else's")
	}
	if c, err := s.plan(nil); err != nil || c.Action != provider.NoOp {
		t.Errorf("with nothing wanted: %s, %v", c.Action, err)
	}
	if s.h.Survives != nil {
		if err := s.h.Survives(); err != nil {
			t.Errorf("somebody else's thing was touched: %v", err)
		}
	}
}

// drift: a change behind labctl's back is planned, with what differs, and mended by one apply.
func drift(t *testing.T, fresh func(*testing.T) Harness) {
	s := start(t, fresh)
	s.converge(&s.h.Want)
	if err := s.h.Mutate(); err != nil {
		t.Fatal(err)
	}
	c, err := s.plan(&s.h.Want)
	if err != nil || c.Action == provider.NoOp || len(c.Details) == 0 && c.Why == "" {
		t.Fatalf("the plan is %s %s, %v", c.Action, describe(c), err)
	}
	s.converge(&s.h.Want)
}

// lost: what was deleted behind labctl's back is made again.
func lost(t *testing.T, fresh func(*testing.T) Harness) {
	s := start(t, fresh)
	s.converge(&s.h.Want)
	if err := s.h.Lose(); err != nil {
		t.Fatal(err)
	}
	if c, err := s.plan(&s.h.Want); err != nil || c.Action == provider.NoOp {
		t.Fatalf("the plan is %s, %v", c.Action, err)
	}
	s.converge(&s.h.Want)
}

// unreachable: what cannot be reached is an error, never absent.
func unreachable(t *testing.T, fresh func(*testing.T) Harness) {
	s := start(t, fresh)
	s.converge(&s.h.Want)
	up, err := s.h.Down()
	if err != nil {
		t.Fatal(err)
	}
	have, err := s.read(&s.h.Want)
	if have == nil && !errors.Is(err, provider.ErrUnreachable) {
		t.Errorf("while it is down: %+v, %v", have, err)
	}
	up()
	s.again()
	s.settled(&s.h.Want)
}

// cancelled: a context that is done stops an apply before its first step.
func cancelled(t *testing.T, fresh func(*testing.T) Harness) {
	s := start(t, fresh)
	c, err := s.plan(&s.h.Want)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.apply(ctx, c); err == nil {
		t.Error("an apply with a context that is done succeeded")
	}
	s.again()
	s.converge(&s.h.Want)
}

// killed: stopped before any of its steps, by creation, by each update and by deletion, one further apply converges.
func killed(t *testing.T, fresh func(*testing.T) Harness) {
	type way struct {
		name     string
		from, to func(h *Harness) *schema.Resource
	}
	none := func(*Harness) *schema.Resource { return nil }
	want := func(h *Harness) *schema.Resource { return &h.Want }
	ways := []way{{"create", none, want}, {"delete", want, none}}
	for n, v := range fresh(t).Variants {
		ways = append(ways, way{"update " + v.Name, want, func(h *Harness) *schema.Resource { return &h.Variants[n].Want }})
	}
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			steps := 0
			for n := 0; ; n++ {
				if !killedAt(t, fresh, w.from, w.to, n) {
					break
				}
				steps++
			}
			if steps == 0 {
				t.Error("it takes no step that it could be stopped at")
			}
			t.Logf("stopped at each of %d steps and converged", steps)
		})
	}
}

// killedAt reports whether there was a step n at all.
func killedAt(t *testing.T, fresh func(*testing.T) Harness, from, to func(*Harness) *schema.Resource, n int) bool {
	t.Helper()
	s := start(t, fresh)
	if before := from(&s.h); before != nil {
		s.converge(before)
	}
	want := to(&s.h)
	c, err := s.plan(want)
	if err != nil {
		t.Fatal(err)
	}
	ctx, taken := stopAt(t.Context(), n)
	err = s.apply(ctx, c)
	stopped := *taken > n
	if stopped && err == nil {
		t.Errorf("stopped at step %d, the apply says nothing", n)
	}
	if !stopped && err != nil {
		t.Fatalf("not stopped, %d steps: %v", *taken, err)
	}
	s.again()
	s.converge(want)
	if want == nil {
		s.gone()
		return stopped
	}
	s.converge(nil)
	s.gone()
	return stopped
}
