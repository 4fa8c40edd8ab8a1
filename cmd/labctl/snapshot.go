package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/session"
	"github.com/labctl/labctl/provider/libvirt/snapshot"
)

// snapshots is what the snapshot commands have in common.
type snapshots struct {
	o   *options
	lab string // of -lab
}

func newSnapshot(o *options) *cobra.Command {
	c := &snapshots{o: o}
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "Keep a whole lab as it is, and put it back",
		Long: `Keeps the memory and disks of all machines of a lab as they are at one moment, and puts them back within seconds: the
fast way to repeat an experiment. All machines are paused while it is done, so that none is ahead of another.

A snapshot is kept in the machines' own qcow2 disks and goes with them; bridges, networks and the host's rules are not in
it. After a restore a plan tells what has been declared since.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&c.lab, "lab", "", "the lab's `NAME`, where its files are not here")
	cmd.AddCommand(
		c.named("save", "Keep the lab under a name", "Saved", snapshot.Lab.Save),
		c.named("restore", "Put the lab back as it was", "Restored", snapshot.Lab.Restore),
		c.named("delete", "Remove a snapshot", "Deleted", func(l snapshot.Lab, ctx context.Context, name string) (snapshot.Snapshot, error) {
			return snapshot.Snapshot{Name: name}, l.Delete(ctx, name)
		}),
		c.list(),
	)
	return cmd
}

// open is the session and the snapshots of its lab.
func (c *snapshots) open(cmd *cobra.Command) (s *session.Session, lab snapshot.Lab, err error) {
	if c.lab != "" {
		s, err = session.OpenNamed(c.o, cmd.OutOrStdout(), cmd.ErrOrStderr(), c.lab, false)
	} else {
		s, err = openHosts(cmd, c.o, ".")
	}
	if err != nil {
		return nil, lab, err
	}
	if lab, err = s.Snapshots(); err != nil {
		s.Close()
		return nil, lab, err
	}
	return s, lab, nil
}

type snapshotDo func(l snapshot.Lab, ctx context.Context, name string) (snapshot.Snapshot, error)

// named is one of the commands that work on the snapshot of a name, with the lab locked.
func (c *snapshots) named(verb, short, done string, do snapshotDo) *cobra.Command {
	cmd := &cobra.Command{
		Use:   verb + " NAME",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, lab, err := c.open(cmd)
			if err != nil {
				return err
			}
			defer s.Close()
			release, err := s.Lock(cmd.Context(), "snapshot "+verb)
			if err != nil {
				return s.Tell(err)
			}
			defer release()
			defer unhurried(s)()
			began := time.Now()
			set, err := do(lab, cmd.Context(), args[0])
			if err != nil {
				return s.Tell(err)
			}
			took := time.Since(began).Round(10 * time.Millisecond)
			if set.Of > 0 {
				s.Note("%s %s of lab %s: %s in %s.\n", done, args[0], lab.Name, count(set.Of, "machine"), took)
				return nil
			}
			s.Note("%s %s of lab %s.\n", done, args[0], lab.Name)
			return nil
		},
	}
	if verb != "save" {
		cmd.ValidArgsFunction = c.offer
	}
	return cmd
}

// unhurried keeps a first interrupt from ending labctl while machines stand still for it, until done is called.
func unhurried(s *session.Session) (done func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		if _, ok := <-signals; ok {
			signal.Stop(signals)
			s.Warn("The machines go on within seconds, when this has ended.\nInterrupt again to stop now; they then stand still until 'labctl start'.\n")
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
	}
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// offer completes the names of snapshots.
func (c *snapshots) offer(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	const only = cobra.ShellCompDirectiveNoFileComp
	if len(args) > 0 {
		return nil, only
	}
	s, lab, err := c.open(cmd)
	if err != nil {
		return nil, only
	}
	defer s.Close()
	list, err := lab.List(cmd.Context())
	if err != nil {
		return nil, only
	}
	var names []string
	for _, set := range list {
		names = append(names, set.Name)
	}
	return names, only
}

func (c *snapshots) list() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the lab's snapshots",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, lab, err := c.open(cmd)
			if err != nil {
				return err
			}
			defer s.Close()
			list, err := lab.List(cmd.Context())
			if err != nil {
				return s.Tell(err)
			}
			if asJSON {
				encoder := json.NewEncoder(s.Stdout)
				encoder.SetIndent("", "  ")
				return encoder.Encode(list)
			}
			if len(list) == 0 {
				s.Note("Lab %s has no snapshots.\n", lab.Name)
				return nil
			}
			table := tabwriter.NewWriter(s.Stdout, 0, 8, 2, ' ', 0)
			fmt.Fprintln(table, "NAME\tTAKEN\tMACHINES")
			for _, set := range list {
				fmt.Fprintf(table, "%s\t%s\t%s\n", set.Name, set.Taken.Local().Format(time.DateTime), members(set))
			}
			return table.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

// members names a snapshot's machines, and how many are missing.
func members(set snapshot.Snapshot) string {
	var names []string
	for _, m := range set.Machines {
		name := m.Addr.String()
		if !m.Running {
			name += " (off)"
		}
		names = append(names, name)
	}
	text := strings.Join(names, ", ")
	if !set.Whole() {
		text += fmt.Sprintf(" (incomplete: %d more are gone)", set.Of-len(set.Machines))
	}
	return text
}
