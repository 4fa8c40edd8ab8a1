package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/labctl/labctl/schema"
)

// OpenHosts reaches the hosts of the lab in dir, or this machine's libvirt where dir holds none: what labs have made is
// found by its marks, with no files. The lab's name is "" then.
func OpenHosts(o *Options, stdout, stderr io.Writer, dir string) (*Session, error) {
	s := New(o, stdout, stderr, false)
	if err := s.loadQuietly(dir); err != nil {
		s.Lab = &schema.Lab{Hosts: []schema.Host{{URI: DefaultURI}}}
	}
	return s, s.Reach()
}

// Machines lists the machines of all labs on the session's hosts.
func (s *Session) Machines(ctx context.Context) ([]Machine, error) {
	var list []Machine
	for _, h := range s.Hosts {
		objects, err := h.domains.List(ctx)
		if err != nil {
			return nil, s.Tell(err)
		}
		for _, o := range objects {
			if o.Mark.Lab != "" {
				domain, ok := o.Body.(*schema.Domain)
				list = append(list, Machine{
					Lab: o.Mark.Lab, Addr: o.Mark.Addr.Whole(), Domain: o.ID, Host: h.host.Name, off: ok && !domain.Running,
				})
			}
		}
	}
	return list, nil
}

// Machine finds the running one that the user names, and its host.
func (s *Session) Machine(ctx context.Context, name string) (Machine, *Carrier, error) {
	all, err := s.Machines(ctx)
	if err != nil {
		return Machine{}, nil, err
	}
	m, err := Find(all, s.Lab.Name, name)
	if err != nil {
		return Machine{}, nil, err
	}
	h, err := s.Host(m.Host)
	if err != nil || !m.off {
		return m, h, err
	}
	if is, err := h.Conn.State(m.Domain); err == nil && is != "off" {
		return Machine{}, nil, fmt.Errorf("%s (%s) is %s: 'labctl start %s' lets it go on", m.Addr, m.Domain, is, m.Domain)
	}
	return Machine{}, nil, fmt.Errorf("%s (%s) is off: 'labctl apply' starts it", m.Addr, m.Domain)
}

// Link is an interface as the guest agent tells of it.
type Link struct {
	Name      string `json:"name"`
	MAC       string `json:"hardware-address"`
	Addresses []struct {
		Type   string `json:"ip-address-type"`
		IP     string `json:"ip-address"`
		Prefix int    `json:"prefix"`
	} `json:"ip-addresses"`
}

// Links asks the agent in a machine for its interfaces.
func (c *Carrier) Links(ctx context.Context, domain string) ([]Link, error) {
	text, err := c.Conn.AgentCommand(ctx, domain, []byte(`{"execute":"guest-network-get-interfaces"}`))
	if err != nil {
		return nil, err
	}
	var answer struct {
		Return []Link `json:"return"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, fmt.Errorf("agent of %s: %w", domain, err)
	}
	return answer.Return, nil
}

// AddressesOf lists the addresses of a running machine: those that it has, as its agent tells, or where no agent answers
// within two seconds those that libvirt's networks have leased to it.
func (c *Carrier) AddressesOf(ctx context.Context, domain string) ([]string, error) {
	asking, cancel := context.WithTimeout(ctx, agentPatience)
	defer cancel()
	links, silent := c.Links(asking, domain)
	if silent == nil {
		return Addresses(links), nil
	}
	outside, err := c.Conn.Outside(ctx, domain)
	if err != nil || len(outside.Leases) == 0 {
		return nil, errors.Join(silent, err)
	}
	return outside.Leases, nil
}

// Addresses lists the addresses by which others may reach the machine, IPv4 first, with prefix lengths.
func Addresses(links []Link) []string {
	var v4, v6 []string
	for _, l := range links {
		for _, a := range l.Addresses {
			text := fmt.Sprintf("%s/%d", a.IP, a.Prefix)
			switch {
			case l.Name == "lo" || strings.HasPrefix(a.IP, "fe80:"):
			case a.Type == "ipv4":
				v4 = append(v4, text)
			default:
				v6 = append(v6, text)
			}
		}
	}
	return append(v4, v6...)
}
