package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/labctl/labctl/internal/host"
)

// chain is a chain as `nft -j` lists it.
type chain struct {
	Family, Table, Name, Hook, Policy string
}

// forwardChain looks for a foreign chain that drops what the host forwards, as Docker's FORWARD does: a packet has to be
// accepted by the chains of all tables, so no rule of a lab can let it through.
func (p Patient) forwardChain(ctx context.Context) Finding {
	const name = "forwarding"
	out, err := p.Host.Run(ctx, host.Cmd("nft", "-j", "list", "chains"))
	if err != nil {
		return Finding{name, Warn, "the rules cannot be read: " + oneLine(err.Error()), "run labctl as root"}
	}
	var listing struct {
		NFTables []struct {
			Chain *chain `json:"chain"`
		} `json:"nftables"`
	}
	if err := json.Unmarshal(out.Stdout, &listing); err != nil {
		return Finding{name, Warn, "nft's answer: " + oneLine(err.Error()), ""}
	}
	var droppers []string
	docker := false
	for _, object := range listing.NFTables {
		c := object.Chain
		if c == nil || c.Hook != "forward" || c.Policy != "drop" || strings.HasPrefix(c.Table, "labctl") {
			continue
		}
		droppers = append(droppers, fmt.Sprintf("%s %s, chain %s", c.Family, c.Table, c.Name))
	}
	for _, object := range listing.NFTables {
		docker = docker || object.Chain != nil && strings.HasPrefix(object.Chain.Name, "DOCKER")
	}
	slices.Sort(droppers)
	switch {
	case len(droppers) == 0:
		return good(name, "no chain drops what the host forwards")
	case docker:
		return Finding{name, Warn, "Docker drops what the host forwards (" + strings.Join(droppers, "; ") + "): machines on different bridges do not reach each other",
			"iptables -I DOCKER-USER -j ACCEPT, or narrower: -i BRIDGE -o BRIDGE"}
	}
	return Finding{name, Warn, "forwarded packets are dropped by default in table " + strings.Join(droppers, "; "),
		"add a rule there that accepts the lab's bridges"}
}

// bridgeFilter looks whether packets between machines on one bridge go through the host's rules, which surprises people.
func (p Patient) bridgeFilter(ctx context.Context) Finding {
	const name = "bridge filter"
	const key = "/proc/sys/net/bridge/bridge-nf-call-iptables"
	text, err := p.Host.ReadFile(ctx, key)
	if err != nil || strings.TrimSpace(string(text)) == "0" {
		return good(name, "packets between machines on one bridge do not go through the host's rules")
	}
	return Finding{name, Warn, "packets between machines on one bridge go through the host's rules (br_netfilter, often loaded for Docker)",
		"sysctl -w net.bridge.bridge-nf-call-iptables=0, where Docker does not need it"}
}
