package guest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/labctl/labctl/internal/helper"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// Apply implements provider.Provider. The helper keeps what is wanted for the next boot, makes it so and looks again, all in
// one call; a guest that its seed has already made so is left as it is.
func (p *Provider) Apply(ctx context.Context, lab string, c provider.Change) error {
	if c.Action == provider.NoOp || c.Action == provider.Delete || c.Action == provider.Forget || c.Want == nil {
		return nil // a guest goes with its machine
	}
	body, err := bodyOf(c.Want)
	if err != nil {
		return err
	}
	power, err := p.agents.Power(ctx, body.Domain)
	running, exists := power[body.Domain]
	switch {
	case err != nil:
		return unreachable(c.Want, err)
	case !exists:
		return &provider.Error{Op: "converge", Addr: c.Want.Addr, Err: fmt.Errorf("there is no domain %s", body.Domain)}
	case !running:
		return nil // declared so: it comes up as its seed says
	}
	if err := provider.Step(ctx, "wait for the agent"); err != nil {
		return err
	}
	if err := p.wait(ctx, c.Want, body); err != nil {
		return err
	}
	if err := provider.Step(ctx, "converge"); err != nil {
		return err
	}
	response, err := p.converge(ctx, c.Want, body, markOf(lab, c.Want).String())
	if err != nil {
		if errors.Is(err, errNoHelper) {
			return &provider.Error{Op: "converge", Addr: c.Want.Addr, Err: err}
		}
		return err
	}
	return verify(c.Want, body, response)
}

// verify reports what the helper could not do, and what is not as wanted after all.
func verify(want *schema.Resource, body *schema.Guest, r *helper.Response) error {
	var errs []error
	for _, problem := range r.Problems {
		errs = append(errs, problemError("converge", want, problem))
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	if !r.Kept {
		errs = append(errs, errors.New("the guest does not keep its configuration for the next boot"))
	}
	a := &aux{rules: r.Rules, nat: r.NAT, nat6: r.NAT6}
	for _, d := range details(a.normal(r.Guest, body), body, r.Rules) {
		errs = append(errs, &provider.Error{Op: "converge", Addr: want.Addr, Path: d.Path, Err: fmt.Errorf(
			"%s is still %s, not %s", d.Path, shown(d.Old), shown(d.New))})
	}
	return errors.Join(errs...)
}

func shown(value any) string {
	if value == nil {
		return "absent"
	}
	return strings.TrimSpace(fmt.Sprint(value))
}
