// Package guest serves what is inside the machines: addresses, routes, rules, files and the rest of a vm block's inner half
// (*schema.Guest). It speaks to labctl's helper in each guest through the QEMU guest agent, with no network.
package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/labctl/labctl/internal/helper"
	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/internal/nft"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// Type is the type of resource that this provider serves.
const Type = "vm.guest"

// DefaultAgentTimeout is how long a guest may take until its agent answers, where its declaration says nothing.
const DefaultAgentTimeout = 60 * time.Second

// firstTry is how long a guest that may be booting is given to answer before its agent is waited for.
const firstTry = 10 * time.Second

// parallel is how many guests are read at once. An agent answers one request at a time, but each has its own.
const parallel = 64

// Agents reaches the machines of one host.
type Agents interface {
	// AgentCommand sends one request to the domain's guest agent and returns its answer, both JSON.
	AgentCommand(ctx context.Context, domain string, request []byte) ([]byte, error)
	// WaitAgent waits until the agent answers; it fails at once where the domain does not run.
	WaitAgent(ctx context.Context, domain string) error
	// Power tells of each of the domains that is there whether it runs.
	Power(ctx context.Context, domains ...string) (map[string]bool, error)
	// ConsoleTail is the last lines that the domain said on its console, "" for none.
	ConsoleTail(domain string) string
}

// Provider is the provider of guests.
type Provider struct {
	agents Agents
	host   host.Host
	helper []byte
	build  string
}

// New makes a provider. program is the static labctl-guest binary that guests run; one that lacks it, or has another
// build of it, gets it through the agent. On h rulesets are checked before a guest is touched; nil leaves that out.
func New(agents Agents, h host.Host, program []byte) (*Provider, error) {
	build, err := helper.BuildID(bytes.NewReader(program))
	if err != nil {
		return nil, fmt.Errorf("labctl-guest: %w", err)
	}
	return &Provider{agents: agents, host: h, helper: program, build: build}, nil
}

// aux is what Read found out beside the body.
type aux struct {
	off       bool // the machine does not run: what is inside cannot be read before it does
	unmanaged bool // the guest has no helper that could tell, and no mark that would allow to put one there
	kept      bool
	keeps     *schema.Guest // where it is something else that the next boot makes
	marked    string
	refused   []helper.Problem // declarations that the guest cannot carry out
	rules     []nft.Difference
	nat, nat6 *schema.NAT
	first     *helper.FirstBoot
}

// Read implements provider.Provider. A guest belongs to whom its machine belongs to; whether that is the lab is found out by
// the provider of machines. Nothing is changed in a guest, but that an outdated helper of the lab's own is renewed.
func (p *Provider) Read(ctx context.Context, lab string, want []schema.Resource) ([]provider.Object, error) {
	if len(want) == 0 {
		return nil, nil
	}
	power, err := p.agents.Power(ctx, domainsOf(want)...)
	objects := make([]*provider.Object, len(want))
	errs := make([]error, len(want))
	if err != nil {
		for n := range want {
			errs[n] = unreachable(&want[n], err)
		}
		return nil, errors.Join(errs...)
	}
	slots := make(chan struct{}, parallel)
	var wait sync.WaitGroup
	for n := range want {
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			objects[n], errs[n] = p.readOne(ctx, lab, &want[n], power)
		})
	}
	wait.Wait()
	var out []provider.Object
	for _, object := range objects {
		if object != nil {
			out = append(out, *object)
		}
	}
	return out, errors.Join(errs...)
}

func domainsOf(want []schema.Resource) []string {
	var names []string
	for _, w := range want {
		if body, ok := w.Body.(*schema.Guest); ok {
			names = append(names, body.Domain)
		}
	}
	return names
}

