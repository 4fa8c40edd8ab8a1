package session

import (
	"errors"
	"slices"

	"github.com/labctl/labctl/provider/libvirt"
	"github.com/labctl/labctl/provider/libvirt/snapshot"
)

// Snapshots is the lab's snapshots, on all of its hosts.
func (s *Session) Snapshots() (snapshot.Lab, error) {
	if s.Lab.Name == "" {
		return snapshot.Lab{}, errors.New("this folder holds no lab: name one with -lab")
	}
	lab := snapshot.Lab{Name: s.Lab.Name}
	for _, h := range s.Hosts {
		same := func(c *libvirt.Conn) bool { return c.URI() == h.Conn.URI() }
		if !slices.ContainsFunc(lab.Conns, same) {
			lab.Conns = append(lab.Conns, h.Conn)
		}
	}
	return lab, nil
}
