package netplan

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/netplan/link"
	"github.com/labctl/labctl/schema"
)

// Plan implements provider.Provider.
func (p *Provider) Plan(want *schema.Resource, have *provider.Object) (provider.Change, error) {
	if want == nil {
		return provider.Change{Addr: have.Addr, Action: provider.Delete, Have: have}, nil
	}
	c := provider.Change{Addr: want.Addr, Want: want, Have: have}
	body, ok := want.Body.(*schema.Bridge)
	if !ok {
		return c, &provider.Error{Op: "plan bridge", Addr: want.Addr, Err: fmt.Errorf("its body is a %T", want.Body)}
	}
	if have == nil {
		c.Action = provider.Create
		c.Details = slices.DeleteFunc(provider.Diff(struct{}{}, normal(*body)), func(d provider.Detail) bool { return d.New == nil })
		c.Risk = p.risk(nil, body)
		c.Why = caution(c.Risk)
		return c, nil
	}
	known, _ := have.Aux.(aux)
	if known.holder != "" && have.Mark.Lab == known.holderLab {
		return c, foreign(want.Addr, known.holder)
	}
	if known.barred != "" {
		return c, foreign(want.Addr, known.barred)
	}
	old := have.Body.(*schema.Bridge)
	c.Details = compare(want, have)
	switch {
	case len(c.Details) == 0:
		c.Action = provider.NoOp
	case old.Name != body.Name:
		c.Action, c.Why = provider.Replace, "a bridge of another name is another bridge"
	case known.gone:
		c.Action, c.Why = provider.Update, fmt.Sprintf("the kernel has no link %s any more, somebody deleted it", old.Name)
	default:
		c.Action, c.Why = provider.Update, reason(c.Details)
	}
	if risk := p.risk(old, body); risk != "" && c.Action != provider.NoOp {
		c.Risk, c.Why = risk, caution(risk)
	}
	return c, nil
}

func caution(risk string) string {
	if risk == "" {
		return ""
	}
	return "careful: " + risk
}

func foreign(addr schema.Addr, holder string) error {
	return &provider.Error{Op: "plan bridge", Addr: addr, Path: "name", Err: fmt.Errorf("%s: it %w", holder, provider.ErrForeign),
		Hint: "give the bridge another name, or take the existing one over with an import block"}
}

// reason sums the details' own reasons up for a line about the whole change.
func reason(details []provider.Detail) string {
	var why []string
	for _, d := range details {
		if d.Why != "" && !slices.Contains(why, d.Why) {
			why = append(why, d.Why)
		}
	}
	if len(why) > 0 {
		return strings.Join(why, "; ")
	}
	return "it differs from what is declared"
}

// compare lists the attributes in which an object differs from the declaration: the live ones first, then those that only
// the file has otherwise, so that they would come back with the next boot.
func compare(want *schema.Resource, have *provider.Object) []provider.Detail {
	known, _ := have.Aux.(aux)
	declared := normal(*want.Body.(*schema.Bridge))
	live := align(restrict(normal(*have.Body.(*schema.Bridge)), declared, known.own), declared)
	details := provider.Diff(live, declared)
	seen := map[string]bool{}
	for i := range details {
		d := &details[i]
		seen[d.Path] = true
		d.Effect = provider.Live
		if d.Path == "name" {
			d.Effect, d.Why = provider.OnReplace, "a bridge of another name is another bridge"
			continue
		}
		if file := culprit(known.adds, declared, d.Path); file != "" {
			d.Why = file + " says so, a file that labctl does not change"
		}
	}
	if known.file == "" {
		return details
	}
	for _, d := range provider.Diff(align(normal(known.own), declared), declared) {
		ignored := slices.ContainsFunc(want.Lifecycle.IgnoreChanges, func(path string) bool {
			return path == "all" || provider.WithinPath(d.Path, path)
		})
		if !seen[d.Path] && !ignored {
			d.Effect, d.Why = provider.Live, "only in "+known.file+": the kernel has it as declared"
			details = append(details, d)
		}
	}
	for _, key := range known.unknown {
		details = append(details, provider.Detail{Path: key, Old: "set", Effect: provider.Live,
			Why: known.file + " holds a key that is not declared"})
	}
	return details
}

// culprit is the other file by which an attribute differs, "" where no other file has it.
func culprit(adds []contribution, declared schema.Bridge, path string) string {
	for _, add := range adds {
		alone := normal(add.bridge)
		alone.Name = ""
		for _, d := range provider.Diff(schema.Bridge{}, alone) {
			same := top(d.Path) == top(path)
			if same && fmt.Sprint(d.New) != fmt.Sprint(valueAt(declared, d.Path)) {
				return add.file
			}
		}
	}
	return ""
}

