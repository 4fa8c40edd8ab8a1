package guest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/labctl/labctl/internal/helper"
	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// errNoHelper is a guest without a helper of the right build.
var errNoHelper = errors.New("the guest has no helper of this labctl's build")

// agent is the guest of a domain as a machine.
func (p *Provider) agent(domain string) host.Agent {
	return host.Agent{Command: func(ctx context.Context, request []byte) ([]byte, error) {
		return p.agents.AgentCommand(ctx, domain, request)
	}}
}

// snapshot asks the helper what is there, within a time. A helper is put into a guest only where it carries the lab's mark.
func (p *Provider) snapshot(
	ctx context.Context, limit time.Duration, lab string, want *schema.Resource, body *schema.Guest,
) (*helper.Response, error) {
	ask := func() (*helper.Response, error) {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		return p.ask(ctx, want, body, helper.Snapshot, "")
	}
	response, err := ask()
	if !errors.Is(err, errNoHelper) || !p.marked(ctx, lab, body.Domain) {
		return response, err
	}
	if err := p.upload(ctx, want, body.Domain); err != nil {
		return nil, err
	}
	return ask()
}

// marked reports whether the guest has been converged for the lab before.
func (p *Provider) marked(ctx context.Context, lab, domain string) bool {
	data, err := p.agent(domain).ReadFile(ctx, helper.PersistPath)
	if err != nil {
		return false
	}
	var kept helper.Persist
	if json.Unmarshal(data, &kept) != nil {
		return false
	}
	mark, ok := provider.ParseMark(kept.Mark)
	return ok && mark.Lab == lab
}

// converge has the helper make the guest as wanted, and brings it there first where need be.
func (p *Provider) converge(ctx context.Context, want *schema.Resource, body *schema.Guest, mark string) (*helper.Response, error) {
	response, err := p.ask(ctx, want, body, helper.Converge, mark)
	if !errors.Is(err, errNoHelper) {
		return response, err
	}
	if err := provider.Step(ctx, "bring the helper into the guest"); err != nil {
		return nil, err
	}
	if err := p.upload(ctx, want, body.Domain); err != nil {
		return nil, err
	}
	return p.ask(ctx, want, body, helper.Converge, mark)
}

// upload puts the helper where an installed one of another build hands over to it.
func (p *Provider) upload(ctx context.Context, want *schema.Resource, domain string) error {
	err := p.agent(domain).WriteFile(ctx, helper.UploadPath, p.helper, fs.FileMode(0o755))
	if err != nil {
		return &provider.Error{Op: "bring the helper into the guest", Addr: want.Addr, Err: err}
	}
	return nil
}

// ask sends one request to the helper: the installed one or, where there is none, an uploaded one.
func (p *Provider) ask(ctx context.Context, want *schema.Resource, body *schema.Guest, command, mark string) (*helper.Response, error) {
	var request bytes.Buffer
	err := helper.Encode(&request, helper.Request{Protocol: helper.Protocol, Build: p.build, Mark: mark, Guest: body})
	if err != nil {
		return nil, &provider.Error{Op: command, Addr: want.Addr, Err: err}
	}
	if request.Len() > helper.MaxMessage {
		return nil, &provider.Error{
			Op: command, Addr: want.Addr, Err: fmt.Errorf("the guest's declaration is %d bytes long, and the agent carries %d", request.Len(), helper.MaxMessage),
			Hint: "put large files on a disk of their own",
		}
	}
	for _, program := range []string{helper.Name, helper.UploadPath} {
		out, err := p.agent(body.Domain).Run(ctx, host.Command{Args: []string{program, command}, Stdin: request.Bytes()})
		failed, _ := errors.AsType[*host.CommandError](err)
		switch {
		case failed != nil && failed.Exit < 0: // it is not there
			continue
		case err != nil && failed == nil:
			return nil, unreachable(want, err)
		}
		response, decodeErr := helper.DecodeResponse(out.Stdout)
		switch {
		case decodeErr != nil && failed != nil:
			return nil, &provider.Error{Op: command, Addr: want.Addr, Err: failed}
		case decodeErr != nil:
			return nil, &provider.Error{Op: command, Addr: want.Addr, Err: fmt.Errorf("the helper's answer: %w", decodeErr)}
		case outdated(response):
			continue
		}
		return &response, nil
	}
	return nil, errNoHelper
}

func outdated(r helper.Response) bool {
	if r.Protocol != helper.Protocol {
		return true
	}
	for _, problem := range r.Problems {
		if problem.Code == helper.Outdated {
			return true
		}
	}
	return false
}

// readable reports what made a snapshot incomplete. What the guest cannot carry out is no such thing: it is wanted, not there.
func readable(want *schema.Resource, r *helper.Response) (refused []helper.Problem, err error) {
	var errs []error
	for _, problem := range r.Problems {
		if problem.Code == helper.Refused {
			refused = append(refused, problem)
		} else {
			errs = append(errs, problemError("read", want, problem))
		}
	}
	return refused, errors.Join(errs...)
}

// problemError is a helper's problem as an error at the place in the lab that it concerns.
func problemError(op string, want *schema.Resource, problem helper.Problem) error {
	told := &provider.Error{Op: op, Addr: want.Addr, Path: problem.Path, Err: problem}
	body, ok := want.Body.(*schema.Guest)
	if !ok || len(problem.Lines) == 0 {
		return told
	}
	line := problem.Lines[0]
	told.Err = fmt.Errorf("nft: %s", line.Message)
	if body.Ruleset != nil && line.File == "" && line.Line >= 1 && line.Line <= len(body.Ruleset.Lines) {
		told.Pos = body.Ruleset.Lines[line.Line-1]
	}
	told.Detail = problem.Message
	return told
}
