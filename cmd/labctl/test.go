package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/probe"
	"github.com/labctl/labctl/internal/session"
	"github.com/labctl/labctl/schema"
)

// checking is the flags of test.
type checking struct {
	json, autoApprove bool
	pattern, junit    string
	grid              []string
	svg, html         string
}

func newTest(o *options) *cobra.Command {
	t := &checking{}
	cmd := &cobra.Command{
		Use:   "test [DIR]",
		Short: "Run the lab's checks",
		Long: `Runs the check blocks of the lab in DIR (default: the current folder) from inside its machines, side by side where
they do not disturb each other. A check that fails is run once more while the machines on the way watch, and says which way
the packets go, which rules met them, which counters rose, which connections are tracked, and what would let it pass.
The exit code is 1 where one fails.

With -grid the lab is changed while it runs: it is applied and checked with each value of a variable, or of two, and what
the checks show is put into a table.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			match, err := regexp.Compile(t.pattern)
			if err != nil {
				return fmt.Errorf("-run: %w", err)
			}
			if len(t.grid) > 0 {
				return t.runGrid(cmd, o, folder(args), match)
			}
			if t.svg != "" || t.html != "" {
				return errors.New("-svg and -html draw a grid: say which with -grid")
			}
			s, err := openLab(cmd, o, folder(args), false)
			if err != nil {
				return err
			}
			defer s.Close()
			if err := raised(cmd.Context(), s); err != nil {
				return err
			}
			return t.runChecks(s, cmd, match)
		},
	}
	cmd.Flags().BoolVar(&t.json, "json", false, "write the results as JSON, one object a line")
	cmd.Flags().StringVar(&t.junit, "junit", "", "also write a JUnit report to this `FILE`")
	cmd.Flags().StringVar(&t.pattern, "run", "", "run just the checks whose address matches this `REGEX`")
	cmd.Flags().StringArrayVar(&t.grid, "grid", nil, "check with each value of a variable: `'VARIABLE=LIST'`; the first is the rows, a second the columns")
	cmd.Flags().StringVar(&t.svg, "svg", "", "draw the grid into this `FILE`")
	cmd.Flags().StringVar(&t.html, "html", "", "write the grid as a page into this `FILE`")
	cmd.Flags().BoolVar(&t.autoApprove, "auto-approve", false, "do not ask before -grid changes the lab")
	return cmd
}

// raised says so where there is nothing yet that could be checked.
func raised(ctx context.Context, s *session.Session) error {
	wants := slices.ContainsFunc(s.Lab.Resources, func(r schema.Resource) bool { return r.Addr.Kind == "vm" })
	if !wants || len(s.Lab.Checks) == 0 {
		return nil
	}
	there, err := s.Machines(ctx)
	if err != nil || slices.ContainsFunc(there, func(m session.Machine) bool { return m.Lab == s.Lab.Name }) {
		return err
	}
	return fmt.Errorf("lab %q has no machines here yet: 'labctl apply -test' makes them and runs the checks", s.Lab.Name)
}

// runChecks runs the checks whose address matches; nil is all.
func (t *checking) runChecks(s *session.Session, cmd *cobra.Command, match *regexp.Regexp) error {
	began := time.Now()
	style := probe.Style{Color: s.Options.Color(s.Stdout)}
	if session.IsTerminal(s.Stdout) {
		style.Width = session.Width(s.Stdout)
	}
	encoder := json.NewEncoder(s.Stdout)
	results := probe.Run(cmd.Context(), s.Lab, s.Guests(), selected(s, match), probe.Options{
		Parallel: s.Options.Parallel,
		Done: func(r probe.Result) {
			s.HideIn(&r)
			if t.json {
				_ = encoder.Encode(r) // a reader that has gone away misses the rest
				return
			}
			style.Write(s.Stdout, r)
		},
	})
	for n := range results {
		s.HideIn(&results[n])
	}
	if !t.json {
		if len(results) > 0 {
			fmt.Fprintln(s.Stdout)
		}
		fmt.Fprintln(s.Stdout, probe.Summary(results))
	}
	if t.junit != "" {
		err := writeFile(s.Options, t.junit, func(w io.Writer) error { return probe.JUnit(w, s.Lab.Name, began, results) })
		if err != nil {
			return fmt.Errorf("-junit: %w", err)
		}
	}
	if probe.Failed(results) {
		return session.ExitError{Code: exitError}
	}
	return nil
}

// writeFile makes a file of what write writes.
func writeFile(o *options, path string, write func(io.Writer) error) error {
	file, err := o.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}

// selected are the checks whose address matches; nil is all.
func selected(s *session.Session, match *regexp.Regexp) (checks []schema.Check) {
	for _, c := range s.Lab.Checks {
		if match == nil || match.MatchString(c.Addr.String()) {
			checks = append(checks, c)
		}
	}
	return checks
}
