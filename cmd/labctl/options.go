package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/labctl/labctl/internal/session"
)

// options are the flags that every command has.
type options = session.Options

func register(o *options, root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.StringVar(&o.Chdir, "chdir", "", "work in the folder `DIR`, as if labctl had been started there")
	flags.BoolVar(&o.NoColor, "no-color", false, "write no colours (also with NO_COLOR set, and where the output is no terminal)")
	flags.IntVar(&o.Parallel, "parallelism", 0, "do at most so many operations at once (default 16)")
	flags.StringArrayVar(&o.Vars, "var", nil, "set a variable: `'NAME=VALUE'`; may be repeated")
	flags.StringArrayVar(&o.VarFiles, "var-file", nil, "set variables from this `FILE`; may be repeated")
	for name, note := range map[string]func(){
		"var": func() {
			for i := range o.VarsAfter {
				o.VarsAfter[i]++
			}
		},
		"var-file": func() { o.VarsAfter = append(o.VarsAfter, 0) },
	} {
		flag := flags.Lookup(name)
		flag.Value = noted{flag.Value, note}
	}
	flags.DurationVar(&o.LockTimeout, "lock-timeout", 0, "wait so long for another labctl that works on the same lab")
	flags.StringVar(&o.SSH, "ssh", "", "reach the unlabelled host at `USER@HOST`, instead of where the lab says")
	flags.StringVar(&o.Connect, "connect", "", "libvirt `URI` of the unlabelled host, instead of what the lab says")
}

// noted is a flag that tells when it is given: of -var and -var-file the order counts.
type noted struct {
	pflag.Value
	note func()
}

// Set implements pflag.Value.
func (n noted) Set(text string) error {
	err := n.Value.Set(text)
	if err == nil {
		n.note()
	}
	return err
}

// enter changes to the folder of -chdir.
func enter(o *options) error {
	if o.Chdir == "" {
		return nil
	}
	if err := os.Chdir(o.Chdir); err != nil {
		return fmt.Errorf("-chdir: %w", err)
	}
	return nil
}

// folder is the DIR argument of a command; the current folder without one.
func folder(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return "."
}

// openLab is a session on the lab in dir that tells its story where cmd writes.
func openLab(cmd *cobra.Command, o *options, dir string, json bool) (*session.Session, error) {
	return session.Open(o, cmd.OutOrStdout(), cmd.ErrOrStderr(), dir, json)
}

// openHosts is a session on the hosts of the lab in dir, if there is one.
func openHosts(cmd *cobra.Command, o *options, dir string) (*session.Session, error) {
	return session.OpenHosts(o, cmd.OutOrStdout(), cmd.ErrOrStderr(), dir)
}
