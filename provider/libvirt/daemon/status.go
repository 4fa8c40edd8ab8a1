package daemon

import (
	"context"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/domainxml"
)

// Status is how one domain is now.
type Status struct {
	Name      string        `json:"name"`
	Mark      provider.Mark `json:"mark,omitzero"`
	State     string        `json:"state"`  // "running", "paused", "off", "crashed", "shutting down", "suspended"
	Agent     bool          `json:"agent"`  // whether the guest has opened its agent's port
	Memory    uint64        `json:"memory"` // bytes
	VCPUs     int           `json:"vcpus"`
	Autostart bool          `json:"autostart"`
	Virt      string        `json:"virt"`     // "kvm" or "qemu"
	CPUTime   uint64        `json:"cpu_time"` // nanoseconds
	Cards     []Card        `json:"interfaces"`
	Screens   []string      `json:"graphics,omitempty"` // addresses to connect to: "vnc://127.0.0.1:5900"
}

// Card is one network card of a running domain.
type Card struct {
	Name   string `json:"name,omitempty"` // of the interface in the lab
	MAC    string `json:"mac"`
	Tap    string `json:"tap,omitempty"` // the host's end
	Source string `json:"source"`        // bridge or network
}

// Status tells how each domain of the lab is, those of all labs and of nobody where lab is "".
func (c *Conn) Status(ctx context.Context, lab string) ([]Status, error) {
	var out []Status
	err := c.Use(func(link *libvirt.Connect) error {
		out = nil
		domains, err := link.ListAllDomains(0)
		if err != nil {
			return err
		}
		defer func() {
			for i := range domains {
				_ = domains[i].Free()
			}
		}()
		for i := range domains {
			if err := ctx.Err(); err != nil {
				return err
			}
			s, err := statusOf(&domains[i])
			if Is(err, libvirt.ERR_NO_DOMAIN) {
				continue
			}
			if err != nil {
				return err
			}
			if lab == "" || s.Mark.Lab == lab {
				out = append(out, s)
			}
		}
		return nil
	})
	return out, Failed("read the state of domains", err)
}

func statusOf(dom *libvirt.Domain) (Status, error) {
	text, err := dom.GetXMLDesc(0)
	if err != nil {
		return Status{}, err
	}
	x := new(libvirtxml.Domain)
	if err := x.Unmarshal(text); err != nil {
		return Status{}, err
	}
	s := Status{Name: x.Name, Virt: x.Type, Agent: agentState(x)}
	if x.Metadata != nil {
		meta, _, _, err := domainxml.ParseMeta(x.Metadata.XML)
		if err != nil {
			return Status{}, err
		}
		s.Mark = meta.Mark
	}
	info, err := dom.GetInfo()
	if err != nil {
		return Status{}, err
	}
	s.State, s.Memory, s.VCPUs, s.CPUTime = stateName(info.State), info.Memory<<10, int(info.NrVirtCpu), info.CpuTime
	if s.Autostart, err = dom.GetAutostart(); err != nil {
		return Status{}, err
	}
	if x.Devices == nil {
		return s, nil
	}
	for _, card := range x.Devices.Interfaces {
		nic := domainxml.ReadNIC(card, nil)
		row := Card{Name: nic.Name, MAC: nic.MAC, Source: nic.Bridge + nic.Network}
		if card.Target != nil {
			row.Tap = card.Target.Dev
		}
		s.Cards = append(s.Cards, row)
	}
	s.Screens = screens(x)
	return s, nil
}

// State is the state of one domain, as in Status.
func (c *Conn) State(domain string) (state string, err error) {
	err = c.Domain(ByName(domain), func(dom *libvirt.Domain) error {
		is, _, err := dom.GetState()
		state = stateName(is)
		return err
	})
	return state, Failed("read the state of "+domain, err)
}

func stateName(state libvirt.DomainState) string {
	switch state {
	case libvirt.DOMAIN_RUNNING, libvirt.DOMAIN_BLOCKED:
		return "running"
	case libvirt.DOMAIN_PAUSED:
		return "paused"
	case libvirt.DOMAIN_SHUTDOWN:
		return "shutting down"
	case libvirt.DOMAIN_SHUTOFF:
		return "off"
	case libvirt.DOMAIN_CRASHED:
		return "crashed"
	case libvirt.DOMAIN_PMSUSPENDED:
		return "suspended"
	}
	return "unknown"
}
