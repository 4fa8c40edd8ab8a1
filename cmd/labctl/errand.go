package main

import (
	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/argv"
	"github.com/labctl/labctl/internal/courier"
	"github.com/labctl/labctl/internal/session"
)

// begin makes ready for a command: one that another machine has sent gets what came with it, any other the folder of -chdir,
// and the words by which another machine would be told of it.
func begin(cmd *cobra.Command, args []string, o *options) error {
	inbox, err := courier.Open()
	if err != nil {
		return err
	}
	if inbox != nil {
		return o.Receive(inbox)
	}
	o.Errand = errand(cmd, args)
	return enter(o)
}

// errand is a command for the host of its lab. What is evaluated here, variables above all, stays here: arguments are seen by
// everybody there.
func errand(cmd *cobra.Command, args []string) session.Errand {
	e := session.Errand{Args: argv.Words(cmd, args, "var", "var-file", "chdir", "ssh")}
	switch cmd.Name() {
	case "exec":
		e.Input = !session.IsTerminal(cmd.InOrStdin())
	case "console":
		e.Input, e.Raw = true, true
	case "apply", "destroy", "test": // they ask, but nobody who is not there
		e.Input = session.IsTerminal(cmd.InOrStdin())
	}
	for _, name := range []string{"out", "junit", "svg", "html", "write"} {
		if flag := cmd.Flags().Lookup(name); flag != nil && flag.Changed {
			e.Writable = append(e.Writable, flag.Value.String())
		}
	}
	if cmd.Name() == "apply" {
		e.Writable = append(e.Writable, args...) // a saved plan, which is marked as used
	}
	return e
}
