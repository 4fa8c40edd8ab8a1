package natprobe

import (
	"errors"
	"syscall"
)

// transient reports whether a socket's error says just that a packet did not get through: an ICMP error came back for
// an earlier one, a firewall of this machine refused it, or there is no way to the peer yet.
func transient(err error) bool {
	for _, e := range []syscall.Errno{syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EPERM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
