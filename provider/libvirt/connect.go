package libvirt

import (
	"github.com/labctl/labctl/provider/libvirt/daemon"
)

// Conn is a connection to a libvirt daemon.
type Conn = daemon.Conn

// Connect opens a connection, see daemon.Connect.
func Connect(uri string) (*Conn, error) { return daemon.Connect(uri) }
