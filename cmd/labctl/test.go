package main

import (
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/probe"
	"github.com/labctl/labctl/internal/session"
	"github.com/labctl/labctl/schema"
)

func newTest(o *options) *cobra.Command {
	var asJSON bool
	var pattern string
	cmd := &cobra.Command{
		Use:   "test [DIR]",
		Short: "Run the lab's checks",
		Long: `Runs the check blocks of the lab in DIR (default: the current folder) from inside its machines, side by side where
they do not disturb each other. A check that fails says what was found on the way. The exit code is 1 where one fails.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			match, err := regexp.Compile(pattern)
			if err != nil {
				return fmt.Errorf("-run: %w", err)
			}
			s, err := openLab(cmd, o, folder(args), false)
			if err != nil {
				return err
			}
			defer s.Close()
			return runChecks(s, cmd, match, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write the results as JSON, one object a line")
	cmd.Flags().StringVar(&pattern, "run", "", "run just the checks whose address matches this regular expression")
	return cmd
}

// runChecks runs the checks whose address matches; nil is all.
func runChecks(s *session.Session, cmd *cobra.Command, match *regexp.Regexp, asJSON bool) error {
	var checks []schema.Check
	for _, c := range s.Lab.Checks {
		if match == nil || match.MatchString(c.Addr.String()) {
			checks = append(checks, c)
		}
	}
	style := probe.Style{Color: s.Options.Color(s.Stdout)}
	if session.IsTerminal(s.Stdout) {
		style.Width = session.Width(s.Stdout)
	}
	encoder := json.NewEncoder(s.Stdout)
	results := probe.Run(cmd.Context(), s.Lab, s.Guests(), checks, probe.Options{
		Parallel: s.Options.Parallel,
		Done: func(r probe.Result) {
			if asJSON {
				_ = encoder.Encode(r) // a reader that has gone away misses the rest
				return
			}
			style.Write(s.Stdout, r)
		},
	})
	if !asJSON {
		if len(results) > 0 {
			fmt.Fprintln(s.Stdout)
		}
		fmt.Fprintln(s.Stdout, probe.Summary(results))
	}
	if probe.Failed(results) {
		return session.ExitError{Code: exitError}
	}
	return nil
}
