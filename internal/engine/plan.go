package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/labctl/labctl/internal/plan"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// Plan reads the live systems and says what has to be done so that they are as lab declares. It changes nothing.
//
// What cannot be planned does not keep the rest from being planned: the plan holds all that could be found out, its
// Errors the rest, and the error returned joins them. Each is a *provider.Error where it concerns a resource.
func (e *Engine) Plan(ctx context.Context, lab *schema.Lab, opts PlanOptions) (*plan.Plan, error) {
	b := &builder{
		e: e, lab: lab, opts: opts, p: &plan.Plan{Lab: lab, Options: opts},
		declared: map[schema.Addr]*schema.Resource{}, items: map[schema.Addr]*plan.Item{},
		owned: map[schema.Addr]found{}, foreign: map[schema.Addr][]found{},
		expanded: map[schema.Addr][]schema.Addr{},
	}
	for n := range lab.Resources {
		b.declared[lab.Resources[n].Addr] = &lab.Resources[n]
	}
	var want []schema.Resource
	if !opts.Destroy {
		want = lab.Resources
	}
	b.reading = e.read(ctx, lab.Name, want)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.match()
	b.planWanted(want)
	b.planOrphans()
	b.planBlind()
	b.namesNothing()
	b.replaceTriggered()
	b.verifyDependents()
	b.protect()
	b.finish(ctx)
	return b.p, errors.Join(b.p.Errors...)
}

// builder makes one plan.
type builder struct {
	e        *Engine
	lab      *schema.Lab
	opts     PlanOptions
	p        *plan.Plan
	reading  *reading
	declared map[schema.Addr]*schema.Resource
	owned    map[schema.Addr]found   // by the address that is declared now
	foreign  map[schema.Addr][]found // by the address that it collides with
	blind    []blindWant
	order    []schema.Addr // of items, as they were made
	items    map[schema.Addr]*plan.Item
	expanded map[schema.Addr][]schema.Addr // instances of the blocks and modules that dependencies name
	errs     []error
}

type blindWant struct {
	want schema.Resource
	why  error
}

func (b *builder) fail(err error) { b.errs = append(b.errs, err) }

func (b *builder) add(item plan.Item) {
	b.items[item.Addr] = &item
	b.order = append(b.order, item.Addr)
}

// match sorts what was read by the address that it has now.
func (b *builder) match() {
	for _, f := range b.reading.objects {
		if !f.Owned(b.lab.Name) {
			b.foreign[f.Addr] = append(b.foreign[f.Addr], f)
			continue
		}
		addr := moveAll(f.Mark.Addr, b.lab.Moved)
		if _, taken := b.owned[addr]; taken && addr != f.Mark.Addr {
			addr = f.Mark.Addr // the new address is lived in already: what is moved there is an orphan
		}
		if other, taken := b.owned[addr]; taken {
			b.fail(&provider.Error{
				Op: "match", Addr: addr, Err: fmt.Errorf("both %q and %q carry its mark", other.ID, f.ID),
				Hint: "one is a copy of the other: delete the copy, or take the mark off it",
			})
			continue
		}
		f.Addr = addr
		b.owned[addr] = f
	}
}

func (b *builder) planWanted(want []schema.Resource) {
	imports := map[schema.Addr]string{}
	for _, i := range b.lab.Imports {
		imports[i.To] = i.ID
	}
	for n := range want {
		w := want[n]
		s, err := b.e.source(w.Addr, w.Host)
		if err != nil {
			b.fail(err)
			continue
		}
		have, owned := b.owned[w.Addr]
		if !owned {
			if id := imports[w.Addr]; id != "" && b.planImport(w, s, id) {
				continue
			}
			if stranger := b.foreign[w.Addr]; len(stranger) > 0 {
				have = stranger[0]
			} else if why := b.reading.why(w.Addr, s); why != nil {
				b.blind = append(b.blind, blindWant{w, why})
				continue
			}
		}
		if item, err := b.planOne(w, s, have); err != nil {
			b.fail(err)
		} else {
			b.add(item)
		}
	}
}

