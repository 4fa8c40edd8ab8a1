package daemon

import (
	"context"

	"libvirt.org/go/libvirt"
)

// Power tells whether a domain is there and whether it runs. A paused one does not: nothing inside it can answer.
func (c *Conn) Power(_ context.Context, domain string) (running, exists bool, err error) {
	err = c.Domain(ByName(domain), func(dom *libvirt.Domain) error {
		if _, err := dom.GetID(); err != nil {
			return nil // the handle knows with no further question that it was off when it was looked up
		}
		state, _, err := dom.GetState()
		running = state == libvirt.DOMAIN_RUNNING || state == libvirt.DOMAIN_BLOCKED
		return err
	})
	if Is(err, libvirt.ERR_NO_DOMAIN) {
		return false, false, nil
	}
	return running, err == nil, err
}
