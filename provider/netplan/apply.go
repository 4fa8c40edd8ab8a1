package netplan

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// edit is one Apply's part in a commit.
type edit struct {
	ctx    context.Context
	lab    string
	addr   schema.Addr
	remove string           // name of a bridge to take away, "" for none
	set    *schema.Resource // the bridge to make, nil for none
	before schema.Bridge    // what the lab's own stanza said, set by the commit
	same   bool             // the stanza was already as it is to be, so networkd will not see a change
	done   chan error
}

// bridge is the declaration of an edit that makes one.
func (e *edit) bridge() *schema.Bridge { return e.set.Body.(*schema.Bridge) }

// Apply implements provider.Provider. Applies that come at the same time are written, generated and loaded together.
func (p *Provider) Apply(ctx context.Context, lab string, c provider.Change) error {
	e := &edit{ctx: ctx, lab: lab, addr: c.Addr, done: make(chan error, 1)}
	switch c.Action {
	case provider.NoOp:
		return nil
	case provider.Forget:
		return p.Forget(ctx, lab, *c.Have)
	case provider.Delete:
		e.remove = c.Have.ID
	case provider.Replace:
		e.remove, e.set = c.Have.ID, c.Want
	default:
		e.set = c.Want
	}
	if e.set != nil {
		body, ok := e.set.Body.(*schema.Bridge)
		if !ok {
			return &provider.Error{Op: "apply bridge", Addr: c.Addr, Err: fmt.Errorf("its body is a %T", e.set.Body)}
		}
		if e.remove == body.Name {
			e.remove = "" // replaced by itself: what cannot be changed in place is only the name
		}
	}
	return p.submit(e)
}

// gather is how long the first Apply waits for others that the engine starts at the same moment. It is short beside what one
// more generate and reload would.
const gather = 10 * time.Millisecond

// submit lets whoever comes first commit for all that wait.
func (p *Provider) submit(e *edit) error {
	p.mu.Lock()
	p.queue = append(p.queue, e)
	p.mu.Unlock()

	p.turn.Lock()
	defer p.turn.Unlock()
	select {
	case err := <-e.done: // an earlier one has done it
		return err
	case <-time.After(gather):
	}
	p.mu.Lock()
	batch := p.queue
	p.queue = nil
	p.mu.Unlock()
	byLab := map[string][]*edit{}
	for _, queued := range batch {
		byLab[queued.lab] = append(byLab[queued.lab], queued)
	}
	for lab, edits := range byLab {
		p.commitAll(lab, edits)
	}
	return <-e.done
}

// commitAll commits edits of one lab together; where netplan refuses them, one by one, so that the error is at the bridge
// that it belongs to and the others are made.
func (p *Provider) commitAll(lab string, edits []*edit) {
	results := p.commit(lab, edits)
	for _, e := range edits {
		err := results[e]
		if len(edits) > 1 && errors.As(err, new(*refusal)) {
			err = p.commit(lab, []*edit{e})[e]
		}
		e.done <- err
	}
}

// refusal is netplan's word on a file that it does not take; nothing was changed.
type refusal struct{ err error }

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// results is what became of each edit so far; one with an error takes no further part.
type results map[*edit]error

// failed gives every edit that still goes on the error.
func (r results) failed(edits []*edit, op string, err error) {
	for _, e := range edits {
		if r[e] == nil {
			r[e] = &provider.Error{Op: op, Addr: e.addr, Err: err}
		}
	}
}

// step tells each edit's listener of the next stage and returns those that go on.
func (r results) step(edits []*edit, stage string) []*edit {
	var on []*edit
	for _, e := range edits {
		if r[e] != nil {
			continue
		}
		if r[e] = provider.Step(e.ctx, stage); r[e] == nil {
			on = append(on, e)
		}
	}
	return on
}
