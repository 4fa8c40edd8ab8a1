package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/session"
)

func newStatus(o *options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status [DIR]",
		Short: "Show the lab's machines: power, agent, addresses",
		Long: `Shows the machines of the lab in DIR (default: the current folder) as they are: whether they run, whether their guest
agents answer, and the addresses that they really have. In a folder with no lab it shows those of all labs.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := openHosts(cmd, o, folder(args))
			if err != nil {
				return err
			}
			defer s.Close()
			states, err := s.States(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				encoder := json.NewEncoder(s.Stdout)
				encoder.SetIndent("", "  ")
				return encoder.Encode(states)
			}
			return showStates(s, states)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

func showStates(s *session.Session, states []session.State) error {
	if len(states) == 0 {
		if s.Lab.Name != "" {
			s.Note("Lab %s has no machines here.\n", s.Lab.Name)
			return nil
		}
		s.Note("No lab has machines here.\n")
		return nil
	}
	table := tabwriter.NewWriter(s.Stdout, 0, 8, 2, ' ', 0)
	if s.Lab.Name == "" {
		fmt.Fprint(table, "LAB\t")
	}
	screens := slices.ContainsFunc(states, func(st session.State) bool { return len(st.Screens) > 0 })
	fmt.Fprint(table, "MACHINE\tDOMAIN\tPOWER\tAGENT\tADDRESSES")
	if screens {
		fmt.Fprint(table, "\tGRAPHICS")
	}
	fmt.Fprintln(table)
	for _, st := range states {
		if s.Lab.Name == "" {
			fmt.Fprintf(table, "%s\t", st.Lab)
		}
		addresses := strings.Join(st.Addresses, " ")
		if addresses == "" {
			addresses = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s", st.Addr, st.Domain, st.Power, st.Agent, addresses)
		if len(st.Screens) > 0 {
			fmt.Fprint(table, "\t", strings.Join(st.Screens, " "))
		}
		fmt.Fprintln(table)
	}
	return table.Flush()
}
