package daemon

import (
	"sync"

	"libvirt.org/go/libvirt"
)

// events tells waiters that something has happened to a domain. What has happened they look up themselves, except for the
// removal of devices, of which there is no other word.
type events struct {
	mu      sync.Mutex
	watches map[*Watch]struct{}
	ids     map[*libvirt.Connect][]int
}

// Watch is one waiter's interest in one domain.
type Watch struct {
	C chan struct{} // has an element after something has happened

	hub  *events
	uuid string
	mu   sync.Mutex
	gone map[string]bool // device aliases: true removed, false the guest refused
}

func newEvents() *events {
	return &events{watches: map[*Watch]struct{}{}, ids: map[*libvirt.Connect][]int{}}
}

// Watch begins to listen to a domain. Look at its state after this and not before it, and call Stop when done.
func (c *Conn) Watch(uuid string) *Watch {
	e := c.events
	w := &Watch{C: make(chan struct{}, 1), hub: e, uuid: uuid, gone: map[string]bool{}}
	e.mu.Lock()
	e.watches[w] = struct{}{}
	e.mu.Unlock()
	c.mu.Lock()
	c.listening = true
	c.mu.Unlock()
	if l, err := c.take(); err == nil { // where there is no link, the look at the domain's state says so
		c.give(l, nil)
	}
	return w
}

// Stop ends the watch.
func (w *Watch) Stop() {
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	delete(w.hub.watches, w)
}

// Removed tells what became of a device's removal; known is false until libvirt has said so.
func (w *Watch) Removed(alias string) (gone, known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	gone, known = w.gone[alias]
	return gone, known
}

func (w *Watch) signal() {
	select {
	case w.C <- struct{}{}:
	default: // it is signalled already and looks at the newest state anyway
	}
}

// wake signals every watch: after a lost connection nothing is known.
func (e *events) wake() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for w := range e.watches {
		w.signal()
	}
}

func (e *events) happened(dom *libvirt.Domain, note func(*Watch)) {
	uuid, err := dom.GetUUIDString() // kept in the handle: no round trip
	if err != nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for w := range e.watches {
		if w.uuid == uuid {
			if note != nil {
				w.mu.Lock()
				note(w)
				w.mu.Unlock()
			}
			w.signal()
		}
	}
}

// attach has a new link tell of its domains.
func (e *events) attach(link *libvirt.Connect) error {
	var ids []int
	add := func(id int, err error) error {
		if err == nil {
			ids = append(ids, id)
		}
		if Is(err, libvirt.ERR_NO_SUPPORT) {
			return nil // test:///default has only some of them
		}
		return err
	}
	if err := add(link.DomainEventLifecycleRegister(nil, func(_ *libvirt.Connect, d *libvirt.Domain, _ *libvirt.DomainEventLifecycle) {
		e.happened(d, nil)
	})); err != nil {
		return err
	}
	if err := add(link.DomainEventAgentLifecycleRegister(nil, func(_ *libvirt.Connect, d *libvirt.Domain, _ *libvirt.DomainEventAgentLifecycle) {
		e.happened(d, nil)
	})); err != nil {
		return err
	}
	if err := add(link.DomainEventBalloonChangeRegister(nil, func(_ *libvirt.Connect, d *libvirt.Domain, _ *libvirt.DomainEventBalloonChange) {
		e.happened(d, nil)
	})); err != nil {
		return err
	}
	if err := add(link.DomainEventDeviceRemovedRegister(nil, func(_ *libvirt.Connect, d *libvirt.Domain, ev *libvirt.DomainEventDeviceRemoved) {
		e.happened(d, func(w *Watch) { w.gone[ev.DevAlias] = true })
	})); err != nil {
		return err
	}
	if err := add(link.DomainEventDeviceRemovalFailedRegister(nil, func(_ *libvirt.Connect, d *libvirt.Domain, ev *libvirt.DomainEventDeviceRemovalFailed) {
		e.happened(d, func(w *Watch) { w.gone[ev.DevAlias] = false })
	})); err != nil {
		return err
	}
	if err := link.RegisterCloseCallback(func(*libvirt.Connect, libvirt.ConnectCloseReason) { e.wake() }); err != nil &&
		!Is(err, libvirt.ERR_NO_SUPPORT) {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ids[link] = ids
	return nil
}

// detach is attach undone, so that a closed link is freed. On a dead link it may fail, and then it does not matter.
func (e *events) detach(link *libvirt.Connect) {
	e.mu.Lock()
	ids := e.ids[link]
	delete(e.ids, link)
	e.mu.Unlock()
	for _, id := range ids {
		_ = link.DomainEventDeregister(id)
	}
	_ = link.UnregisterCloseCallback()
}
