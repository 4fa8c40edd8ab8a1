package daemon

import (
	"context"
	"slices"

	"libvirt.org/go/libvirt"
)

// Power tells of each of the domains that is there whether it runs. A paused one does not: nothing inside it can answer.
// Many cost hardly more questions than one.
func (c *Conn) Power(_ context.Context, domains ...string) (map[string]bool, error) {
	power := make(map[string]bool, len(domains))
	if len(domains) == 1 {
		err := c.Domain(ByName(domains[0]), func(dom *libvirt.Domain) (err error) {
			power[domains[0]], err = runs(dom)
			return err
		})
		if err != nil && !Is(err, libvirt.ERR_NO_DOMAIN) {
			return nil, err
		}
		return power, nil
	}
	err := c.Use(func(link *libvirt.Connect) error {
		list, err := link.ListAllDomains(0)
		if err != nil {
			return err
		}
		defer func() {
			for i := range list {
				_ = list[i].Free()
			}
		}()
		sorted := slices.Sorted(slices.Values(domains))
		for i := range list {
			name, err := list[i].GetName() // the handle has it
			if err != nil {
				return err
			}
			if _, asked := slices.BinarySearch(sorted, name); !asked {
				continue
			}
			running, err := runs(&list[i])
			if Is(err, libvirt.ERR_NO_DOMAIN) {
				continue // it has vanished meanwhile
			}
			if err != nil {
				return err
			}
			power[name] = running
		}
		return nil
	})
	return power, err
}

func runs(dom *libvirt.Domain) (bool, error) {
	if _, err := dom.GetID(); err != nil {
		return false, nil //nolint:nilerr // the handle knows with no question that it was off when it was looked up
	}
	state, _, err := dom.GetState()
	return state == libvirt.DOMAIN_RUNNING || state == libvirt.DOMAIN_BLOCKED, err
}