func (p *Provider) readOne(ctx context.Context, lab string, want *schema.Resource, power map[string]bool) (*provider.Object, error) {
	body, err := bodyOf(want)
	if err != nil {
		return nil, err
	}
	object := &provider.Object{
		Mark: provider.Mark{Lab: lab, Addr: want.Addr, Version: provider.MarkVersion}, Addr: want.Addr,
		Deps: []schema.Addr{want.Addr.Whole()}, ID: body.Domain,
	}
	running, exists := power[body.Domain]
	switch {
	case !exists:
		return nil, nil //nolint:nilnil // no object and no error: it is not there
	case !running:
		object.Body, object.Aux = &schema.Guest{Domain: body.Domain}, &aux{off: true}
		return object, nil
	}
	// Most often the agent is there, so it is not asked first whether it is.
	response, err := p.snapshot(ctx, min(firstTry, patience(body)), lab, want, body)
	if errors.Is(err, provider.ErrUnreachable) && ctx.Err() == nil {
		if err := p.wait(ctx, want, body); err != nil {
			return nil, err
		}
		response, err = p.snapshot(ctx, patience(body), lab, want, body)
	}
	if errors.Is(err, errNoHelper) {
		object.Body, object.Aux = &schema.Guest{Domain: body.Domain}, &aux{unmanaged: true}
		return object, nil
	}
	if err != nil {
		return nil, err
	}
	refused, err := readable(want, response)
	if err != nil {
		return nil, err
	}
	a := &aux{refused: refused, kept: response.Kept, keeps: response.Keeps, marked: response.Mark, rules: response.Rules, nat: response.NAT, nat6: response.NAT6, first: response.FirstBoot}
	if mark, ok := provider.ParseMark(response.Mark); ok && mark.Lab == lab {
		mark.Addr = want.Addr
		if mark.Fingerprint == markOf(lab, want).Fingerprint { // told of the declaration as a whole, as with other marks
			mark.Fingerprint = provider.Fingerprint(want.Body)
		}
		object.Mark = mark
	}
	object.Body, object.Aux = a.normal(response.Guest, body), a
	return object, nil
}

// normal is the guest's body in the form of a declaration: what cannot be seen in it is as declared.
func (a *aux) normal(live, want *schema.Guest) *schema.Guest {
	out := *live
	out.Domain, out.AgentTimeout = want.Domain, want.AgentTimeout
	out.Packages, out.UserData, out.SSH, out.NAT, out.NAT6 = want.Packages, want.UserData, want.SSH, want.NAT, want.NAT6
	if len(a.rules) > 0 {
		out.NAT, out.NAT6 = a.nat, a.nat6
	} else {
		out.Ruleset = want.Ruleset
	}
	return &out
}

func patience(body *schema.Guest) time.Duration {
	if body.AgentTimeout > 0 {
		return time.Duration(body.AgentTimeout * float64(time.Second))
	}
	return DefaultAgentTimeout
}

// wait waits for the agent, as long as the declaration allows.
func (p *Provider) wait(ctx context.Context, want *schema.Resource, body *schema.Guest) error {
	ctx, cancel := context.WithTimeout(ctx, patience(body))
	defer cancel()
	err := p.agents.WaitAgent(ctx, body.Domain)
	if err == nil {
		return nil
	}
	told := unreachable(want, err)
	told.Op, told.Detail = "wait for the guest agent", p.agents.ConsoleTail(body.Domain)
	told.Hint = "look at its console (labctl console), or allow it more time (timeouts { agent })"
	return told
}

// unreachable is err as one sentence that says that the guest cannot be reached.
func unreachable(want *schema.Resource, err error) *provider.Error {
	said := strings.ReplaceAll(err.Error(), "\n", ": ")
	said = strings.ReplaceAll(said, provider.ErrUnreachable.Error()+": ", "")
	return &provider.Error{Op: "reach the guest", Addr: want.Addr, Err: fmt.Errorf("it %w: %s", provider.ErrUnreachable, said)}
}

func bodyOf(want *schema.Resource) (*schema.Guest, error) {
	body, ok := want.Body.(*schema.Guest)
	if !ok {
		return nil, &provider.Error{Addr: want.Addr, Err: fmt.Errorf("a %T is no guest", want.Body)}
	}
	return body, nil
}
