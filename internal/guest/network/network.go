// Package network looks at a guest's interfaces, addresses, routes and impaired links, and makes them as declared, through
// netlink and touching only what differs.
package network

import (
	"github.com/labctl/labctl/internal/guest/note"
	"github.com/labctl/labctl/schema"
)

// Network is the network of the namespace that the process runs in.
type Network struct {
	*note.Report
	Want   *schema.Guest  // as declared
	Kept   *schema.Guest  // as declared before; never nil
	Before map[string]int // MTU by MAC, before labctl set one
	// Scripts says that the system's DHCP clients set what they are given by scripts (ifupdown's do), which makes it look like set
	// by hand: addresses for ever, and routes of no daemon.
	Scripts bool

	have *schema.Guest
}

// Observe writes into have which interfaces and routes are there: in the words of the declaration where they are as declared.
func (n *Network) Observe(have *schema.Guest) {
	n.have = have
	n.Problem("interface", n.observeLinks())
	n.Problem("route", n.observeRoutes())
}

// Apply makes interfaces and routes as declared. Interfaces have their names already: see ApplyNames.
func (n *Network) Apply() {
	n.applyLinks()
	n.applyRoutes()
}
