package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/labctl/labctl/internal/plan"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// replaceTriggered turns into replacements what -replace names and what replace_triggered_by calls for, until no
// replacement calls for another.
func (b *builder) replaceTriggered() {
	for _, addr := range b.order {
		item := b.items[addr]
		if slices.ContainsFunc(b.opts.Replace, func(r schema.Addr) bool { return r.Whole() == addr && r.Contains(addr) }) {
			replace(item, "asked for with -replace")
		}
	}
	for again := true; again; {
		again = false
		for _, addr := range b.order {
			item := b.items[addr]
			if item.Want == nil || item.Action == provider.Replace {
				continue
			}
			for _, on := range item.Want.Lifecycle.ReplaceOn {
				if by, changed := b.changed(on); changed && replace(item, fmt.Sprintf("replace_triggered_by: %s changes", by)) {
					again = true
					break
				}
			}
			for _, on := range item.Want.Lifecycle.ReplaceOnArgument {
				if by, changed := b.argumentChanged(on); changed && replace(item, fmt.Sprintf("replace_triggered_by: %s of %s changes", on.Path, by)) {
					again = true
					break
				}
			}
		}
	}
}

// namesNothing refuses options that speak of nothing: a slip of the pen must not plan less than was meant.
func (b *builder) namesNothing() {
	known := slices.Concat(b.order, b.p.Unplanned)
	for _, r := range b.lab.Resources {
		known = append(known, r.Addr)
	}
	for _, list := range []struct {
		flag  string
		addrs []schema.Addr
	}{{"-target", b.opts.Targets}, {"-exclude", b.opts.Excludes}, {"-replace", b.opts.Replace}} {
		for _, addr := range list.addrs {
			if !slices.ContainsFunc(known, addr.Contains) {
				b.fail(fmt.Errorf("%s %s names nothing that is declared or marked as the lab's", list.flag, addr))
			}
		}
	}
}

// replace turns an item into a replacement; false where there is nothing to replace.
func replace(item *plan.Item, why string) bool {
	switch item.Action {
	case provider.NoOp, provider.Update, provider.Restart, provider.Verify:
		if item.Have == nil || item.ImportID != "" {
			return false
		}
		item.Action, item.Why, item.Drift = provider.Replace, why, false
		return true
	}
	return false
}

// changed finds a planned change of what an address contains.
func (b *builder) changed(on schema.Addr) (schema.Addr, bool) {
	for _, addr := range b.order {
		if !on.Contains(addr) {
			continue
		}
		switch b.items[addr].Action {
		case provider.Create, provider.Update, provider.Restart, provider.Replace:
			return addr, true
		}
	}
	return schema.Addr{}, false
}

// argumentChanged finds a planned change of an argument, or of a part of it. What is made anew changes in all of them.
func (b *builder) argumentChanged(on schema.Argument) (schema.Addr, bool) {
	for _, addr := range b.order {
		if !on.Addr.Contains(addr) {
			continue
		}
		item := b.items[addr]
		switch item.Action {
		case provider.Create, provider.Replace:
			return addr, true
		case provider.Update, provider.Restart:
			for _, d := range item.Details {
				rest, ok := strings.CutPrefix(d.Path, on.Path)
				if ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
					return addr, true
				}
			}
		}
	}
	return schema.Addr{}, false
}

// verifyDependents settles who has to look again once a change below is done: what was planned without a change, but
// stands on something that is made anew, is read again then; what its provider wants to read again stays planned only
// if something below really changes.
func (b *builder) verifyDependents() {
	for _, addr := range b.order {
		item := b.items[addr]
		if item.Want == nil {
			continue
		}
		below, why := b.below(item)
		switch {
		case item.Action == provider.NoOp && why != "":
			item.Action, item.Why = provider.Verify, why
		case item.Action == provider.Verify && !below:
			item.Action, item.Why = provider.NoOp, ""
		case addr.Part == guestPart && item.Action != provider.Verify && b.action(addr.Whole()) == provider.Replace:
			item.Action, item.Why, item.Details, item.Have = provider.Verify, "its machine is replaced first", nil, nil
		}
	}
}

func (b *builder) action(addr schema.Addr) provider.Action {
	if item := b.items[addr]; item != nil {
		return item.Action
	}
	return provider.NoOp
}

// below reports whether anything that the item depends on changes, and why the item has to be read again if it has to.
func (b *builder) below(item *plan.Item) (changes bool, why string) {
	for _, dep := range b.forward(item) {
		action := b.action(dep)
		changes = changes || action != provider.NoOp
		switch {
		case action == provider.Create, action == provider.Replace,
			action == provider.Restart && item.Addr.Part == guestPart && item.Addr.Whole() == dep:
			if why == "" {
				why = fmt.Sprintf("%s %s first", dep, startsWord(action))
			}
		}
	}
	return changes, why
}

// forward is the addresses that an item's making waits for: as declared, and a guest's own machine.
func (b *builder) forward(item *plan.Item) []schema.Addr {
	if item.Want == nil {
		return nil
	}
	var deps []schema.Addr
	for _, dep := range item.Want.Deps {
		deps = append(deps, b.expand(dep)...)
	}
	if whole := item.Addr.Whole(); item.Addr.Part == guestPart && b.items[whole] != nil && !slices.Contains(deps, whole) {
		deps = append(deps, whole)
	}
	return slices.DeleteFunc(deps, func(dep schema.Addr) bool { return dep == item.Addr }) // a block or module that holds it too
}

// expand is the items that a dependency speaks of: itself, or all instances of a block or module.
func (b *builder) expand(dep schema.Addr) []schema.Addr {
	if b.items[dep] != nil {
		return []schema.Addr{dep}
	}
	if all, known := b.expanded[dep]; known {
		return all
	}
	var all []schema.Addr
	for _, addr := range b.order {
		if dep.Contains(addr) {
			all = append(all, addr)
		}
	}
	b.expanded[dep] = all
	return all
}

// protect refuses to delete or replace what must not go. A declaration says so for itself; what is no longer declared
// is kept by its mark.
func (b *builder) protect() {
	for _, addr := range b.order {
		item := b.items[addr]
		if !item.Deletes() {
			continue
		}
		declared := b.declared[addr]
		hint := "set lifecycle { prevent_destroy = false } on it first"
		kept := declared != nil && declared.Lifecycle.PreventDestroy
		if declared == nil && item.Have != nil && item.Have.Mark.PreventDestroy {
			kept = true
			hint = "its mark says prevent_destroy: declare it again with prevent_destroy = false and apply that, or let go of it with a removed block"
		}
		if kept {
			b.fail(&provider.Error{
				Op: string(item.Action), Addr: addr, Path: "lifecycle.prevent_destroy",
				Err: fmt.Errorf("it has prevent_destroy set"), Hint: hint,
			})
		}
	}
}
