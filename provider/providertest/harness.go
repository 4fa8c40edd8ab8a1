// Package providertest is the contract of package provider as a suite that every provider passes, on the fake and on the
// real system.
package providertest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// Harness is one live system and what the suite needs to know of it. The functions that are nil leave out the cases that
// need them; all others must be there.
type Harness struct {
	Lab  string                   // name of the lab that the suite plays
	New  func() provider.Provider // a client of the live system, as after a new start of labctl
	Want schema.Resource          // a resource that is not there yet

	// Variants are the resource with something else declared, each one change away from Want.
	Variants []Variant

	// Foreign makes something that is not labctl's and that Want would collide with.
	Foreign func() error
	// Survives reports whether that is untouched.
	Survives func() error
	// Mutate changes the live object of Want, behind labctl's back, in an attribute that Want declares.
	Mutate func() error
	// Lose deletes the live object of Want behind labctl's back.
	Lose func() error
	// Down makes the system unreachable until up is called.
	Down func() (up func(), err error)
	// Gone reports, as an error, what is left on the live system that was not there before anything was made.
	Gone func() error
}

// Variant is a resource that differs from Harness.Want.
type Variant struct {
	Name   string
	Want   schema.Resource
	Action provider.Action // that a plan from Want to it must say; "" leaves it open
	Paths  []string        // that its details must name; nil leaves it open
}

// state is the suite's view of the one object.
type state struct {
	t *testing.T
	h Harness
	p provider.Provider
}

func start(t *testing.T, fresh func(*testing.T) Harness) *state {
	t.Helper()
	h := fresh(t)
	return &state{t, h, h.New()}
}

// again is a new start of labctl.
func (s *state) again() { s.p = s.h.New() }

// read is the object of the resource's address as it is now; nil where there is none.
func (s *state) read(want *schema.Resource) (*provider.Object, error) {
	var list []schema.Resource
	if want != nil {
		list = append(list, *want)
	}
	objects, err := s.p.Read(s.t.Context(), s.h.Lab, list)
	if err != nil {
		return nil, err
	}
	for n := range objects {
		if objects[n].Addr == s.h.Want.Addr {
			return &objects[n], nil
		}
	}
	return nil, nil
}

// plan reads and compares as the engine does.
func (s *state) plan(want *schema.Resource) (provider.Change, error) {
	have, err := s.read(want)
	if err != nil {
		return provider.Change{}, err
	}
	if want == nil && have == nil {
		return provider.Change{Action: provider.NoOp}, nil
	}
	c, err := s.p.Plan(want, have)
	c.Addr, c.Want, c.Have = s.h.Want.Addr, want, have
	if err == nil && c.Action == provider.NoOp && have != nil && have.Mark.Incomplete {
		c.Action = provider.Update
	}
	return c, err
}

// apply carries a change out as the engine does: a replacement in two halves.
func (s *state) apply(ctx context.Context, c provider.Change) error {
	switch c.Action {
	case provider.NoOp:
		return nil
	case provider.Replace:
		if err := s.p.Apply(ctx, s.h.Lab, provider.Change{Addr: c.Addr, Action: provider.Delete, Have: c.Have}); err != nil {
			return err
		}
		c.Action, c.Have = provider.Create, nil
	}
	return s.p.Apply(ctx, s.h.Lab, c)
}

// converge plans and applies once, and demands that nothing is left to do.
func (s *state) converge(want *schema.Resource) {
	s.t.Helper()
	c, err := s.plan(want)
	if err != nil {
		s.t.Fatalf("plan: %v", err)
	}
	if err := s.apply(s.t.Context(), c); err != nil {
		s.t.Fatalf("apply %s: %v", c.Action, err)
	}
	s.settled(want)
}

// settled demands an empty plan.
func (s *state) settled(want *schema.Resource) {
	s.t.Helper()
	c, err := s.plan(want)
	if err != nil {
		s.t.Fatalf("plan after the apply: %v", err)
	}
	if c.Action != provider.NoOp {
		s.t.Fatalf("one apply was not enough: %s %s", c.Action, describe(c))
	}
}

func describe(c provider.Change) string {
	text := c.Why
	for _, d := range c.Details {
		text += fmt.Sprintf("; %s: %v -> %v", d.Path, d.Old, d.New)
	}
	return text
}

var errStopped = errors.New("stopped here by the test")

// stopAt is a context in which the n-th step (from 0) fails, and one that counts the steps taken.
func stopAt(ctx context.Context, n int) (context.Context, *int) {
	taken := new(int)
	return provider.WithSteps(ctx, func(string) error {
		*taken++
		if *taken == n+1 {
			return errStopped
		}
		return nil
	}), taken
}
