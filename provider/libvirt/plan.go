package libvirt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// Plan implements provider.Provider.
func (p *Provider) Plan(want *schema.Resource, have *provider.Object) (provider.Change, error) {
	switch {
	case want == nil && have == nil:
		return provider.Change{Action: provider.NoOp}, nil
	case want == nil:
		if isForeign(have) {
			return provider.Change{}, foreign(have.Addr, have)
		}
		return provider.Change{Addr: have.Addr, Action: provider.Delete, Have: have}, nil
	case have == nil:
		return provider.Change{Addr: want.Addr, Action: provider.Create, Want: want}, nil
	case isForeign(have):
		return provider.Change{}, foreign(want.Addr, have)
	}
	c := provider.Change{Addr: want.Addr, Action: provider.NoOp, Want: want, Have: have}
	details, err := details(want, have)
	if err != nil {
		return provider.Change{}, err
	}
	c.Details = details
	switch {
	case len(details) == 0 && have.Mark.Incomplete:
		c.Action, c.Why = provider.Update, "an earlier apply did not finish it"
	case len(details) == 0:
	case provider.Worst(details) == provider.OnReplace:
		c.Action, c.Why = provider.Replace, whyOf(details, provider.OnReplace)
	case provider.Worst(details) == provider.OnRestart:
		c.Action, c.Why = provider.Restart, whyOf(details, provider.OnRestart)
	default:
		c.Action = provider.Update
	}
	return c, nil
}

func isForeign(have *provider.Object) bool {
	m, ok := have.Aux.(*machine)
	return have.Mark.Lab == "" || ok && m.foreign
}

func foreign(addr schema.Addr, have *provider.Object) error {
	if have.Mark.Lab != "" {
		return &provider.Error{Op: "plan", Addr: addr, Path: "name",
			Err:  fmt.Errorf("the domain %q %w: lab %s made it as %s", have.ID, provider.ErrForeign, have.Mark.Lab, have.Mark.Addr),
			Hint: "give the machine another name"}
	}
	return &provider.Error{Op: "plan", Addr: addr, Path: "name",
		Err:  fmt.Errorf("the domain %q %w: it is there and labctl did not make it", have.ID, provider.ErrForeign),
		Hint: fmt.Sprintf("give the machine another name, or take the domain over with an import block: import { to = %s, id = %q }", addr, have.ID)}
}

func whyOf(details []provider.Detail, effect provider.Effect) string {
	for _, d := range details {
		if d.Effect == effect {
			return d.Path + ": " + d.Why
		}
	}
	return ""
}

// details are the differences, each with what it costs.
func details(want *schema.Resource, have *provider.Object) ([]provider.Detail, error) {
	body := have.Body.(*schema.Domain)
	m := have.Aux.(*machine)
	wanted := normal(want.Body.(*schema.Domain), body)
	list := provider.Diff(body, wanted)
	list = append(list, markDetails(want, have)...)
	for i := range list {
		d := &list[i]
		effect, why, err := effectOf(*d, m, wanted)
		if err != nil {
			return nil, &provider.Error{Op: "plan", Addr: want.Addr, Path: d.Path, Err: err}
		}
		d.Effect, d.Why = effect, why
		if effect == provider.OnRestart && !m.active {
			d.Effect, d.Why = provider.Live, "" // nothing runs that would have to be stopped
		}
	}
	return list, nil
}

// normal is the declaration in the form that Read gives: defaults of the language written out, and "auto" as it has
// been decided for the domain that is there.
func normal(want, have *schema.Domain) *schema.Domain {
	w := *want
	if w.Virt == "" || w.Virt == "auto" {
		w.Virt = have.Virt
	}
	if w.Image != nil && have.Image != nil {
		ref := *w.Image
		ref.Addr, ref.Build = have.Image.Addr, have.Image.Build // only the files count
		w.Image = &ref
	}
	w.Interfaces = slices.Clone(w.Interfaces)
	for i := range w.Interfaces {
		nic := &w.Interfaces[i]
		if nic.Model == "" {
			nic.Model = "virtio"
		}
		if nic.Link == "" {
			nic.Link = "up"
		}
	}
	return &w
}

// markDetails are differences in what only the mark holds.
func markDetails(want *schema.Resource, have *provider.Object) []provider.Detail {
	var out []provider.Detail
	add := func(path string, old, new any) {
		out = append(out, provider.Detail{Path: path, Old: old, New: new})
	}
	if have.Mark.Addr != want.Addr {
		add("address", have.Mark.Addr.String(), want.Addr.String())
	}
	if have.Mark.PreventDestroy != want.Lifecycle.PreventDestroy {
		add("lifecycle.prevent_destroy", have.Mark.PreventDestroy, want.Lifecycle.PreventDestroy)
	}
	if old, new := addrs(have.Mark.Deps), addrs(want.Deps); !slices.Equal(old, new) {
		add("depends_on", old, new)
	}
	return out
}

// addrs is the addresses in a fixed order, as JSON has them.
func addrs(list []schema.Addr) []string {
	out := make([]string, 0, len(list))
	for _, addr := range list {
		out = append(out, addr.String())
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Check implements provider.Checker: it refuses what does not fit on this host.
func (p *Provider) Check(_ context.Context, want []schema.Resource) []error {
	most, err := p.conn.Memory()
	if err != nil {
		return []error{err}
	}
	var errs []error
	for _, r := range want {
		d, ok := r.Body.(*schema.Domain)
		if ok && d.Memory > most {
			errs = append(errs, &provider.Error{Op: "check", Addr: r.Addr, Path: "memory",
				Err: fmt.Errorf("%d MiB are more than the host has, %d MiB", d.Memory>>20, most>>20)})
		}
	}
	return errs
}

// splitPath splits interface.eth0.bridge into interface, eth0 and bridge; a name may be quoted in brackets.
func splitPath(path string) (kind, name, field string) {
	kind, rest, _ := strings.Cut(path, ".")
	if head, tail, quoted := strings.Cut(path, `["`); quoted && !strings.Contains(head, ".") {
		name, field, _ = strings.Cut(tail, `"]`)
		return head, name, strings.TrimPrefix(field, ".")
	}
	name, field, _ = strings.Cut(rest, ".")
	return kind, name, field
}

var errShrink = errors.New("a disk is never made smaller: what is at its end would be lost")
