package inside

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Route asks which way the machine's kernel would send.
type Route struct {
	To string `json:"to"`
}

// Way is the kernel's answer. Via is empty where the destination is a neighbour or the machine itself.
type Way struct {
	Via       string `json:"via,omitempty"`
	Interface string `json:"interface,omitempty"`
	Source    string `json:"source,omitempty"`
	Type      string `json:"type"` // "unicast", "local", … or "none" where there is no route
}

// noWay is what the kernel says where there is no route, or one of type unreachable, prohibit or blackhole (ip-route(8)).
var noWay = []syscall.Errno{syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EACCES, syscall.EINVAL}

// route asks by netlink, as `ip route get` does. That there is no way is no error.
func route(r Route) (Answer, error) {
	to := net.ParseIP(r.To)
	if to == nil {
		return Answer{}, fmt.Errorf("%q is no address", r.To)
	}
	routes, err := netlink.RouteGet(to)
	if errno, ok := errors.AsType[syscall.Errno](err); ok && slices.Contains(noWay, errno) {
		return Answer{Way: &Way{Type: "none"}, Note: errno.Error()}, nil
	}
	if err != nil {
		return Answer{}, fmt.Errorf("route to %s: %w", r.To, err)
	}
	if len(routes) == 0 {
		return Answer{Way: &Way{Type: "none"}}, nil
	}
	found := routes[0]
	way := &Way{Type: "unicast"}
	if found.Type == unix.RTN_LOCAL {
		way.Type = "local"
	}
	if found.Gw != nil {
		way.Via = found.Gw.String()
	}
	if found.Src != nil {
		way.Source = found.Src.String()
	}
	if link, err := netlink.LinkByIndex(found.LinkIndex); err == nil {
		way.Interface = link.Attrs().Name
	}
	return Answer{Way: way}, nil
}
