package semantic

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/diag"
)

// Parts of rules that say what a rule is about.
var (
	established = regexp.MustCompile(`ct state (established|related)|iif(name)? "?lo"?\b|icmp|ct status`)
	comment     = regexp.MustCompile(`\bcomment ".*"`)
	elsewhere   = regexp.MustCompile(`\b(jump|goto|vmap)\b`)
	words       = regexp.MustCompile(`[A-Za-z][A-Za-z0-9-]*|\d+-\d+|\d+|!=|<|>`)
)

// routers: a NAT rewrites what is forwarded.
func (c *checker) routers() {
	for _, m := range c.machines {
		for kind, declared := range map[string]*schema.NAT{"nat": m.guest.NAT, "nat6": m.guest.NAT6} {
			if declared != nil && !m.guest.Forwarding {
				c.add(diag.Warn(diag.NATNoForwarding, c.at(m.addr, kind), "The NAT router does not forward",
					kind+" rewrites packets that the machine forwards, and it forwards none. Add forwarding = true."), m.addr)
			}
		}
	}
}

// gateways: somebody has the gateway's address, and forwards.
func (c *checker) gateways() {
	closed := make(map[string]bool) // segments of which every address is known
	for _, b := range c.bridges {
		closed[b.segment()] = len(b.body.Interfaces) == 0 && !b.body.DHCP4 && !b.body.DHCP6
	}
	for _, m := range c.machines {
		for _, iface := range m.guest.Interfaces {
			if iface.DHCP4 || iface.DHCP6 {
				for i := range m.guest.Interfaces {
					closed[m.segment(i)] = false
				}
			}
		}
	}
	for _, m := range c.machines {
		for _, route := range m.guest.Routes {
			i := slices.IndexFunc(m.guest.Interfaces, func(g schema.GuestInterface) bool { return g.Name == route.Interface })
			if route.Via == "" || i < 0 {
				continue
			}
			segment := m.segment(i)
			if via, err := netip.ParseAddr(route.Via); err != nil || via.IsLinkLocalUnicast() {
				continue
			}
			h, found := c.holders[segment+" "+route.Via]
			at := c.at(m.addr, routePath(route))
			_, where, _ := strings.Cut(segment, "/")
			switch {
			case !found && closed[segment]:
				c.add(diag.Warn(diag.GatewayUnknown, at, fmt.Sprintf("Nobody on the %s has the gateway's address %s", where, route.Via),
					"Neither the bridge nor a machine of the lab on it has this address, so the route leads nowhere."), m.addr)
			case found && h.machine == m:
				c.add(diag.Warn(diag.GatewayUnknown, at, fmt.Sprintf("The gateway %s is the machine itself", route.Via), "The route leads nowhere."), m.addr)
			case found && h.machine != nil && !h.machine.guest.Forwarding:
				c.add(diag.Warn(diag.GatewayNoForward, at, fmt.Sprintf("The gateway %s does not forward", route.Via),
					fmt.Sprintf("It is %s. Add forwarding = true there.", c.place(h.addr, ""))), m.addr)
			}
		}
	}
}

func routePath(r schema.Route) string {
	if strings.ContainsAny(r.To, "./: ") {
		return fmt.Sprintf("route[%q].via", r.To)
	}
	return "route." + r.To + ".via"
}

// defaults: which of several like default routes is used is up to chance.
func (c *checker) defaults() {
	for _, m := range c.machines {
		type kind struct {
			to            string
			metric, table int
		}
		seen := make(map[kind]bool)
		for _, r := range m.guest.Routes {
			k := kind{r.To, r.Metric, r.Table}
			if seen[k] {
				c.add(diag.Warn(diag.AsymmetricRoute, c.at(m.addr, routePath(r)), fmt.Sprintf("Several routes to %s have the same metric", r.To),
					"Which of them is used is up to chance. Give them different metrics."), m.addr)
			}
			seen[k] = true
		}
	}
}

// ports: a check that wants an open port wants a firewall that lets it in.
func (c *checker) ports(checks []schema.Check) {
	for _, check := range checks {
		probe, protocol := check.TCP, "tcp"
		if probe == nil {
			probe, protocol = check.UDP, "udp"
		}
		if probe == nil || probe.Expect != "open" {
			continue
		}
		i := slices.IndexFunc(c.machines, func(m *machine) bool { return m.addr == probe.To.VM })
		if i < 0 || c.machines[i].guest.Ruleset == nil {
			continue
		}
		if chain := droppingInput(c.machines[i].guest.Ruleset.Text); chain != nil && !mayAccept(chain, probe.To.Port) {
			c.add(diag.Warn(diag.DroppedPort, c.at(check.Addr, protocol+".to"), fmt.Sprintf("The firewall of %s drops %s port %d", probe.To.VM, protocol, probe.To.Port),
				"Its input chain drops by default, and no rule of it names the port. Accept it there, or expect \"filtered\"."), check.Addr)
		}
	}
}

// droppingInput finds the lines of an input chain whose policy is drop.
func droppingInput(text string) []string {
	var lines []string
	inside := false
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case strings.Contains(line, "hook input") && strings.Contains(line, "policy drop"):
			inside, lines = true, []string{}
		case inside && line == "}":
			return lines
		case inside:
			lines = append(lines, line)
		}
	}
	return lines
}

// harmless are matches that let in no new connection from another machine.
func harmless(rule string) bool {
	return established.MatchString(rule)
}

// mayAccept reports whether one of the rules might let a new connection to the port in. It errs towards yes: a warning that is wrong
// is worse than none.
func mayAccept(rules []string, port int) bool {
	for _, rule := range rules {
		rule = comment.ReplaceAllString(rule, "")
		if strings.Contains(rule, "@") || elsewhere.MatchString(rule) {
			return true
		}
		if !strings.Contains(rule, "accept") || harmless(rule) {
			continue
		}
		_, ports, named := strings.Cut(rule, "dport")
		if !named || namesPort(ports, port) {
			return true
		}
	}
	return false
}

func namesPort(text string, port int) bool {
	for _, word := range words.FindAllString(text, -1) {
		low, high, isRange := strings.Cut(word, "-")
		from, err := strconv.Atoi(low)
		to := from
		if isRange && err == nil {
			to, err = strconv.Atoi(high)
		}
		switch {
		case err == nil && from <= port && port <= to:
			return true
		case strings.ContainsAny(word, "!<>"):
			return true
		case err != nil && !slices.Contains([]string{"accept", "counter", "ct", "state", "new", "limit", "rate", "log", "prefix"}, word):
			return true // a service's name: nft knows it, we do not
		}
	}
	return false
}
