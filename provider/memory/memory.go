package memory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// Provider reaches a System. It serves every type of resource.
type Provider struct {
	System  *System
	Effects map[string]provider.Effect // by top-level attribute; what is not named changes live
	Latency time.Duration              // of each step
	// Down, where it is set, tells why an address, or the whole system (a zero address), cannot be reached; nil: it can.
	Down func(schema.Addr) error
	// Refuse, where it is set, is what a Check finds.
	Refuse func(schema.Resource) error
}

// New is a Provider of the system in which a new name or image replaces a machine, and other memory restarts it.
func New(s *System) *Provider {
	return &Provider{System: s, Effects: map[string]provider.Effect{
		"name": provider.OnReplace, "image": provider.OnReplace, "memory": provider.OnRestart,
	}}
}

// Read implements provider.Provider.
func (p *Provider) Read(_ context.Context, lab string, want []schema.Resource) ([]provider.Object, error) {
	if err := p.down(schema.Addr{}); err != nil {
		return nil, err
	}
	p.System.mu.Lock()
	defer p.System.mu.Unlock()
	var objects []provider.Object
	var errs []error
	for _, e := range p.System.objects {
		if e.Mark.Lab != lab {
			continue
		}
		if err := p.down(e.Mark.Addr); err != nil {
			errs = append(errs, err)
			continue
		}
		objects = append(objects, object(e, e.Mark.Addr))
	}
	for n := range want {
		w := &want[n]
		if e := p.System.objects[key(w.Addr.Type(), name(w))]; e != nil && e.Mark.Lab != lab {
			objects = append(objects, object(e, w.Addr))
		} else if e == nil {
			if err := p.down(w.Addr); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return objects, errors.Join(errs...)
}

func (p *Provider) down(addr schema.Addr) error {
	if p.Down == nil {
		return nil
	}
	if why := p.Down(addr); why != nil {
		return &provider.Error{Op: "read", Addr: addr, Err: fmt.Errorf("it %w: %w", provider.ErrUnreachable, why)}
	}
	return nil
}

func object(e *Entry, addr schema.Addr) provider.Object {
	return provider.Object{Mark: e.Mark, Addr: addr, Deps: e.Mark.Deps, ID: e.ID, Body: e.Body}
}

// Plan implements provider.Provider.
func (p *Provider) Plan(want *schema.Resource, have *provider.Object) (provider.Change, error) {
	switch {
	case want == nil && have == nil:
		return provider.Change{Action: provider.NoOp}, nil
	case want == nil:
		return provider.Change{Addr: have.Addr, Action: provider.Delete, Have: have}, nil
	case have == nil:
		return provider.Change{Addr: want.Addr, Action: provider.Create, Want: want}, nil
	case have.Mark.Lab == "":
		return provider.Change{}, &provider.Error{
			Op: "plan", Addr: want.Addr, Err: fmt.Errorf("%q %w", have.ID, provider.ErrForeign), Hint: "give it another name",
		}
	}
	c := provider.Change{Addr: want.Addr, Action: provider.NoOp, Want: want, Have: have}
	c.Details = provider.Diff(have.Body, want.Body)
	for n := range c.Details {
		d := &c.Details[n]
		top := d.Path
		if end := strings.IndexAny(top, ".["); end >= 0 {
			top = top[:end]
		}
		if d.Effect = p.Effects[top]; d.Effect == "" {
			d.Effect = provider.Live
		}
	}
	if len(c.Details) == 0 {
		return c, nil
	}
	worst := provider.Worst(c.Details)
	if have.Mark.Incomplete {
		worst = provider.Live // what was never finished is finished, not thrown away
		for n := range c.Details {
			c.Details[n].Effect = worst
		}
	}
	switch worst {
	case provider.OnReplace:
		c.Action = provider.Replace
	case provider.OnRestart:
		c.Action = provider.Restart
	default:
		c.Action = provider.Update
	}
	return c, nil
}

// Apply implements provider.Provider.
func (p *Provider) Apply(ctx context.Context, lab string, c provider.Change) error {
	if err := p.down(c.Addr); err != nil {
		return err
	}
	switch c.Action {
	case provider.NoOp:
		return nil
	case provider.Delete:
		return p.remove(ctx, c.Have)
	case provider.Forget:
		return p.Forget(ctx, lab, *c.Have)
	case provider.Replace:
		if err := p.remove(ctx, c.Have); err != nil {
			return err
		}
		c.Have = nil
	}
	return p.converge(ctx, lab, c)
}

func (p *Provider) step(ctx context.Context, stage string) error {
	if err := provider.Step(ctx, stage); err != nil {
		return err
	}
	if p.Latency == 0 {
		return nil
	}
	select {
	case <-time.After(p.Latency):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// converge makes an object in steps: a marked, unfinished one first, then its body, then the finished mark.
func (p *Provider) converge(ctx context.Context, lab string, c provider.Change) error {
	body, err := copyBody(c.Addr.Type(), c.Want.Body)
	if err != nil {
		return err
	}
	s := p.System
	mark := provider.MarkOf(lab, c.Want)
	unfinished := mark
	unfinished.Incomplete = true
	k := key(c.Addr.Type(), name(c.Want))
	if err := p.step(ctx, "reserve"); err != nil {
		return err
	}
	if err := s.reserve(k, c, unfinished); err != nil {
		return err
	}
	if err := p.step(ctx, "fill"); err != nil {
		return err
	}
	s.mu.Lock()
	s.objects[k].Body = body
	s.mu.Unlock()
	if err := p.step(ctx, "finish"); err != nil {
		return err
	}
	s.mu.Lock()
	s.objects[k].Mark = mark
	s.mu.Unlock()
	return nil
}

// reserve takes the name for the object, which keeps its body where it has one.
func (s *System) reserve(k string, c provider.Change, mark provider.Mark) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	there := s.objects[k]
	if there != nil && there.Mark.Lab != mark.Lab {
		return &provider.Error{Op: "reserve", Addr: c.Addr, Err: fmt.Errorf("%q %w", there.ID, provider.ErrForeign)}
	}
	if there != nil && there.Mark.Addr != c.Addr && (c.Have == nil || c.Have.ID != there.ID) {
		return &provider.Error{Op: "reserve", Addr: c.Addr, Err: fmt.Errorf("the name %q is taken by %s", there.ID, there.Mark.Addr)}
	}
	if there == nil {
		empty, err := schema.NewBody(c.Addr.Type())
		if err != nil {
			return err
		}
		there = &Entry{Type: c.Addr.Type(), ID: name(c.Want), Body: empty}
		if c.Have != nil && c.Have.ID != there.ID { // moved: it takes its body along
			old := key(c.Have.Addr.Type(), c.Have.ID)
			if entry := s.objects[old]; entry != nil {
				there.Body = entry.Body
				delete(s.objects, old)
			}
		}
		s.put(there)
	}
	there.Mark = mark
	return nil
}

// remove deletes an object in steps; a machine takes its guest along.
func (p *Provider) remove(ctx context.Context, have *provider.Object) error {
	s := p.System
	k := key(have.Mark.Addr.Type(), have.ID)
	if err := p.step(ctx, "stop"); err != nil {
		return err
	}
	s.mu.Lock()
	entry := s.objects[k]
	if entry != nil {
		entry.Mark.Incomplete = true
	}
	s.mu.Unlock()
	if entry == nil {
		return nil
	}
	if err := p.step(ctx, "remove"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	guest := have.Mark.Addr
	guest.Part = "guest"
	delete(s.objects, key(guest.Type(), guest.String()))
	delete(s.objects, k)
	return nil
}

// Check implements provider.Checker.
func (p *Provider) Check(_ context.Context, want []schema.Resource) []error {
	var errs []error
	for _, w := range want {
		if p.Refuse != nil {
			if err := p.Refuse(w); err != nil {
				errs = append(errs, &provider.Error{Op: "check", Addr: w.Addr, Err: err})
			}
		}
	}
	return errs
}

// Import implements provider.Importer.
func (p *Provider) Import(ctx context.Context, lab string, want schema.Resource, id string) error {
	if err := p.step(ctx, "mark"); err != nil {
		return err
	}
	p.System.mu.Lock()
	defer p.System.mu.Unlock()
	entry := p.System.objects[key(want.Addr.Type(), id)]
	if entry == nil {
		return fmt.Errorf("nothing is named %q", id)
	}
	if entry.Mark.Lab != "" && entry.Mark.Lab != lab {
		return fmt.Errorf("%q %w", id, provider.ErrForeign)
	}
	entry.Mark = provider.MarkOf(lab, &want)
	return nil
}

// Forget implements provider.Forgetter.
func (p *Provider) Forget(ctx context.Context, _ string, have provider.Object) error {
	if err := p.step(ctx, "unmark"); err != nil {
		return err
	}
	p.System.mu.Lock()
	defer p.System.mu.Unlock()
	if entry := p.System.objects[key(have.Mark.Addr.Type(), have.ID)]; entry != nil {
		entry.Mark = provider.Mark{}
	}
	return nil
}

// List implements provider.Lister.
func (p *Provider) List(context.Context) ([]provider.Object, error) {
	var objects []provider.Object
	for _, e := range p.System.Entries() {
		objects = append(objects, object(&e, e.Mark.Addr))
	}
	return objects, nil
}
