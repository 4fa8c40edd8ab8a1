package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/argv"
	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/internal/session"
)

func newExec(o *options) *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "exec [flags] VM [--] COMMAND [ARG...]",
		Short: "Run a command in a machine",
		Long: `Runs a command in a machine of a lab, through its guest agent and with no network, and shows what it printed when
it has ended. What comes on standard input is passed on where that is no terminal. The exit code is the command's.

VM is an address (vm.nat["a"], nat.a) or a domain's name. No shell is between: for pipes, run sh -c '…'.`,
		Args: cobra.MinimumNArgs(2),

		ValidArgsFunction: firstMachine(o),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := cmd.Context(), context.CancelFunc(func() {})
			if timeout > 0 {
				ctx, cancel = context.WithTimeout(ctx, timeout)
			}
			defer cancel()
			if args[1] == "--" && len(args) > 2 { // after VM, where cobra leaves it
				args = append(args[:1], args[2:]...)
			}
			return execute(ctx, cmd, o, args[0], args[1:])
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "give up after this time (default: never)")
	argv.EndFlagsAtCommand(cmd)
	return cmd
}

func execute(ctx context.Context, cmd *cobra.Command, o *options, name string, args []string) error {
	s, err := openHosts(cmd, o, ".")
	if err != nil {
		return err
	}
	defer s.Close()
	m, h, err := s.Machine(ctx, name)
	if err != nil {
		return err
	}
	var input []byte
	if in := cmd.InOrStdin(); !session.IsTerminal(in) {
		if input, err = io.ReadAll(in); err != nil {
			return err
		}
	}
	out, err := h.Guest(m.Domain).Run(ctx, host.Command{Args: args, Stdin: input})
	_, writeErr := session.Bare(s.Stdout).Write(out.Stdout) // what a command writes may be no text
	_, writeErr2 := session.Bare(s.Stderr).Write(out.Stderr)
	if failed, ok := errors.AsType[*host.CommandError](err); ok && failed.Exit >= 0 {
		return session.ExitError{Code: failed.Exit}
	}
	if err != nil {
		return s.Tell(err)
	}
	return errors.Join(writeErr, writeErr2)
}

func newIP(o *options) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "ip VM",
		Short: "Print a machine's address",
		Long: `Prints the first address that a machine has, or all of them with -all, as its guest agent tells: what it really has,
not what is declared. Where no agent answers, it prints those that libvirt's networks have leased to the machine.`,
		Args: cobra.ExactArgs(1),

		ValidArgsFunction: firstMachine(o),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := openHosts(cmd, o, ".")
			if err != nil {
				return err
			}
			defer s.Close()
			m, h, err := s.Machine(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			addresses, err := h.AddressesOf(cmd.Context(), m.Domain)
			if err != nil {
				return s.Tell(err)
			}
			switch {
			case len(addresses) == 0:
				return fmt.Errorf("%s has no address", m.Addr)
			case !all:
				addresses = addresses[:1]
			}
			for _, a := range addresses {
				bare, _, _ := strings.Cut(a, "/")
				fmt.Fprintln(s.Stdout, bare)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "print all addresses, one a line")
	return cmd
}
