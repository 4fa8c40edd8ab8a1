package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/labctl/labctl/internal/graph"
	"github.com/labctl/labctl/internal/plan"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// ApplyOptions is how a plan is carried out.
type ApplyOptions struct {
	Parallel int // operations at once; 0 is the engine's
	// Recheck reads again before the first change, and refuses with a *StaleError where the live systems or the plan
	// that follows from them are not as p says. It is always done for a plan that comes from a file.
	Recheck bool
	// Stop, when closed, lets what is under way end and begins nothing more. A cancelled context stops at the next step.
	Stop <-chan struct{}
	// Events hears of each operation; it is called by one goroutine at a time and must not wait for the apply.
	Events func(plan.Event)
}

// ErrDiffers is that everything was applied and the live systems still are not as declared.
var ErrDiffers = errors.New("the apply ended, and what is live still differs from what is declared")

// ErrStopped is that an apply was told to stop before it had begun everything.
var ErrStopped = errors.New("stopped before the end: what was under way is done, the rest was not begun")

// Apply carries a plan out, side by side as far as the dependencies allow, and then reads back. The first error does not
// stop what does not depend on it. The report is there also with an error, which joins all that failed.
func (e *Engine) Apply(ctx context.Context, p *plan.Plan, opts ApplyOptions) (*plan.Report, error) {
	if err := errors.Join(p.Errors...); err != nil {
		return nil, fmt.Errorf("a plan with errors is not applied: %w", err)
	}
	if p.Options.RefreshOnly {
		return nil, errors.New("a refresh-only plan is a report: there is nothing to apply")
	}
	if p.Saved || opts.Recheck {
		fresh, err := e.Plan(ctx, p.Lab, p.Options)
		if err != nil {
			return nil, err
		}
		if stale := plan.Compare(p, fresh); stale != nil {
			return nil, stale
		}
		p = fresh
	}
	b := builderOf(e, p)
	g, err := b.operations()
	if err != nil {
		return nil, err
	}
	r := &run{e: e, lab: p.Lab.Name, items: b.items, events: opts.Events, report: &plan.Report{}}
	if opts.Parallel <= 0 {
		opts.Parallel = e.opts.Parallel
	}
	began := time.Now()
	results, err := g.Walk(ctx, graph.Options[op]{
		Parallel: opts.Parallel, Limits: e.opts.Limits, Stop: opts.Stop,
		Class: func(o op) string { return o.addr.Type() },
	}, r.do)
	if err != nil {
		return nil, err
	}
	r.report.Took = time.Since(began)
	r.skipped(results)
	return r.report, e.readBack(ctx, p, r.report)
}

// builderOf is as much of a builder as orders the operations of a finished plan.
func builderOf(e *Engine, p *plan.Plan) *builder {
	b := &builder{
		e: e, lab: p.Lab, opts: p.Options, p: p, items: map[schema.Addr]*plan.Item{},
		declared: map[schema.Addr]*schema.Resource{}, expanded: map[schema.Addr][]schema.Addr{},
	}
	for n := range p.Lab.Resources {
		b.declared[p.Lab.Resources[n].Addr] = &p.Lab.Resources[n]
	}
	for n := range p.Items {
		b.items[p.Items[n].Addr] = &p.Items[n]
		b.order = append(b.order, p.Items[n].Addr)
	}
	return b
}

// readBack plans again and says whether anything is left to do.
func (e *Engine) readBack(ctx context.Context, p *plan.Plan, report *plan.Report) error {
	var errs []error
	for _, o := range report.Failures() {
		errs = append(errs, o.Err)
	}
	if ctx.Err() != nil {
		return errors.Join(append(errs, ctx.Err())...)
	}
	began := time.Now()
	opts := p.Options
	opts.Replace = nil
	remaining, err := e.Plan(ctx, p.Lab, opts)
	report.ReadBack = time.Since(began)
	report.Remaining = remaining
	if err != nil {
		errs = append(errs, fmt.Errorf("read back: %w", err))
	}
	if report.Stopped {
		errs = append(errs, ErrStopped)
	}
	clean := err == nil && len(errs) == 0 && len(report.Skipped()) == 0
	report.Converged = clean && remaining.Empty()
	if clean && !report.Converged {
		errs = append(errs, ErrDiffers)
	}
	return errors.Join(errs...)
}

// run is one apply under way.
type run struct {
	e      *Engine
	lab    string
	items  map[schema.Addr]*plan.Item
	events func(plan.Event)
	mu     sync.Mutex // guards report and keeps events one at a time
	report *plan.Report
}

func (r *run) tell(event plan.Event) {
	if r.events != nil {
		r.events(event)
	}
}