// planOne compares one declared resource with its object, which is absent or foreign where have is not the lab's.
func (b *builder) planOne(want schema.Resource, s *source, have found) (plan.Item, error) {
	item := plan.Item{Host: want.Host, HaveHost: want.Host}
	object := have.Object
	elsewhere := object != nil && have.source != s && object.Owned(b.lab.Name)
	if elsewhere {
		item.HaveHost = have.source.host
		object = nil
	}
	if object != nil && len(want.Lifecycle.IgnoreChanges) > 0 {
		body, err := provider.CarryPaths(want.Addr.Type(), want.Body, object.Body, want.Lifecycle.IgnoreChanges)
		if err != nil {
			return item, &provider.Error{Op: "ignore changes", Addr: want.Addr, Err: err}
		}
		want.Body = body
	}
	change, err := s.provider.Plan(&want, object)
	if err != nil {
		return item, asProviderError("plan", want.Addr, err)
	}
	if object != nil && !object.Owned(b.lab.Name) && change.Action != provider.NoOp {
		return item, foreignError(want.Addr, object)
	}
	change.Addr, change.Want, change.Have = want.Addr, &want, have.Object
	item.Change = change
	if elsewhere {
		item.Action, item.Why = provider.Replace, fmt.Sprintf("it moves from host %q to host %q", item.HaveHost, item.Host)
	}
	if object.Owned(b.lab.Name) {
		b.compareMark(&item, want, object)
	}
	redact(item.Details, want.Sensitive)
	return item, nil
}

// compareMark makes an item that changes nothing else write the mark, where that says something else than it should.
func (b *builder) compareMark(item *plan.Item, want schema.Resource, have *provider.Object) {
	item.Drift = item.Action != provider.NoOp && item.Action != provider.Verify && !have.Mark.Incomplete && !ofMarkAlone(item.Details) &&
		have.Mark.Fingerprint != "" && have.Mark.Fingerprint == provider.Fingerprint(b.declared[want.Addr].Body)
	differs := func(path string, old, new any) {
		if !slices.ContainsFunc(item.Details, func(d provider.Detail) bool { return d.Path == path }) { // its provider may say so too
			item.Details = append(item.Details, provider.Detail{Path: path, Old: old, New: new, Effect: provider.Live})
		}
	}
	if have.Mark.Addr != want.Addr {
		item.From = have.Mark.Addr
		differs("address", have.Mark.Addr.String(), want.Addr.String())
	}
	if have.Mark.PreventDestroy != want.Lifecycle.PreventDestroy {
		differs("lifecycle.prevent_destroy", have.Mark.PreventDestroy, want.Lifecycle.PreventDestroy)
	}
	// A guest keeps its mark to itself: its provider compares all of it.
	if is, should := sortedAddrs(have.Mark.Deps), sortedAddrs(want.Deps); want.Addr.Part != guestPart && !slices.Equal(is, should) {
		differs("depends_on", is, should)
	}
	if item.Action == provider.NoOp && len(item.Details) > 0 {
		item.Action = provider.Update
	}
	if item.Action == provider.NoOp && have.Mark.Incomplete {
		item.Action, item.Why = provider.Update, "an earlier apply of it did not end"
	}
}

// ofMarkAlone reports whether details speak of nothing but what the mark holds: that is never drift, it was declared otherwise.
func ofMarkAlone(details []provider.Detail) bool {
	return len(details) > 0 && !slices.ContainsFunc(details, func(d provider.Detail) bool {
		return d.Path != "address" && d.Path != "depends_on" && d.Path != "lifecycle.prevent_destroy"
	})
}

// sortedAddrs is a set of addresses as a list of texts.
func sortedAddrs(list []schema.Addr) []string {
	texts := make([]string, 0, len(list))
	for _, addr := range list {
		texts = append(texts, addr.String())
	}
	slices.Sort(texts)
	return slices.Compact(texts)
}

// planImport plans taking over an existing thing; false where it is the lab's already.
func (b *builder) planImport(want schema.Resource, s *source, id string) bool {
	_, can := s.provider.(provider.Importer)
	at := slices.IndexFunc(b.foreign[want.Addr], func(f found) bool { return f.ID == id && f.source == s })
	switch {
	case !can:
		b.fail(&provider.Error{Op: "import", Addr: want.Addr, Err: fmt.Errorf("a %s cannot be imported", want.Addr.Type())})
		return true
	case at < 0:
		b.fail(&provider.Error{
			Op: "import", Addr: want.Addr, Err: fmt.Errorf("nothing named %q is there to be taken over", id),
			Hint: "the declared name must be that of the existing thing",
		})
		return true
	}
	stranger := b.foreign[want.Addr][at]
	if stranger.Mark.Lab != "" {
		b.fail(foreignError(want.Addr, stranger.Object))
		return true
	}
	adopted := *stranger.Object
	adopted.Mark = provider.MarkOf(b.lab.Name, &want)
	item, err := b.planOne(want, s, found{&adopted, s})
	if err != nil {
		b.fail(err)
		return true
	}
	item.ImportID, item.Drift = id, false
	if item.Action == provider.NoOp {
		item.Action, item.Why = provider.Update, "it is taken over as it is"
	}
	b.add(item)
	return true
}

