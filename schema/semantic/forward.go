package semantic

import (
	"fmt"
	"strings"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/diag"
)

// forwarding: libvirt turns a host's forwarding on for a network that is not isolated, whatever the host block says.
func (c *checker) forwarding() {
	off := map[string]map[string]bool{} // by host, the settings that are declared to be off
	for _, r := range c.lab.Resources {
		if body, ok := r.Body.(*schema.Sysctl); ok {
			off[r.Host] = map[string]bool{}
			for key, value := range body.Values {
				off[r.Host][key] = value == "0"
			}
		}
	}
	for _, r := range c.lab.Resources {
		network, ok := r.Body.(*schema.Network)
		if !ok || network.Existing || network.Mode == "isolated" {
			continue
		}
		for _, address := range network.Addresses {
			key := "net.ipv4.ip_forward"
			if strings.Contains(address, ":") {
				key = "net.ipv6.conf.all.forwarding"
			}
			if off[r.Host][key] {
				c.add(diag.New(diag.Conflict, c.at(r.Addr, "mode"), fmt.Sprintf("A network of mode %q makes its host forward", network.Mode),
					fmt.Sprintf("libvirt turns %s on for it, and the host block turns it off. Write forwarding = true there, or mode = \"isolated\" here.", key)), r.Addr)
				break
			}
		}
	}
}
