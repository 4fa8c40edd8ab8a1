package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/argv"
)

func newRoot() *cobra.Command {
	o := &options{Version: versionText()}
	root := &cobra.Command{
		Use:   "labctl",
		Short: "Virtual network labs as code: bridges, machines, NAT and firewalls from HCL",
		Long: `labctl makes the virtual network labs that HCL files describe: bridges through netplan, machines through
libvirt, and the addresses, routes, NAT and firewalls inside them. It keeps no state file: the live systems
are the state, and a plan is the difference between them and the files.

Exit codes: 0 for success, 1 for an error, 2 for 'plan -detailed-exitcode' with changes to make. 'exec' and
'sandbox' give the exit code of the command that they run. Flags take one dash or two.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, args []string) error {
			return begin(cmd, args, o)
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = false
	root.SetFlagErrorFunc(argv.FlagError)
	root.SuggestionsMinimumDistance = 2
	register(o, root)
	group(root, "Make a lab real", newPlan(o), newApply(o), newDestroy(o), newShow(o))
	group(root, "Write a lab", newValidate(o), newFmt(o), newEval(o), newOutput(o), newGraph(o), newExplain(), newLSP(o), newSchema(), newDocs())
	group(root, "Live in a lab", newStatus(o), newTest(o), newExec(o), newConsole(o), newIP(o), newStart(o), newStop(o), newRestart(o), newSnapshot(o))
	group(root, "See what goes on", newRules(o), newFlows(o), newCapture(o))
	group(root, "The host", newList(o), newDoctor(o), newImage(o), newSandbox())
	root.AddCommand(newVersion())
	explainCommands(root)
	veilErrors(o, root)
	offerAll(o, root)
	return root
}

// veilErrors lets no command fail with a secret in its words: those of a tool may quote what it was given.
func veilErrors(o *options, cmd *cobra.Command) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error { return o.Veil(run(cmd, args)) }
	}
	for _, sub := range cmd.Commands() {
		veilErrors(o, sub)
	}
}

// commandError makes cobra's word on an unknown command labctl's own.
func commandError(root *cobra.Command, err error) error {
	name, ok := strings.CutPrefix(err.Error(), "unknown command ")
	if !ok {
		return err
	}
	name, _, _ = strings.Cut(strings.TrimPrefix(name, `"`), `"`)
	if near := root.SuggestionsFor(name); len(near) > 0 {
		return fmt.Errorf("there is no command %q; did you mean %s?", name, strings.Join(near, " or "))
	}
	return fmt.Errorf("there is no command %q\nRun 'labctl -help' for the commands", name)
}
