package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/helper"
	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/internal/probe"
	"github.com/labctl/labctl/internal/probe/inside"
	"github.com/labctl/labctl/schema"
)

func newTest(o *options) *cobra.Command {
	var asJSON bool
	var pattern string
	cmd := &cobra.Command{
		Use:   "test [DIR]",
		Short: "Run the lab's checks",
		Long: `Runs the check blocks of the lab in DIR (default: the current folder) from inside its machines, side by side where
they do not disturb each other. A check that fails says what was found on the way. The exit code is 1 where one fails.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			match, err := regexp.Compile(pattern)
			if err != nil {
				return fmt.Errorf("-run: %w", err)
			}
			s, err := openLab(cmd, o, folder(args), false)
			if err != nil {
				return err
			}
			defer s.close()
			return s.runChecks(cmd, match, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write the results as JSON, one object a line")
	cmd.Flags().StringVar(&pattern, "run", "", "run just the checks whose address matches this regular expression")
	return cmd
}

// runChecks runs the checks whose address matches; nil is all.
func (s *session) runChecks(cmd *cobra.Command, match *regexp.Regexp, asJSON bool) error {
	var checks []schema.Check
	for _, c := range s.lab.Checks {
		if match == nil || match.MatchString(c.Addr.String()) {
			checks = append(checks, c)
		}
	}
	style := probe.Style{Color: s.o.color(s.stdout)}
	if isTerminal(s.stdout) {
		style.Width = width(s.stdout)
	}
	encoder := json.NewEncoder(s.stdout)
	results := probe.Run(cmd.Context(), s.lab, guests{s}, checks, probe.Options{
		Parallel: s.o.parallel,
		Done: func(r probe.Result) {
			if asJSON {
				_ = encoder.Encode(r) // a reader that has gone away misses the rest
				return
			}
			style.Write(s.stdout, r)
		},
	})
	if !asJSON {
		if len(results) > 0 {
			fmt.Fprintln(s.stdout)
		}
		fmt.Fprintln(s.stdout, probe.Summary(results))
	}
	if probe.Failed(results) {
		return codeError{exitError, nil}
	}
	return nil
}

// guests lets probe reach the lab's machines through their agents.
type guests struct{ s *session }

// host finds which host carries the domain.
func (g guests) host(domain string) (host.Host, error) {
	if domain == "" {
		return g.s.hosts[0].machine, nil
	}
	for _, r := range g.s.lab.Resources {
		if d, ok := r.Body.(*schema.Domain); ok && d.Name == domain {
			h, err := g.s.host(r.Host)
			if err != nil {
				return nil, err
			}
			return h.guest(domain), nil
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
