package daemon

import (
	"slices"
	"sync"
	"time"

	"libvirt.org/go/libvirt"
)

// Keepalive: a daemon that does not answer for about 20 s is taken as gone.
const (
	keepaliveSeconds = 5
	keepaliveCount   = 3
)

// Links: a daemon works on five calls of one client at a time (max_client_requests of libvirtd.conf), so that a guest which
// does not answer would hold up the others; and many short calls go through several sockets faster than through one.
const (
	crowded  = 4 // uses of every link at which a further one is opened
	maxLinks = 8
)

// link is one socket to the daemon.
type link struct {
	*libvirt.Connect
	busy  int  // uses under way
	alone bool // a driver inside this process, of which further links are of no use
}

// prepareEvents makes libvirt's event loop known to it, which must be before the first connection and cannot be taken back.
var prepareEvents = sync.OnceValue(libvirt.EventRegisterDefaultImpl)

// unattended is how long a connection may do without the event loop, which answers the daemon's own keepalive between calls.
const unattended = 3 * time.Second

// runEvents drives the event loop, one for the process, from then on for as long as the process lives. It is not done before
// somebody waits for events: each call wakes it, twice, and a thousand calls then take half as long again.
var runEvents = sync.OnceFunc(func() {
	go func() {
		for {
			if err := libvirt.EventRunDefaultImpl(); err != nil {
				return
			}
		}
	}()
})

// take is a live link to work on, until give. One is opened where there is none, or where all are crowded.
func (c *Conn) take() (*link, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.idlest()
	if l == nil || !l.alone && l.busy >= crowded && len(c.links) < maxLinks {
		more, err := c.open()
		if err != nil && l == nil {
			return nil, err
		}
		if err == nil {
			l = more
		}
	}
	if c.listening && c.heard == nil {
		runEvents()
		if err := c.events.attach(l.Connect); err != nil {
			c.drop(l)
			return nil, unreachable(c.uri, err)
		}
		c.heard = l
	}
	// The reference keeps the link valid while another goroutine gives it up.
	if err := l.Ref(); err != nil {
		return nil, unreachable(c.uri, err)
	}
	l.busy++
	return l, nil
}

// give puts a link back. err is what came of its use; a link that broke is given up.
func (c *Conn) give(l *link, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l.busy--
	if broken(err) && slices.Contains(c.links, l) {
		c.drop(l)
	}
	_, _ = l.Close() // drops the reference
}

// idlest is the live link with the fewest uses, nil for none. Those that are dead are given up. c.mu is held.
func (c *Conn) idlest() *link {
	var best *link
	for _, l := range slices.Clone(c.links) {
		alive, err := l.IsAlive()
		switch {
		case err != nil || !alive:
			c.drop(l)
		case best == nil || l.busy < best.busy:
			best = l
		}
	}
	return best
}

// open makes a further link. c.mu is held.
func (c *Conn) open() (*link, error) {
	connect, err := libvirt.NewConnect(c.uri)
	if err != nil {
		return nil, unreachable(c.uri, err)
	}
	// Drivers inside this process, such as test:///default, know no keepalive.
	inside := connect.SetKeepAlive(keepaliveSeconds, keepaliveCount)
	l := &link{Connect: connect, alone: inside != nil}
	c.links = append(c.links, l)
	return l, nil
}

// drop closes a link. c.mu is held.
func (c *Conn) drop(l *link) {
	c.links = slices.DeleteFunc(c.links, func(other *link) bool { return other == l })
	if c.heard == l {
		c.heard = nil
		c.events.detach(l.Connect)
		defer c.events.wake()
	}
	_, _ = l.Close() // it is of no use any more, whatever it says
}
