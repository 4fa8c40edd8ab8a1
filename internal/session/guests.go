package session

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/labctl/labctl/internal/helper"
	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/internal/probe"
	"github.com/labctl/labctl/internal/probe/inside"
	"github.com/labctl/labctl/schema"
)

// Guests reaches the lab's machines for probes.
func (s *Session) Guests() probe.Machines { return guests{s} }

// guests lets probe reach the lab's machines through their agents.
type guests struct{ s *Session }

// host finds which host carries the domain.
func (g guests) host(domain string) (host.Host, error) {
	if domain == "" {
		return g.s.Hosts[0].machine, nil
	}
	for _, r := range g.s.Lab.Resources {
		if d, ok := r.Body.(*schema.Domain); ok && d.Name == domain {
			h, err := g.s.Host(r.Host)
			if err != nil {
				return nil, err
			}
			return h.Guest(domain), nil
		}
	}
	return nil, fmt.Errorf("the lab has no machine %s", domain)
}

// Ask implements probe.Machines.
func (g guests) Ask(ctx context.Context, domain string, r inside.Request) (inside.Answer, error) {
	in, err := g.host(domain)
	if err != nil {
		return inside.Answer{}, err
	}
	return ask(ctx, in, domain, r)
}

// Ask has the helper in a machine carry out one request, whatever lab the machine is of.
func (c *Carrier) Ask(ctx context.Context, domain string, r inside.Request) (inside.Answer, error) {
	return ask(ctx, c.Guest(domain), domain, r)
}

func ask(ctx context.Context, in host.Host, domain string, r inside.Request) (inside.Answer, error) {
	request, err := json.Marshal(r)
	if err != nil {
		return inside.Answer{}, err
	}
	out, err := runHelper(ctx, in, host.Command{Args: []string{helper.Name, inside.Command}, Stdin: request})
	if err != nil {
		return inside.Answer{}, err
	}
	var answer inside.Answer
	if err := json.NewDecoder(bytes.NewReader(out.Stdout)).Decode(&answer); err != nil {
		return answer, fmt.Errorf("the helper in %s: %w", domain, err)
	}
	if answer.Error != "" {
		return answer, errors.New(answer.Error)
	}
	return answer, nil
}

// runHelper runs the helper by the newest of its places in the guest.
func runHelper(ctx context.Context, in host.Host, c host.Command) (out host.Output, err error) {
	for _, path := range []string{helper.UploadPath, helper.Name, helper.InstallPath} {
		c.Args[0] = path
		out, err = in.Run(ctx, c)
		failed, ok := errors.AsType[*host.CommandError](err)
		if !ok || failed.Exit >= 0 && failed.Exit != 127 {
			return out, err
		}
	}
	return out, err
}

// Run implements probe.Machines.
func (g guests) Run(ctx context.Context, domain string, args ...string) (exit int, output string, err error) {
	in, err := g.host(domain)
	if err != nil {
		return 0, "", err
	}
	out, err := in.Run(ctx, host.Cmd(args...))
	if failed, ok := errors.AsType[*host.CommandError](err); ok && failed.Exit >= 0 {
		return failed.Exit, string(out.Stdout) + string(out.Stderr), nil
	}
	return 0, string(out.Stdout), err
}
