package libvirt

import (
	"context"
	"fmt"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/capability"
	"github.com/labctl/labctl/provider/libvirt/machine"
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
	details, err := machine.Details(want, have)
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

// Check implements provider.Checker.
func (p *Provider) Check(_ context.Context, want []schema.Resource) []error {
	return capability.Check(p.conn, want)
}

func isForeign(have *provider.Object) bool {
	m, ok := have.Aux.(*machine.Machine)
	return have.Mark.Lab == "" || ok && m.Foreign
}

func foreign(addr schema.Addr, have *provider.Object) error {
	if have.Mark.Lab != "" {
		return &provider.Error{
			Op: "plan", Addr: addr, Path: "name",
			Err:  fmt.Errorf("the domain %q %w: lab %s made it as %s", have.ID, provider.ErrForeign, have.Mark.Lab, have.Mark.Addr),
			Hint: "give the machine another name",
		}
	}
	return &provider.Error{
		Op: "plan", Addr: addr, Path: "name",
		Err:  fmt.Errorf("the domain %q %w: it is there and labctl did not make it", have.ID, provider.ErrForeign),
		Hint: fmt.Sprintf("give the machine another name, or take the domain over with an import block: import { to = %s, id = %q }", addr, have.ID),
	}
}

func whyOf(details []provider.Detail, effect provider.Effect) string {
	for _, d := range details {
		if d.Effect == effect {
			return d.Path + ": " + d.Why
		}
	}
	return ""
}
