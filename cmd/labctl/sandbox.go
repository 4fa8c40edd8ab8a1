package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/argv"
	"github.com/labctl/labctl/internal/sandbox"
	"github.com/labctl/labctl/internal/session"
)

func newSandbox() *cobra.Command {
	var timings bool
	cmd := &cobra.Command{
		Use:   "sandbox [flags] [-- COMMAND [ARG...]]",
		Short: "Run a shell or a command on a throwaway lab host",
		Long: `Runs a shell, or COMMAND, on a throwaway lab host: its own network, mounts and processes, with a
systemd-networkd, a libvirtd and nftables of its own. When it ends, everything in it is gone, and this
machine is as it was. It needs root.

The exit code is the command's own; 125 if the host could not be made, 126 and 127 if the command could
not be run or found.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			greeting := ""
			if len(args) == 0 {
				args, greeting = []string{shell()}, "This shell is on a throwaway lab host. Leave it, and the host is gone."
			}
			code, err := sandbox.Run(sandbox.Options{Args: args, Greeting: greeting, Timings: timings})
			if err != nil {
				err = fmt.Errorf("sandbox: %w", err)
			}
			if code == 0 && err == nil {
				return nil
			}
			return session.ExitError{Code: code, Err: err}
		},
	}
	cmd.Flags().BoolVar(&timings, "timings", os.Getenv("LABCTL_SANDBOX_TIMINGS") != "", "tell where the time of its start goes")
	argv.EndFlagsAtCommand(cmd)
	return cmd
}

func shell() string {
	if s := os.Getenv("SHELL"); s != "" {
		return s
	}
	return "/bin/sh"
}
