package session

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/labctl/labctl/schema"
)

// agentPatience is how long status waits for an agent that does not answer.
const agentPatience = 2 * time.Second

// State is one machine.
type State struct {
	Machine
	Power     string   `json:"power"`              // "running", "off", "paused", or what else libvirt says
	Agent     string   `json:"agent"`              // "answers", "silent" or "-"
	Addresses []string `json:"addresses"`          // as the agent tells, or where it is silent those that libvirt's networks have leased
	Screens   []string `json:"graphics,omitempty"` // where its screens are: vnc://127.0.0.1:5900
	Memory    uint64   `json:"memory"`             // bytes
	VCPUs     int      `json:"vcpus"`
}

// States looks at all machines side by side.
func (s *Session) States(ctx context.Context) ([]State, error) {
	states := []State{}
	var carriers []*Carrier
	for _, h := range s.Hosts {
		objects, err := h.domains.List(ctx)
		if err != nil {
			return nil, s.Tell(err)
		}
		for _, o := range objects {
			domain, ok := o.Body.(*schema.Domain)
			if !ok || o.Mark.Lab == "" || s.Lab.Name != "" && o.Mark.Lab != s.Lab.Name {
				continue
			}
			st := State{
				Machine: Machine{Lab: o.Mark.Lab, Addr: o.Mark.Addr.Whole(), Domain: o.ID, Host: h.host.Name},
				Power:   "off", Agent: "-", Addresses: []string{}, Memory: domain.Memory, VCPUs: domain.VCPUs,
			}
			if domain.Running {
				st.Power = "running"
			} else if is, err := h.Conn.State(o.ID); err == nil { // paused, for one
				st.Power = is
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
	slices.SortFunc(states, func(a, b State) int {
		return strings.Compare(a.Lab+"\x00"+a.Addr.String(), b.Lab+"\x00"+b.Addr.String())
	})
	return states, nil
}

func (st *State) ask(ctx context.Context, h *Carrier) {
	outside, _ := h.Conn.Outside(ctx, st.Domain) // a machine that went meanwhile has neither leases nor screens
	st.Screens = outside.Screens
	ctx, cancel := context.WithTimeout(ctx, agentPatience)
	defer cancel()
	st.Agent = "silent"
	links, err := h.Links(ctx, st.Domain)
	if err != nil {
		st.Addresses = append(st.Addresses, outside.Leases...)
		return
	}
	st.Agent = "answers"
	st.Addresses = append(st.Addresses, Addresses(links)...)
}
