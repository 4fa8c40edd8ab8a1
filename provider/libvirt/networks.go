package libvirt

import (
	"github.com/labctl/labctl/provider/libvirt/network"
	"github.com/labctl/labctl/provider/libvirt/tap"
)

// NewNetworks is a provider for resources of type "network", libvirt's own virtual networks. The machine that the daemon
// runs on is the connection's Host.
func NewNetworks(conn *Conn) *network.Provider { return network.New(conn, tap.On(conn.Host)) }
