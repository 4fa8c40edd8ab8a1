package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/session"
)

// power is one of the commands that switch machines on and off.
type power struct {
	verb, done string
	do         func(ctx context.Context, h *session.Carrier, domain string, within time.Duration) error
}

func newStart(o *options) *cobra.Command {
	p := power{verb: "start", done: "runs", do: func(ctx context.Context, h *session.Carrier, domain string, within time.Duration) error {
		if err := h.Conn.Start(ctx, domain); err != nil || within == 0 {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		return h.Conn.WaitAgent(ctx, domain)
	}}
	return p.command(o, "Start machines and wait for their agents",
		`Starts the given machines, or all of the lab in the current folder, and waits until their guest agents answer.`, 60*time.Second,
		"wait so long for the agents; 0 does not wait")
}

func newStop(o *options) *cobra.Command {
	p := power{verb: "stop", done: "is off", do: func(ctx context.Context, h *session.Carrier, domain string, within time.Duration) error {
		return h.Conn.Stop(ctx, domain, within)
	}}
	return p.command(o, "Shut machines down",
		`Shuts the given machines down, or all of the lab in the current folder. One that does not end within -timeout loses its
power. A plan then shows that they are off; apply starts them again.`, 30*time.Second,
		"cut the power after this time; 0 cuts it at once")
}

func newRestart(o *options) *cobra.Command {
	p := power{verb: "restart", done: "runs again", do: func(ctx context.Context, h *session.Carrier, domain string, within time.Duration) error {
		if err := h.Conn.Stop(ctx, domain, within); err != nil {
			return err
		}
		if err := h.Conn.Start(ctx, domain); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, 5*time.Minute) // a whole distribution, without KVM
		defer cancel()
		return h.Conn.WaitAgent(ctx, domain)
	}}
	return p.command(o, "Shut machines down and start them again",
		`Shuts the given machines down, or all of the lab in the current folder, starts them again and waits for their agents.`, 30*time.Second,
		"cut the power of a machine that is not off after this time; 0 cuts it at once")
}

func (p power) command(o *options, short, long string, within time.Duration, usage string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   p.verb + " [VM]...",
		Short: short,
		Long:  long,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := openHosts(cmd, o, ".")
			if err != nil {
				return err
			}
			defer s.Close()
			machines, err := chosen(cmd.Context(), s, args)
			if err != nil {
				return err
			}
			return p.run(cmd.Context(), s, machines, within)
		},
		ValidArgsFunction: offerMachines(o),
	}
	cmd.Flags().DurationVar(&within, "timeout", within, usage)
	return cmd
}

// chosen lists the machines that args name, or all of the session's lab.
func chosen(ctx context.Context, s *session.Session, args []string) ([]session.Machine, error) {
	all, err := s.Machines(ctx)
	if err != nil {
		return nil, err
	}
	var list []session.Machine
	for _, name := range args {
		m, err := session.Find(all, s.Lab.Name, name)
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	if len(args) > 0 {
		return list, nil
	}
	if s.Lab.Name == "" {
		return nil, errors.New("this folder holds no lab: name the machines")
	}
	for _, m := range all {
		if m.Lab == s.Lab.Name {
			list = append(list, m)
		}
	}
	return list, nil
}

// run switches the machines side by side.
func (p power) run(ctx context.Context, s *session.Session, machines []session.Machine, within time.Duration) error {
	if len(machines) == 0 {
		s.Note("Lab %s has no machines here.\n", s.Lab.Name)
	}
	errs := make([]error, len(machines))
	var wait sync.WaitGroup
	var tell sync.Mutex
	for n, m := range machines {
		wait.Go(func() {
			h, err := s.Host(m.Host)
			if err == nil {
				err = p.do(ctx, h, m.Domain, within)
			}
			if err != nil {
				errs[n] = fmt.Errorf("%s: %w", m.Addr, err)
				return
			}
			tell.Lock()
			defer tell.Unlock()
			s.Note("%s %s.\n", m.Addr, p.done)
		})
	}
	wait.Wait()
	if err := errors.Join(errs...); err != nil {
		return s.Tell(err)
	}
	return nil
}

// firstMachine completes the first argument alone; what follows is the command's own.
func firstMachine(o *options) cobra.CompletionFunc {
	complete := offerMachines(o)
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return complete(cmd, args, word)
	}
}
