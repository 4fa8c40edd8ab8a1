// Package sysctl keeps kernel settings of a host: in force at once, set again by systemd-sysctl when the host starts, and
// put back to what they were when the last lab lets go of them.
//
// The mark is the first line of the lab's file below /etc/sysctl.d, which also keeps each setting's value from before.
// Settings below net are those of the network namespace that labctl runs in.
package sysctl

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// Provider serves resources of type "host.sysctl". Make it with New.
type Provider struct {
	host host.Host

	// Root is the folder taken for /, so that tests have a tree of their own. Below it stand etc/sysctl.d and proc/sys.
	Root string

	turn sync.Mutex // held while settings are written
}

// New is a provider for one host.
func New(h host.Host) *Provider { return &Provider{host: h, Root: "/"} }

// aux is what Plan knows of an object beside its body.
type aux struct {
	file      file   // as it stands
	holder    string // another lab that wants another value, "" for none
	holderLab string
}

// Read implements provider.Provider.
func (p *Provider) Read(ctx context.Context, lab string, want []schema.Resource) ([]provider.Object, error) {
	files, err := p.readFiles(ctx)
	if err != nil {
		return nil, unreachable("read kernel settings", err)
	}
	wanted := map[schema.Addr]map[string]string{}
	for _, r := range want {
		if body, ok := r.Body.(*schema.Sysctl); ok {
			wanted[r.Addr] = body.Values
		}
	}
	var objects []provider.Object
	owned := map[schema.Addr]bool{}
	for _, f := range files {
		if f.mark.Lab != lab {
			continue
		}
		o, err := p.object(ctx, f, wanted[f.mark.Addr])
		if err != nil {
			return nil, err
		}
		if holder, _ := conflict(files, lab, wanted[f.mark.Addr]); holder != "" { // the object is this lab's, a value another's
			o.Aux = aux{file: *f, holder: holder, holderLab: lab}
		}
		owned[f.mark.Addr] = true
		objects = append(objects, o)
	}
	for addr, values := range wanted {
		if owned[addr] {
			continue
		}
		if holder, other := conflict(files, lab, values); holder != "" {
			o, err := p.object(ctx, other, values)
			if err != nil {
				return nil, err
			}
			o.Addr, o.Aux = addr, aux{file: *other, holder: holder, holderLab: other.mark.Lab}
			objects = append(objects, o)
		}
	}
	return objects, nil
}

func unreachable(op string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &provider.Error{Op: op, Err: fmt.Errorf("%w: %w", provider.ErrUnreachable, err)}
}

// object is a file with the values that the kernel has now, for its own keys and for wanted ones.
func (p *Provider) object(ctx context.Context, f *file, want map[string]string) (provider.Object, error) {
	keys := inOrder(f.entries)
	for key := range want {
		if _, has := f.entries[key]; !has {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	values, err := p.live(ctx, keys)
	if err != nil {
		return provider.Object{}, unreachable("read kernel settings", err)
	}
	if values == nil {
		values = map[string]string{}
	}
	return provider.Object{Mark: f.mark, Addr: f.mark.Addr, Deps: f.mark.Deps, ID: "sysctl",
		Body: &schema.Sysctl{Values: values}, Aux: aux{file: *f}}, nil
}

// conflict finds another lab that keeps one of the settings at another value.
func conflict(files []*file, lab string, want map[string]string) (string, *file) {
	for _, key := range inOrder(want) {
		for _, f := range files {
			e, has := f.entries[key]
			if has && !e.leaving && f.mark.Lab != lab && e.value != normal(want[key]) {
				return fmt.Sprintf("%s is kept at %s by %s of the lab %s (%s)", key, e.value, f.mark.Addr, f.mark.Lab, f.path), f
			}
		}
	}
	return "", nil
}

// Plan implements provider.Provider. Every change is live.
func (p *Provider) Plan(want *schema.Resource, have *provider.Object) (provider.Change, error) {
	if want == nil {
		return provider.Change{Addr: have.Addr, Action: provider.Delete, Have: have}, nil
	}
	c := provider.Change{Addr: want.Addr, Want: want, Have: have}
	body, ok := want.Body.(*schema.Sysctl)
	if !ok {
		return c, &provider.Error{Op: "plan kernel settings", Addr: want.Addr, Err: fmt.Errorf("its body is a %T", want.Body)}
	}
	declared := schema.Sysctl{Values: map[string]string{}}
	for key, value := range body.Values {
		declared.Values[key] = normal(value)
	}
	if have == nil {
		c.Action, c.Details = provider.Create, provider.Diff(schema.Sysctl{Values: map[string]string{}}, declared)
		return c, nil
	}
	known, _ := have.Aux.(aux)
	if known.holder != "" && have.Mark.Lab == known.holderLab {
		return c, &provider.Error{Op: "plan kernel settings", Addr: want.Addr,
			Err:  fmt.Errorf("%s: it %w", known.holder, provider.ErrForeign),
			Hint: "two labs on one host can share a setting only at the same value"}
	}
	c.Details = provider.Diff(have.Body, declared)
	differs := map[string]bool{}
	for i := range c.Details {
		c.Details[i].Effect = provider.Live
		differs[c.Details[i].Path] = true
	}
	c.Action, c.Why = provider.Update, "the kernel's settings differ from what is declared"
	if len(c.Details) > 0 {
		return c, nil
	}
	saved := schema.Sysctl{Values: map[string]string{}}
	for key, e := range known.file.entries {
		if !e.leaving {
			saved.Values[key] = e.value
		}
	}
	c.Details = provider.Diff(saved, declared)
	for i := range c.Details {
		c.Details[i].Effect = provider.Live
		c.Details[i].Why = "only in " + known.file.path + ": the kernel has it as declared"
		c.Why = c.Details[i].Why
	}
	if len(c.Details) == 0 {
		c.Action, c.Why = provider.NoOp, ""
	}
	return c, nil
}

// Check implements provider.Checker: the kernel must have every setting.
func (p *Provider) Check(ctx context.Context, want []schema.Resource) []error {
	var errs []error
	for _, r := range want {
		body, ok := r.Body.(*schema.Sysctl)
		if !ok {
			continue
		}
		values, err := p.live(ctx, inOrder(body.Values))
		if err != nil {
			return append(errs, unreachable("read kernel settings", err))
		}
		for _, key := range inOrder(body.Values) {
			if _, has := values[key]; !has && !perInterface(key) {
				errs = append(errs, unknownKey(r.Addr, key))
			}
		}
	}
	return errs
}

// List implements provider.Lister. Settings that are in no lab's file are not labctl's business, so none is listed.
func (p *Provider) List(ctx context.Context) ([]provider.Object, error) {
	files, err := p.readFiles(ctx)
	if err != nil {
		return nil, unreachable("read kernel settings", err)
	}
	var objects []provider.Object
	for _, f := range files {
		o, err := p.object(ctx, f, nil)
		if err != nil {
			return nil, err
		}
		objects = append(objects, o)
	}
	return objects, nil
}
