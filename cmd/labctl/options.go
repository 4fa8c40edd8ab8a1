package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// dataRoot is where labctl keeps images and the files of labs.
const dataRoot = "/var/lib/labctl"

// options are the flags that every command has.
type options struct {
	chdir       string
	noColor     bool
	parallel    int
	vars        []string
	varFiles    []string
	lockTimeout time.Duration
	connect     string
}

func (o *options) register(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.StringVar(&o.chdir, "chdir", "", "work in this folder, as if labctl had been started there")
	flags.BoolVar(&o.noColor, "no-color", false, "write no colours (also with NO_COLOR set, and where the output is no terminal)")
	flags.IntVar(&o.parallel, "parallelism", 0, "do at most so many operations at once (default 16)")
	flags.StringArrayVar(&o.vars, "var", nil, "set a variable: -var 'name=value'; may be repeated")
	flags.StringArrayVar(&o.varFiles, "var-file", nil, "set variables from a file; may be repeated")
	flags.DurationVar(&o.lockTimeout, "lock-timeout", 0, "wait so long for another labctl that works on the same lab")
	flags.StringVar(&o.connect, "connect", "", "libvirt URI of the unlabelled host, instead of what the lab says")
}

// enter changes to the folder of -chdir.
func (o *options) enter() error {
	if o.chdir == "" {
		return nil
	}
	if err := os.Chdir(o.chdir); err != nil {
		return fmt.Errorf("-chdir: %w", err)
	}
	return nil
}

// color reports whether w is a terminal that may be written to in colours (https://no-color.org).
func (o *options) color(w io.Writer) bool {
	return !o.noColor && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(w)
}

func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// width is how many columns w has; 80 where it is no terminal.
func width(w io.Writer) int {
	if file, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(file.Fd())); err == nil && columns > 0 {
			return columns
		}
	}
	return 80
}

// folder is the DIR argument of a command; the current folder without one.
func folder(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return "."
}
