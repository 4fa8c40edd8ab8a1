package daemon

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/domainxml"
)

const (
	agentSeconds  = 60 // an answer of the agent, where the caller has no deadline
	pingSeconds   = 5
	askAgain      = 200 * time.Millisecond
	consoleLines  = 15
	consoleWindow = 16 << 10 // bytes read from the end of a console's log
)

// AgentCommand sends one request to the guest agent of a running domain and returns its answer, both JSON. libvirt
// synchronises with the agent and sends one request after the other.
func (c *Conn) AgentCommand(ctx context.Context, domain string, request []byte) ([]byte, error) {
	seconds := agentSeconds
	if deadline, ok := ctx.Deadline(); ok {
		seconds = max(1, int(time.Until(deadline).Round(time.Second)/time.Second))
	}
	type answer struct {
		text string
		err  error
	}
	done := make(chan answer, 1) // libvirt cannot be interrupted: on cancellation the call runs out by itself
	go func() {
		var a answer
		a.err = c.Domain(ByName(domain), func(dom *libvirt.Domain) error {
			var err error
			a.text, err = dom.QemuAgentCommand(string(request), libvirt.DomainQemuAgentCommandTimeout(seconds), 0)
			return err
		})
		done <- a
	}()
	select {
	case a := <-done:
		if a.err != nil {
			return nil, agentError(domain, a.err)
		}
		return []byte(a.text), nil
	case <-ctx.Done():
		return nil, stopped(ctx, "agent of "+domain)
	}
}

// agentError says whether the agent, or the machine, cannot be reached, or the agent refused.
func agentError(domain string, err error) error {
	switch {
	case Is(err, libvirt.ERR_NO_DOMAIN):
		return &provider.Error{Op: "agent of " + domain, Err: errors.Join(provider.ErrUnreachable, errors.New("there is no such machine: 'labctl apply' makes it"))}
	case Is(err, libvirt.ERR_OPERATION_INVALID) && strings.HasSuffix(Message(err).Error(), "domain is not running"):
		return &provider.Error{Op: "agent of " + domain, Err: errors.Join(provider.ErrUnreachable, errors.New("the machine is off: 'labctl apply' starts it"))}
	case Is(err, libvirt.ERR_AGENT_UNRESPONSIVE, libvirt.ERR_OPERATION_INVALID,
		libvirt.ERR_AGENT_UNSYNCED, libvirt.ERR_OPERATION_TIMEOUT):
		return &provider.Error{Op: "agent of " + domain, Err: errors.Join(provider.ErrUnreachable, Message(err))}
	}
	return fmt.Errorf("agent of %s: %w", domain, Message(err))
}

// WaitAgent waits until the guest agent of a domain answers. It fails when the domain is not running, and when ctx ends;
// then the error carries the console's last lines.
func (c *Conn) WaitAgent(ctx context.Context, domain string) error {
	var uuid string
	err := c.Domain(ByName(domain), func(dom *libvirt.Domain) (err error) {
		uuid, err = dom.GetUUIDString()
		return err
	})
	if err != nil {
		return agentError(domain, err)
	}
	w := c.Watch(uuid)
	defer w.Stop()
	for last := "it has not opened its port yet"; ; {
		connected, err := c.agentConnected(uuid)
		if err != nil {
			return err
		}
		if connected {
			ping, cancel := context.WithTimeout(ctx, pingSeconds*time.Second)
			_, err := c.AgentCommand(ping, domain, []byte(`{"execute":"guest-ping"}`))
			cancel()
			if err == nil {
				return nil
			}
			last = err.Error()
		}
		select {
		case <-w.C:
		case <-again(connected): // its port is open but it did not answer: no event will tell when it does
		case <-ctx.Done():
			return &provider.Error{
				Op:     "wait for the agent of " + domain,
				Err:    fmt.Errorf("%w: %s", provider.ErrIncomplete, last),
				Detail: c.ConsoleTail(domain),
				Hint:   "look at its console: labctl console; a slow machine needs a longer timeouts { agent }",
			}
		}
	}
}

// again ticks once, soon, where there is reason to ask again, and otherwise never.
func again(reason bool) <-chan time.Time {
	if !reason {
		return nil
	}
	return time.After(askAgain)
}

// agentConnected reports whether the guest has opened the agent's port.
func (c *Conn) agentConnected(uuid string) (bool, error) {
	var text string
	err := c.Domain(ByUUID(uuid), func(dom *libvirt.Domain) (err error) {
		active, err := dom.IsActive()
		if err != nil {
			return err
		}
		if !active {
			return &provider.Error{Op: "wait for the agent", Err: errors.Join(provider.ErrUnreachable, errors.New("the machine is off"))}
		}
		text, err = dom.GetXMLDesc(0)
		return err
	})
	if err != nil {
		return false, err
	}
	x := new(libvirtxml.Domain)
	if err := x.Unmarshal(text); err != nil {
		return false, err
	}
	return agentState(x), nil
}

func agentState(x *libvirtxml.Domain) bool {
	if x.Devices == nil {
		return false
	}
	for _, ch := range x.Devices.Channels {
		if ch.Target != nil && ch.Target.VirtIO != nil && ch.Target.VirtIO.Name == domainxml.AgentChannel {
			return ch.Target.VirtIO.State == "connected"
		}
	}
	return false
}

// ConsoleTail is the last lines that a domain said on its serial port, or "" where there are none.
func (c *Conn) ConsoleTail(domain string) string {
	var path string
	err := c.Domain(ByName(domain), func(dom *libvirt.Domain) error {
		text, err := dom.GetXMLDesc(libvirt.DOMAIN_XML_INACTIVE)
		if err != nil {
			return err
		}
		x := new(libvirtxml.Domain)
		if err := x.Unmarshal(text); err != nil {
			return err
		}
		for _, port := range x.Devices.Serials {
			if port.Log != nil && path == "" {
				path = port.Log.File
			}
		}
		return nil
	})
	if err != nil || path == "" {
		return ""
	}
	text, err := c.Host.ReadFile(context.Background(), path)
	if err != nil {
		return ""
	}
	return tail(string(text[max(0, len(text)-consoleWindow):]))
}

// tail is the last lines of a terminal's output, without control characters.
func tail(text string) string {
	text = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r >= ' ' && r != 0x7f {
			return r
		}
		return -1
	}, text)
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-consoleLines):], "\n")
}
