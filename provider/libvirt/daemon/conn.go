package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"libvirt.org/go/libvirt"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
)

// Conn is a connection to one libvirt daemon. It opens anew when the daemon was restarted. It is safe for concurrent use:
// callers side by side are spread over several links.
type Conn struct {
	// Host is the machine that the daemon runs on, to read console logs there. Connect sets it to this machine.
	Host host.Host

	uri    string
	events *events

	mu        sync.Mutex
	links     []*link // none while closed
	heard     *link   // the one that tells of events, nil for none
	listening bool    // whether somebody has asked for events yet
}

// Connect opens a connection. Where that is not possible the error is an *provider.Error wrapping provider.ErrUnreachable,
// with a hint.
func Connect(uri string) (*Conn, error) {
	if err := prepareEvents(); err != nil {
		return nil, fmt.Errorf("prepare libvirt's event loop: %w", err)
	}
	c := &Conn{Host: host.Local{}, uri: uri, events: newEvents()}
	l, err := c.take()
	if err != nil {
		return nil, err
	}
	c.give(l, nil)
	time.AfterFunc(unattended, runEvents)
	return c, nil
}

// URI is the URI that the connection was made with.
func (c *Conn) URI() string { return c.uri }

// Close closes the connection. What is under way on it fails.
func (c *Conn) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.links) > 0 {
		c.drop(c.links[0])
	}
}

// Use runs f on a live link. A link that breaks under f is given up, so that the next use opens a new one.
func (c *Conn) Use(f func(*libvirt.Connect) error) error {
	l, err := c.take()
	if err != nil {
		return err
	}
	err = f(l.Connect)
	c.give(l, err)
	if broken(err) {
		return unreachable(c.uri, err)
	}
	return err
}

// Domain runs f on the domain that find finds. One that is not there is an error of libvirt's with ERR_NO_DOMAIN.
func (c *Conn) Domain(find Finder, f func(*libvirt.Domain) error) error {
	return c.Use(func(link *libvirt.Connect) error {
		dom, err := find(link)
		if err != nil {
			return err
		}
		defer dom.Free() //nolint:errcheck // drops the reference
		return f(dom)
	})
}

// Finder looks a domain up on a link.
type Finder func(*libvirt.Connect) (*libvirt.Domain, error)

// ByName finds a domain by its name.
func ByName(name string) Finder {
	return func(link *libvirt.Connect) (*libvirt.Domain, error) { return link.LookupDomainByName(name) }
}

// ByUUID finds a domain by its UUID.
func ByUUID(uuid string) Finder {
	return func(link *libvirt.Connect) (*libvirt.Domain, error) { return link.LookupDomainByUUIDString(uuid) }
}

// Is reports whether err is libvirt's with one of the codes.
func Is(err error, codes ...libvirt.ErrorNumber) bool {
	failed, ok := errors.AsType[libvirt.Error](err)
	if !ok {
		return false
	}
	return slices.Contains(codes, failed.Code)
}

// broken reports whether err means that the connection itself is gone.
func broken(err error) bool {
	failed, ok := errors.AsType[libvirt.Error](err)
	if !ok {
		return false
	}
	switch failed.Code {
	case libvirt.ERR_RPC, libvirt.ERR_NO_CONNECT, libvirt.ERR_INVALID_CONN, libvirt.ERR_AUTH_FAILED:
		return true
	case libvirt.ERR_INTERNAL_ERROR, libvirt.ERR_SYSTEM_ERROR:
		return failed.Domain == libvirt.FROM_RPC || failed.Domain == libvirt.FROM_REMOTE
	}
	return false
}

func unreachable(uri string, err error) error {
	return &provider.Error{Op: "connect to libvirt at " + uri, Err: errors.Join(provider.ErrUnreachable, Message(err)), Hint: hint(err)}
}

// Message is libvirt's own message without its codes.
func Message(err error) error {
	if failed, ok := errors.AsType[libvirt.Error](err); ok {
		return errors.New(failed.Message)
	}
	return err
}

func hint(err error) string {
	failed, ok := errors.AsType[libvirt.Error](err)
	switch {
	case ok && failed.Code == libvirt.ERR_AUTH_FAILED, ok && failed.Code == libvirt.ERR_AUTH_CANCELLED,
		ok && failed.Code == libvirt.ERR_AUTH_UNAVAILABLE:
		return "add yourself to the group libvirt and log in again, or run labctl as root"
	case ok && failed.Code == libvirt.ERR_NO_CONNECT:
		return "libvirt has no driver for this URI here: is libvirt-daemon-system installed?"
	}
	return "is the daemon running? Try: systemctl start libvirtd (or, without systemd: virtlogd -d; libvirtd -d)"
}

// Failed is err as an *provider.Error that says what was done, with libvirt's message and without its codes; one that is
// an *provider.Error already stays as it is.
func Failed(op string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*provider.Error](err); ok {
		return err
	}
	return &provider.Error{Op: op, Err: Message(err)}
}

// stopped is the error of ctx in a sentence.
func stopped(ctx context.Context, what string) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%s took too long: %w", what, ctx.Err())
	}
	return fmt.Errorf("%s: %w", what, ctx.Err())
}

// Memory is the memory of the machine that the daemon runs on, in bytes.
func (c *Conn) Memory() (uint64, error) {
	var info *libvirt.NodeInfo
	err := c.Use(func(link *libvirt.Connect) (err error) {
		info, err = link.GetNodeInfo()
		return err
	})
	if err != nil {
		return 0, Failed("ask for the host's memory", err)
	}
	return info.Memory << 10, nil
}
