package engine

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/labctl/labctl/internal/graph"
	"github.com/labctl/labctl/internal/plan"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// finish narrows the plan to what was asked for, lets the real systems refuse what they would refuse, orders it, and
// writes down what was read.
func (b *builder) finish(ctx context.Context) {
	g, err := b.operations()
	if err != nil {
		b.fail(err)
	} else {
		b.narrow(g)
		if g, err = b.operations(); err == nil { // without what was narrowed away
			err = b.finishOrder(g)
		}
		if err != nil {
			b.fail(err)
		}
	}
	b.check(ctx)
	b.see()
	if b.opts.RefreshOnly {
		b.p.Items = slices.DeleteFunc(b.p.Items, func(i plan.Item) bool { return i.Changes() && !i.Drift && i.Action != provider.Create })
	}
	b.p.Errors = b.errs
}

// narrow applies -target and -exclude: a target brings what it waits for, an exclusion takes what waits for it.
func (b *builder) narrow(g *graph.Graph[op]) {
	if len(b.opts.Targets)+len(b.opts.Excludes) == 0 {
		return
	}
	named := func(list []schema.Addr, addr schema.Addr) bool {
		return slices.ContainsFunc(list, func(a schema.Addr) bool { return a.Contains(addr) })
	}
	var in, out []op
	for _, addr := range b.order {
		for _, o := range []op{{addr, false}, {addr, true}} {
			if len(b.opts.Targets) == 0 || named(b.opts.Targets, addr) {
				in = append(in, o)
			}
			if named(b.opts.Excludes, addr) {
				out = append(out, o)
			}
		}
	}
	keep, drop := g.Reach(graph.Forward, in...), g.Reach(graph.Backward, out...)
	kept := func(addr schema.Addr) bool {
		make, del := op{addr, false}, op{addr, true}
		return (keep[make] || keep[del]) && !drop[make] && !drop[del]
	}
	b.order = slices.DeleteFunc(b.order, func(addr schema.Addr) bool {
		if kept(addr) {
			return false
		}
		delete(b.items, addr)
		return true
	})
	clear(b.expanded)
	outside := func(addr schema.Addr) bool {
		return named(b.opts.Excludes, addr) || len(b.opts.Targets) > 0 && !named(b.opts.Targets, addr)
	}
	b.errs = slices.DeleteFunc(b.errs, func(err error) bool {
		if s := b.sourceOf(err); s != nil {
			return b.allOf(s, outside)
		}
		addr := errorAddr(err)
		return addr != schema.Addr{} && outside(addr)
	})
	b.p.Unplanned = slices.DeleteFunc(b.p.Unplanned, outside)
}

// sourceOf is the provider of which an error says that it could not be read at all; nil for any other error.
func (b *builder) sourceOf(err error) *source {
	for s, why := range b.reading.blindSource {
		if why == err { //nolint:errorlint // the very same error is meant
			return s
		}
	}
	return nil
}

// allOf reports whether all that is declared of a provider is of a sort, and there is anything.
func (b *builder) allOf(s *source, sort func(schema.Addr) bool) bool {
	some := false
	for _, r := range b.lab.Resources {
		if b.e.byKey[bindingKey{r.Addr.Type(), r.Host}] != s {
			continue
		}
		if some = true; !sort(r.Addr) {
			return false
		}
	}
	return some
}

// check lets each provider that can try the changes out for real. What is live already has been accepted.
func (b *builder) check(ctx context.Context) {
	bySource := map[*source][]schema.Resource{}
	for _, addr := range b.order {
		item := b.items[addr]
		switch item.Action {
		case provider.Create, provider.Update, provider.Restart, provider.Replace:
			if s, err := b.e.source(addr, item.Host); err == nil {
				bySource[s] = append(bySource[s], *item.Want)
			}
		}
	}
	said := make([][]error, len(b.e.sources))
	var wait sync.WaitGroup
	for n, s := range b.e.sources {
		if checker, can := s.provider.(provider.Checker); can && len(bySource[s]) > 0 {
			wait.Go(func() { said[n] = checker.Check(ctx, bySource[s]) })
		}
	}
	wait.Wait()
	for _, errs := range said {
		b.errs = append(b.errs, errs...)
	}
}

// see writes down what was read of what the plan is about.
func (b *builder) see() {
	for addr, f := range b.owned {
		item := b.items[addr]
		if item == nil {
			continue
		}
		seen := plan.Seen{
			Addr: addr, Host: f.source.host, Type: addr.Type(), ID: f.ID,
			Fingerprint: provider.Fingerprint([]any{f.Mark, f.Body}),
		}
		if declared := b.declared[addr]; declared != nil {
			seen.Body = provider.WithoutPaths(f.Body, declared.Sensitive)
		}
		b.p.Seen = append(b.p.Seen, seen)
	}
	slices.SortFunc(b.p.Seen, func(x, y plan.Seen) int { return cmp.Compare(x.Addr.String(), y.Addr.String()) })
}

// redact marks the details that must not be shown.
func redact(details []provider.Detail, sensitive []string) {
	for n := range details {
		for _, path := range sensitive {
			if path == "all" || provider.WithinPath(details[n].Path, path) || provider.WithinPath(path, details[n].Path) {
				details[n].Sensitive = true
			}
		}
	}
}
