package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/session"
	"github.com/labctl/labctl/schema"
)

// entry is one thing on a host.
type entry struct {
	Lab     string      `json:"lab,omitempty"`
	Addr    schema.Addr `json:"address,omitzero"`
	Type    string      `json:"type"`
	ID      string      `json:"id"`
	Host    string      `json:"host,omitempty"`
	Managed bool        `json:"managed"`
}

func newList(o *options) *cobra.Command {
	var asJSON, unmanaged, all bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the labs on this host",
		Long: `Lists the labs of which something is on this host, known by the marks on what they made; no files are needed. With -all
it lists each thing, and with -unmanaged the things that no lab has made.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := openHosts(cmd, o, ".")
			if err != nil {
				return err
			}
			defer s.Close()
			listed, err := s.Engine.List(cmd.Context())
			if err != nil {
				return s.Tell(err)
			}
			entries := []entry{}
			for _, l := range listed {
				e := entry{Lab: l.Object.Mark.Lab, Addr: l.Object.Mark.Addr, ID: l.Object.ID, Host: l.Host, Managed: l.Object.Mark.Lab != ""}
				e.Type = e.Addr.Type()
				if !e.Managed {
					e.Type = l.Types[0]
				}
				if e.Managed != unmanaged {
					entries = append(entries, e)
				}
			}
			slices.SortStableFunc(entries, func(a, b entry) int {
				return strings.Compare(a.Lab+"\x00"+a.Addr.String()+"\x00"+a.ID, b.Lab+"\x00"+b.Addr.String()+"\x00"+b.ID)
			})
			if asJSON {
				encoder := json.NewEncoder(s.Stdout)
				encoder.SetIndent("", "  ")
				return encoder.Encode(entries)
			}
			return showEntries(s, entries, all, unmanaged)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "list each thing and not just the labs")
	cmd.Flags().BoolVar(&unmanaged, "unmanaged", false, "list what no lab has made")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

func showEntries(s *session.Session, entries []entry, all, unmanaged bool) error {
	table := tabwriter.NewWriter(s.Stdout, 0, 8, 2, ' ', 0)
	switch {
	case len(entries) == 0:
		s.Note("Nothing here was made by a lab.\n")
		return nil
	case unmanaged:
		fmt.Fprintln(table, "TYPE\tNAME")
		for _, e := range entries {
			fmt.Fprintf(table, "%s\t%s\n", e.Type, e.ID)
		}
	case all:
		fmt.Fprintln(table, "LAB\tADDRESS\tNAME")
		for _, e := range entries {
			fmt.Fprintf(table, "%s\t%s\t%s\n", e.Lab, e.Addr, e.ID)
		}
	default:
		fmt.Fprintln(table, "LAB\tHAS")
		for _, group := range byLab(entries) {
			fmt.Fprintf(table, "%s\t%s\n", group[0].Lab, counts(group))
		}
	}
	return table.Flush()
}

func byLab(entries []entry) (groups [][]entry) {
	for _, e := range entries {
		if n := len(groups); n > 0 && groups[n-1][0].Lab == e.Lab {
			groups[n-1] = append(groups[n-1], e)
			continue
		}
		groups = append(groups, []entry{e})
	}
	return groups
}

// counts says how many things of each type there are: 2 bridge, 4 vm.
func counts(group []entry) string {
	numbers := map[string]int{}
	for _, e := range group {
		numbers[e.Type]++
	}
	var parts []string
	for typ, n := range numbers {
		parts = append(parts, fmt.Sprintf("%d %s", n, typ))
	}
	slices.SortFunc(parts, func(a, b string) int { return strings.Compare(a[strings.Index(a, " "):], b[strings.Index(b, " "):]) })
	return strings.Join(parts, ", ")
}