func valueAt(b schema.Bridge, path string) any {
	for _, d := range provider.Diff(schema.Bridge{}, b) {
		if d.Path == path {
			return d.New
		}
	}
	return nil
}

func top(path string) string {
	if i := strings.IndexAny(path, ".["); i >= 0 {
		return path[:i]
	}
	return path
}

// normal writes a bridge of any source alike.
func normal(b schema.Bridge) schema.Bridge {
	b.Addresses = link.CanonicalAll(b.Addresses)
	b.Interfaces = link.Distinct(b.Interfaces)
	b.MAC = strings.ToLower(b.MAC)
	var routes []schema.Route
	for _, r := range b.Routes {
		routes = append(routes, link.NormalRoute(r))
	}
	b.Routes = routes
	return b
}

// restrict leaves of live only what is declared, now or in the lab's own stanza: what was declared once and is no longer
// is a change, what never was is none.
func restrict(live, declared, own schema.Bridge) schema.Bridge {
	clear := func(drop bool, clear func()) {
		if drop {
			clear()
		}
	}
	clear(declared.MTU == 0 && own.MTU == 0, func() { live.MTU = 0 })
	clear(declared.MAC == "" && own.MAC == "", func() { live.MAC = "" })
	clear(declared.AcceptRA == nil && own.AcceptRA == nil, func() { live.AcceptRA = nil })
	clear(declared.LinkLocal == nil && own.LinkLocal == nil, func() { live.LinkLocal = nil })
	clear(declared.STP == nil && own.STP == nil, func() { live.STP = nil })
	clear(declared.ForwardDelay == nil && own.ForwardDelay == nil, func() { live.ForwardDelay = nil })
	clear(declared.HelloTime == nil && own.HelloTime == nil, func() { live.HelloTime = nil })
	clear(declared.MaxAge == nil && own.MaxAge == nil, func() { live.MaxAge = nil })
	clear(declared.AgeingTime == nil && own.AgeingTime == nil, func() { live.AgeingTime = nil })
	clear(declared.Priority == nil && own.Priority == nil, func() { live.Priority = nil })
	clear(declared.Renderer == "" && own.Renderer == "", func() { live.Renderer = "" })
	live.PathCost = onlyPorts(live.PathCost, declared.PathCost, own.PathCost)
	live.PortPriority = onlyPorts(live.PortPriority, declared.PortPriority, own.PortPriority)
	return live
}

func onlyPorts(live map[string]int, declared ...map[string]int) map[string]int {
	kept := maps.Clone(live)
	maps.DeleteFunc(kept, func(port string, _ int) bool {
		return !slices.ContainsFunc(declared, func(d map[string]int) bool { _, has := d[port]; return has })
	})
	if len(kept) == 0 {
		return nil
	}
	return kept
}

// align brings what has no order into the declaration's, takes over the parts of a route that it leaves open, and what the
// kernel's clock makes of timers.
func align(live, declared schema.Bridge) schema.Bridge {
	live.Addresses = link.InOrderOf(slices.Clone(live.Addresses), declared.Addresses)
	live.Interfaces = link.InOrderOf(slices.Clone(live.Interfaces), declared.Interfaces)
	for _, timer := range []struct{ live, declared **float64 }{
		{&live.ForwardDelay, &declared.ForwardDelay}, {&live.HelloTime, &declared.HelloTime},
		{&live.MaxAge, &declared.MaxAge}, {&live.AgeingTime, &declared.AgeingTime},
	} {
		if *timer.live != nil && *timer.declared != nil && link.SameTime(**timer.live, **timer.declared) {
			*timer.live = *timer.declared
		}
	}
	var found, rest []schema.Route
	left := slices.Clone(live.Routes)
	for _, d := range declared.Routes {
		i := slices.IndexFunc(left, func(r schema.Route) bool { return link.Matches(d, r) })
		if i >= 0 {
			found = append(found, d)
			left = slices.Delete(left, i, i+1)
		}
	}
	rest = append(rest, left...)
	live.Routes = append(found, rest...)
	if len(live.Routes) == 0 {
		live.Routes = nil
	}
	return live
}

// errorOf says which attributes did not become as declared.
func errorOf(addr schema.Addr, details []provider.Detail) error {
	var lines []string
	hint := ""
	for _, d := range details {
		line := fmt.Sprintf("%s is %v and should be %v", d.Path, d.Old, d.New)
		if d.Why != "" {
			line += " (" + d.Why + ")"
			hint = "take it out of that file, or declare it"
		}
		lines = append(lines, line)
	}
	return &provider.Error{Op: "read back", Addr: addr, Err: errors.New(strings.Join(lines, "; ")), Hint: hint}
}
