package main

import (
	"github.com/spf13/cobra"
)

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "labctl",
		Short:         "Virtual network labs as code: bridges, machines, NAT and firewalls from HCL",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(newSandbox(), newVersion())
	return root
}
