package argv

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// ExplainUsage makes the word on too few or too many arguments labctl's own, for root and every command below it: it names
// what is missing or too much, and shows how the command is used.
func ExplainUsage(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		cmd.SuggestionsMinimumDistance = root.SuggestionsMinimumDistance
		ExplainUsage(cmd)
	}
	if root.HasParent() && root.HasSubCommands() && !root.Runnable() { // which cobra leaves to itself, whatever follows
		root.Args = cobra.NoArgs
		root.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	check := root.Args
	if check == nil || !root.HasParent() {
		return
	}
	root.Args = func(cmd *cobra.Command, args []string) error {
		err := check(cmd, args)
		if err == nil {
			return nil
		}
		names := argumentNames(cmd.Use)
		h := help{cmd: cmd}
		switch {
		case len(args) < len(names):
			err = fmt.Errorf("%s is missing", strings.Join(names[len(args):], " and "))
		case len(args) > 0 && cmd.HasAvailableSubCommands():
			err = fmt.Errorf("there is no command %q", cmd.CommandPath()+" "+args[0])
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				err = fmt.Errorf("%w; did you mean %s?", err, strings.Join(near, " or "))
			}
		case len(args) > 0:
			err = fmt.Errorf("%q is one argument too many", args[len(args)-1])
		}
		return fmt.Errorf("%w\nUsage: %s\nRun '%s -help' for more", err, h.usage(), cmd.CommandPath())
	}
}

// argumentNames is the arguments that the usage of a command demands, in their order.
func argumentNames(use string) (names []string) {
	for _, word := range strings.Fields(use)[1:] {
		if !strings.ContainsAny(word, "[]") {
			names = append(names, word)
		}
	}
	return names
}