// do carries out one operation and tells of its course.
func (r *run) do(ctx context.Context, o op) error {
	item := r.items[o.addr]
	change := item.Change
	switch {
	case item.Action == provider.NoOp:
		return nil
	case item.Action == provider.Replace && o.delete:
		change.Action, change.Want = provider.Delete, nil
	case item.Action == provider.Replace:
		change.Action, change.Have = provider.Create, nil
	}
	host := item.Host
	if o.delete {
		host = item.HaveHost
	}
	course := &course{run: r, began: time.Now(), outcome: plan.Outcome{Event: plan.Event{Addr: o.addr, Action: change.Action}}}
	if change.Have != nil {
		course.outcome.ID = change.Have.ID
	}
	course.tell(plan.Started, nil)
	s, err := r.e.source(o.addr, host)
	if err == nil {
		inner := provider.WithSteps(ctx, func(stage string) error {
			course.stage(stage)
			return provider.Step(ctx, stage) // whoever listens outside: a test that stops here
		})
		err = carryOut(inner, s.provider, r.lab, item, change)
	}
	if err != nil {
		err = asProviderError(string(change.Action), o.addr, err)
		course.tell(plan.Failed, err)
		return err
	}
	course.tell(plan.Done, nil)
	return nil
}

// carryOut calls the one method of a provider that a change needs. A provider that panics fails its own operation only:
// what runs beside it is not cut off in the middle.
func carryOut(ctx context.Context, p provider.Provider, lab string, item *plan.Item, change provider.Change) (err error) {
	defer func() {
		if what := recover(); what != nil {
			err = &provider.Error{
				Op: string(change.Action), Addr: change.Addr, Err: fmt.Errorf("labctl has a bug: %v", what),
				Detail: string(debug.Stack()), Hint: "please report it with the lines above; other resources are not affected",
			}
		}
	}()
	if change.Action == provider.Forget {
		if forgetter, can := p.(provider.Forgetter); can {
			return forgetter.Forget(ctx, lab, *change.Have)
		}
		return p.Apply(ctx, lab, change)
	}
	if item.ImportID != "" && change.Action != provider.Delete {
		importer, can := p.(provider.Importer)
		if !can {
			return errors.New("it cannot be imported")
		}
		if err := importer.Import(ctx, lab, *change.Want, item.ImportID); err != nil || len(change.Details) == 0 {
			return err
		}
	}
	if change.Action == provider.Verify && change.Addr.Part != guestPart {
		// The engine's own wish, since something below is made anew: every Apply looks at what is there and makes it
		// so, and an update of what does not differ changes nothing.
		change.Action = provider.Update
	}
	return p.Apply(ctx, lab, change)
}

// course is one operation's way through its stages.
type course struct {
	run        *run
	began      time.Time
	stageBegan time.Time
	outcome    plan.Outcome
}

func (c *course) stage(stage string) {
	c.run.mu.Lock()
	defer c.run.mu.Unlock()
	c.endStage()
	c.outcome.Stage, c.stageBegan = stage, time.Now()
	event := c.outcome.Event
	event.Kind, event.Time, event.Took = plan.Stage, c.stageBegan, c.stageBegan.Sub(c.began)
	c.run.tell(event)
}

func (c *course) endStage() {
	if c.outcome.Stage != "" {
		c.outcome.Stages = append(c.outcome.Stages, plan.Timing{Stage: c.outcome.Stage, Took: time.Since(c.stageBegan)})
	}
}

func (c *course) tell(kind plan.EventKind, err error) {
	c.run.mu.Lock()
	defer c.run.mu.Unlock()
	now := time.Now()
	if kind != plan.Started {
		c.endStage()
	}
	c.outcome.Kind, c.outcome.Time, c.outcome.Err = kind, now, err
	if kind != plan.Started {
		c.outcome.Took = now.Sub(c.began)
		c.run.report.Outcomes = append(c.run.report.Outcomes, c.outcome)
	}
	c.run.tell(c.outcome.Event)
}

// skipped records what was never begun.
func (r *run) skipped(results []graph.Result[op]) {
	for _, result := range results {
		item := r.items[result.Key.addr]
		if !result.Skipped || item.Action == provider.NoOp {
			continue
		}
		event := plan.Event{
			Kind: plan.Skipped, Time: time.Now(), Addr: item.Addr, Action: item.Action,
			Cause: result.Cause.addr, Err: result.Err,
		}
		if item.Action == provider.Replace {
			event.Action = provider.Create
			if result.Key.delete {
				event.Action = provider.Delete
			}
		}
		r.report.Stopped = r.report.Stopped || result.Err != nil
		r.report.Outcomes = append(r.report.Outcomes, plan.Outcome{Event: event})
		r.tell(event)
	}
}
