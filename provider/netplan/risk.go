package netplan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/labctl/labctl/provider/netplan/link"
	"github.com/labctl/labctl/schema"
)

// uplinks are the links that carry a default route, each with the reason why enslaving it is a risk.
func uplinks(view *link.View) map[string]string {
	risky := map[string]string{}
	for _, r := range view.Routes {
		if strings.HasPrefix(r.To, "default") && r.Interface != "" && r.Type == "" && view.Links[r.Interface] != nil {
			risky[r.Interface] = fmt.Sprintf("%s carries the host's default route via %s", r.Interface, r.Via)
		}
	}
	return risky
}

// risk says in one sentence why making a bridge so may cut the host off, "" where it does not: a link that carries the
// host's default route becomes a port, and with that loses its addresses and routes. Ports that old has already are none. It
// goes by the last Read.
func (p *Provider) risk(old, want *schema.Bridge) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, port := range want.Interfaces {
		if old != nil && slices.Contains(old.Interfaces, port) {
			continue
		}
		if why, risky := p.uplinks[port]; risky {
			return fmt.Sprintf("%s; as a port of %s it loses its addresses and routes", why, want.Name)
		}
	}
	return ""
}
