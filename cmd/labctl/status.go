package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/schema"
)

// agentPatience is how long status waits for an agent that does not answer.
const agentPatience = 2 * time.Second

// state is what status shows of one machine.
type state struct {
	machine
	Power     string   `json:"power"` // "running" or "off"
	Agent     string   `json:"agent"` // "answers", "silent" or "-"
	Addresses []string `json:"addresses"`
	Memory    uint64   `json:"memory"` // bytes
	VCPUs     int      `json:"vcpus"`
}

func newStatus(o *options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status [DIR]",
		Short: "Show the lab's machines: power, agent, addresses",
		Long: `Shows the machines of the lab in DIR (default: the current folder) as they are: whether they run, whether their guest
agents answer, and the addresses that they really have. In a folder with no lab it shows those of all labs.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := openHosts(cmd, o, folder(args), false)
			if err != nil {
				return err
			}
			defer s.close()
			states, err := s.states(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				encoder := json.NewEncoder(s.stdout)
				encoder.SetIndent("", "  ")
				return encoder.Encode(states)
			}
			return s.showStates(states)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

// states looks at all machines side by side.
func (s *session) states(ctx context.Context) ([]state, error) {
	states := []state{}
	var carriers []*carrier
	for _, h := range s.hosts {
		objects, err := h.domains.List(ctx)
		if err != nil {
			return nil, s.tell(err)
		}
		for _, o := range objects {
			domain, ok := o.Body.(*schema.Domain)
			if !ok || o.Mark.Lab == "" || s.lab.Name != "" && o.Mark.Lab != s.lab.Name {
				continue
			}
			st := state{
				machine: machine{Lab: o.Mark.Lab, Addr: o.Mark.Addr.Whole(), Domain: o.ID, Host: h.host.Name},
				Power:   "off", Agent: "-", Addresses: []string{}, Memory: domain.Memory, VCPUs: domain.VCPUs,
			}
			if domain.Running {
				st.Power = "running"
			}
			states, carriers = append(states, st), append(carriers, h)
		}
	}
	var wait sync.WaitGroup
	for n := range states {
		if states[n].Power == "running" {
			wait.Go(func() { states[n].ask(ctx, carriers[n]) })
		}
	}
	wait.Wait()
	slices.SortFunc(states, func(a, b state) int {
		return strings.Compare(a.Lab+"\x00"+a.Addr.String(), b.Lab+"\x00"+b.Addr.String())
	})
	return states, nil
}

func (st *state) ask(ctx context.Context, h *carrier) {
	ctx, cancel := context.WithTimeout(ctx, agentPatience)
	defer cancel()
	st.Agent = "silent"
	links, err := h.links(ctx, st.Domain)
	if err != nil {
		return
	}
	st.Agent = "answers"
	st.Addresses = append(st.Addresses, addressesOf(links)...)
}

func (s *session) showStates(states []state) error {
	if len(states) == 0 {
		if s.lab.Name != "" {
			s.note("Lab %s has no machines here.\n", s.lab.Name)
			return nil
		}
		s.note("No lab has machines here.\n")
		return nil
	}
	table := tabwriter.NewWriter(s.stdout, 0, 8, 2, ' ', 0)
	if s.lab.Name == "" {
		fmt.Fprint(table, "LAB\t")
	}
	fmt.Fprintln(table, "MACHINE\tDOMAIN\tPOWER\tAGENT\tADDRESSES")
	for _, st := range states {
		if s.lab.Name == "" {
			fmt.Fprintf(table, "%s\t", st.Lab)
		}
		addresses := strings.Join(st.Addresses, " ")
		if addresses == "" {
			addresses = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", st.Addr, st.Domain, st.Power, st.Agent, addresses)
	}
	return table.Flush()
}