// planOrphans plans what is marked as the lab's and not declared.
func (b *builder) planOrphans() {
	var orphans []found
	for addr, f := range b.owned {
		if addr.Part == guestPart {
			continue // a guest goes with its machine
		}
		if _, wanted := b.declared[addr]; wanted && !b.opts.Destroy {
			continue
		}
		orphans = append(orphans, f)
	}
	slices.SortFunc(orphans, func(x, y found) int { return cmp.Compare(x.Addr.String(), y.Addr.String()) })
	for _, f := range orphans {
		item := plan.Item{Host: f.source.host, HaveHost: f.source.host}
		change, err := f.source.provider.Plan(nil, f.Object)
		if err != nil {
			b.fail(asProviderError("plan", f.Addr, err))
			continue
		}
		change.Addr, change.Have = f.Addr, f.Object
		item.Change = change
		if b.letGo(f.Addr, f.Mark.Addr) {
			item.Action, item.Details = provider.Forget, nil
		}
		if item.Why == "" && !b.opts.Destroy {
			item.Why = "it is no longer declared"
		}
		b.add(item)
	}
}

// guestPart is the Part of resources that live and go inside another.
const guestPart = "guest"

// letGo reports whether a removed block with destroy = false speaks of the address, as it was or as it is now.
func (b *builder) letGo(now, marked schema.Addr) bool {
	if b.opts.Destroy {
		return false
	}
	return slices.ContainsFunc(b.lab.Removed, func(r schema.Removed) bool {
		return !r.Destroy && (r.From.Contains(now) || r.From.Contains(marked))
	})
}

// planBlind settles what could not be read: a guest whose machine is about to start is looked at then, the rest is an
// error, since what cannot be reached is never taken as not there.
func (b *builder) planBlind() {
	for _, w := range b.blind {
		vm := b.items[w.want.Addr.Whole()]
		if w.want.Addr.Part == guestPart && vm != nil && starts(vm.Action) {
			b.add(plan.Item{Host: w.want.Host, HaveHost: w.want.Host, Change: provider.Change{
				Addr: w.want.Addr, Action: provider.Verify, Want: &w.want,
				Why: "its machine " + startsWord(vm.Action) + " first",
			}})
			continue
		}
		b.p.Unplanned = append(b.p.Unplanned, w.want.Addr)
		if b.reading.blind[w.want.Addr] != nil {
			b.fail(w.why)
		}
	}
	b.errs = append(b.errs, b.reading.errs...)
	for addr, why := range b.reading.blind {
		if b.declared[addr] == nil { // an orphan that may be there
			b.fail(why)
		}
	}
}

func starts(a provider.Action) bool {
	return a == provider.Create || a == provider.Restart || a == provider.Replace
}

func startsWord(a provider.Action) string {
	switch a {
	case provider.Restart:
		return "restarts"
	case provider.Replace:
		return "is replaced"
	}
	return "is created"
}

func foreignError(addr schema.Addr, o *provider.Object) error {
	owner := "not labctl's"
	if o.Mark.Lab != "" {
		owner = fmt.Sprintf("lab %q's, as %s", o.Mark.Lab, o.Mark.Addr)
	}
	err := &provider.Error{Op: "plan", Addr: addr, Err: fmt.Errorf("%q is there already and is %s: it %w", o.ID, owner, provider.ErrForeign)}
	if o.Mark.Lab == "" {
		err.Hint = fmt.Sprintf("take it over with: import { to = %s  id = %q }, or give yours another name", addr, o.ID)
	}
	return err
}

// asProviderError makes sure that an error says which resource it is about.
func asProviderError(op string, addr schema.Addr, err error) error {
	if told, ok := errors.AsType[*provider.Error](err); ok && told.Addr != (schema.Addr{}) {
		return err
	}
	return &provider.Error{Op: op, Addr: addr, Err: err}
}

// errorAddr is the resource that an error is about; zero where it is about a whole system.
func errorAddr(err error) schema.Addr {
	if told, ok := errors.AsType[*provider.Error](err); ok {
		return told.Addr
	}
	return schema.Addr{}
}
