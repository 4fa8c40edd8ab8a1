package network

import (
	"errors"
	"io/fs"

	"github.com/labctl/labctl/internal/guest/sysctl"
	"github.com/labctl/labctl/schema"
)

func acceptRAPath(i schema.GuestInterface) string { return "net/ipv6/conf/" + i.Name + "/accept_ra" }

// acceptRA is the kernel's value: 2 is 'also on a router'.
func acceptRA(want schema.GuestInterface, forwarding bool) string {
	switch {
	case !*want.AcceptRA:
		return "0"
	case forwarding:
		return "2"
	}
	return "1"
}

func observeAcceptRA(have *schema.GuestInterface, want schema.GuestInterface, forwarding bool) error {
	if want.AcceptRA == nil {
		return nil
	}
	value, err := sysctl.Read(acceptRAPath(*have))
	if errors.Is(err, fs.ErrNotExist) {
		value = "0"
	} else if err != nil {
		return err
	}
	there := *want.AcceptRA == (value == acceptRA(want, forwarding))
	have.AcceptRA = &there
	return nil
}

func (n *Network) applyAcceptRA(want schema.GuestInterface) error {
	if want.AcceptRA == nil {
		return nil
	}
	value := acceptRA(want, n.Want.Forwarding)
	if have, err := sysctl.Read(acceptRAPath(want)); err == nil && have == value {
		return nil
	}
	if err := sysctl.Write(acceptRAPath(want), value); err != nil {
		if errors.Is(err, fs.ErrNotExist) && value == "0" {
			return nil
		}
		return err
	}
	n.Did("set accept_ra of %s to %s", want.Name, value)
	return nil
}
