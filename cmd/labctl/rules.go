package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/internal/inspect"
	"github.com/labctl/labctl/internal/natflow"
	"github.com/labctl/labctl/internal/nft"
	"github.com/labctl/labctl/internal/probe/inside"
	"github.com/labctl/labctl/internal/session"
)

// looking is the flags of the commands that look into a machine, once or over and over.
type looking struct {
	watch, json bool
	every       time.Duration
}

func (l *looking) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&l.watch, "watch", false, "look again and again, until Ctrl-C")
	cmd.Flags().DurationVar(&l.every, "every", time.Second, "how often -watch looks")
	cmd.Flags().BoolVar(&l.json, "json", false, "write JSON, one object a look")
}

func newRules(o *options) *cobra.Command {
	l := &looking{}
	cmd := &cobra.Command{
		Use:   "rules [VM]",
		Short: "Show a machine's rules and what they have counted",
		Long: `Shows the nftables rules that work in a machine just now, those that labctl made of its nat block among them: what
each rule with a counter has counted, and what packets have brought into sets and maps. With -watch it looks every second
and marks the rules whose counters rise. Without VM it shows this host's rules.`,
		Args: cobra.MaximumNArgs(1),

		ValidArgsFunction: firstMachine(o),
		RunE: func(cmd *cobra.Command, args []string) error {
			var before []nft.Count
			return l.run(cmd, o, args, func(ctx context.Context, in look) error {
				now, err := nft.ListLive(ctx, in.host)
				if err != nil {
					return err
				}
				if l.json {
					return json.NewEncoder(in.out).Encode(now)
				}
				in.style.Rules(in.out, now, before)
				before = now.Counts
				return nil
			})
		},
	}
	l.register(cmd)
	return cmd
}

func newFlows(o *options) *cobra.Command {
	l := &looking{}
	var protocol string
	cmd := &cobra.Command{
		Use:   "flows [VM]",
		Short: "Show the connections that a machine tracks",
		Long: `Shows the connection tracking table of a machine: who began each connection, with whom, whether an answer has come,
how long the entry lives if nothing more comes, and as whom a router's NAT sends it on. It takes no tools in the machine.
Without VM it shows what this host tracks.`,
		Args: cobra.MaximumNArgs(1),

		ValidArgsFunction: firstMachine(o),
		RunE: func(cmd *cobra.Command, args []string) error {
			return l.run(cmd, o, args, func(ctx context.Context, in look) error {
				all, err := in.flows(ctx)
				if err != nil {
					return err
				}
				flows := slices.DeleteFunc(all, func(e natflow.Entry) bool { return protocol != "" && e.Protocol != protocol })
				if l.json {
					return json.NewEncoder(in.out).Encode(append([]natflow.Entry{}, flows...)) // a list, also of none
				}
				return in.style.Flows(in.out, flows)
			})
		},
	}
	l.register(cmd)
	cmd.Flags().StringVar(&protocol, "protocol", "", "show just those of this `PROTOCOL`: udp, tcp, icmp")
	return cmd
}

// look is one look into a machine.
type look struct {
	host  host.Host
	flows func(context.Context) ([]natflow.Entry, error)
	out   io.Writer
	style inspect.Style
}

// open finds what is looked into: a machine, or this host.
func (l *looking) open(ctx context.Context, s *session.Session, args []string) (called string, in look, err error) {
	if len(args) == 0 {
		return "this host", look{host: host.Local{}, flows: func(context.Context) ([]natflow.Entry, error) { return natflow.Entries() }}, nil
	}
	m, carrier, err := s.Machine(ctx, args[0])
	if err != nil {
		return "", look{}, err
	}
	ask := func(ctx context.Context) ([]natflow.Entry, error) {
		answer, err := carrier.Ask(ctx, m.Domain, inside.Request{Flows: true})
		return answer.Flows, err
	}
	return m.Addr.String(), look{host: carrier.Guest(m.Domain), flows: ask}, nil
}

// run looks once, or over and over: on a terminal each look takes the place of the one before.
func (l *looking) run(cmd *cobra.Command, o *options, args []string, do func(context.Context, look) error) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	s, err := openHosts(cmd, o, ".")
	if err != nil {
		return err
	}
	defer s.Close()
	called, in, err := l.open(ctx, s, args)
	if err != nil {
		return err
	}
	page := &session.Page{Out: s.Stdout, Terminal: session.IsTerminal(s.Stdout) && !l.json, Rows: session.Height(s.Stdout)}
	in.out, in.style = page, inspect.Style{Color: s.Options.Color(s.Stdout)}
	if page.Terminal {
		in.style.Width = session.Width(s.Stdout)
	}
	for {
		if l.watch && !l.json {
			fmt.Fprintf(page, "%s, %s, every %v; Ctrl-C ends\n\n", called, time.Now().Format(time.TimeOnly), l.every)
		}
		if err := do(ctx, in); err != nil {
			if ctx.Err() != nil {
				return nil // the user has seen enough
			}
			return s.Tell(err)
		}
		if err := page.Show(l.watch); err != nil || !l.watch {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(l.every):
		}
	}
}
