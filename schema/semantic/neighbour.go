package semantic

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/diag"
)

// elseAbout is what a rule that accepts may be about, so that it lets no neighbour solicitation in: those are ICMPv6, and of no
// tracked connection (RFC 4861).
var elseAbout = regexp.MustCompile(`\bct (state|status)\b|\biif(name)? "?lo\b|\b(tcp|udp|icmp|sctp)\b|\bip (saddr|daddr|protocol)\b`)

// neighbours: a machine that drops neighbour solicitations cannot be found with IPv6.
func (c *checker) neighbours() {
	for _, m := range c.machines {
		if m.guest.Ruleset == nil || !hasIPv6(m.guest) {
			continue
		}
		if rules := droppingInput6(m.guest.Ruleset.Text); rules != nil && !slices.ContainsFunc(rules, letsNeighboursIn) {
			c.add(diag.Warn(diag.NoNeighbours, c.at(m.addr, "nftables"), "The firewall hides the machine from its IPv6 neighbours",
				"Its input chain drops by default, and no rule of it lets in the ICMPv6 messages by which neighbours are found. "+
					"Add: icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept."), m.addr)
		}
	}
}

func hasIPv6(g *schema.Guest) bool {
	return slices.ContainsFunc(g.Interfaces, func(i schema.GuestInterface) bool {
		return slices.ContainsFunc(i.Addresses, func(text string) bool {
			p, err := netip.ParsePrefix(text)
			return err == nil && p.Addr().Is6()
		})
	})
}

// droppingInput6 finds the rules of an input chain whose policy is drop, in a table that sees IPv6; nil where there is none.
func droppingInput6(text string) []string {
	sees, inside := false, false
	var rules []string
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "table "):
			sees = strings.HasPrefix(line, "table inet ") || strings.HasPrefix(line, "table ip6 ")
		case sees && strings.Contains(line, "hook input") && strings.Contains(line, "policy drop"):
			inside, rules = true, []string{}
		case inside && line == "}":
			return rules
		case inside:
			rules = append(rules, comment.ReplaceAllString(line, ""))
		}
	}
	return rules
}

// letsNeighboursIn errs towards yes: a warning that is wrong is worse than none.
func letsNeighboursIn(rule string) bool {
	switch {
	case strings.Contains(rule, "@"), elsewhere.MatchString(rule), strings.Contains(rule, "untracked"):
		return true
	case !strings.Contains(rule, "accept"):
		return false
	case strings.Contains(rule, "icmpv6 type"):
		return strings.Contains(rule, "nd-neighbor-solicit") || strings.Contains(rule, "135") || strings.Contains(rule, "!=")
	case strings.Contains(rule, "ipv6-icmp"):
		return true
	}
	return !elseAbout.MatchString(rule)
}
