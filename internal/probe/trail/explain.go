package trail

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/labctl/labctl/internal/inspect"
	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/nat"
)

// Explanation is why a check did not show what it was to show.
type Explanation struct {
	Path  []string `json:"path,omitempty"`     // machine by machine, which way the packets go
	Back  []string `json:"back,omitempty"`     // the same of packets the other way, where both sides send
	Rules []string `json:"rules,omitempty"`    // what the machines' rules did to them
	Rose  []string `json:"counters,omitempty"` // counters that rose while they were sent again
	Flows []string `json:"flows,omitempty"`    // connections that the machines track
	Mend  []string `json:"mend,omitempty"`     // what would make the check pass
}

// most lines of one kind that a machine contributes.
const mostLines = 6

// Explain follows packets, sends them once more while all machines on their ways watch, and tells what was seen. arrives
// tells whether they arrive, which is then what is to be explained.
func (t Tracer) Explain(ctx context.Context, packets []Packet, arrives bool, again func()) *Explanation {
	e := &Explanation{}
	var ways [][]Hop
	for n, p := range packets {
		hops := t.Follow(ctx, p)
		ways = append(ways, hops)
		path := &e.Path
		if n > 0 {
			path = &e.Back
		}
		for _, h := range hops {
			*path = append(*path, h.Name+": "+pathWords(h))
			if h.Mend != "" {
				e.mend(h.Mend)
			}
		}
	}
	seen := t.Witness(ctx, packets, ways, again)
	for _, s := range seen {
		e.take(s, packets[0], arrives, ended(ways, s.Machine.Domain))
	}
	return e
}

func pathWords(h Hop) string {
	if h.Fault == "" {
		return h.Words
	}
	return join(h.Words, h.Fault)
}

// ended reports whether a way ends in the machine.
func ended(ways [][]Hop, domain string) bool {
	return slices.ContainsFunc(ways, func(hops []Hop) bool {
		return len(hops) > 0 && hops[len(hops)-1].Domain == domain && hops[len(hops)-1].End
	})
}

// take adds what one machine showed.
func (e *Explanation) take(s Seen, p Packet, arrives, last bool) {
	for n, c := range s.Rose {
		if n == mostLines {
			e.Rose = append(e.Rose, fmt.Sprintf("%s: and %d more", s.Machine.Name, len(s.Rose)-n))
			break
		}
		rule := c.Rule
		if rule == "" {
			rule = "counter " + c.Chain
		}
		e.Rose = append(e.Rose, fmt.Sprintf("%s: +%d in table %s, chain %s: %s", s.Machine.Name, c.Packets, c.Table, c.Chain, inspect.Rule(rule)))
	}
	for n, f := range s.Flows {
		if n == mostLines {
			e.Flows = append(e.Flows, fmt.Sprintf("%s: and %d more", s.Machine.Name, len(s.Flows)-n))
			break
		}
		e.Flows = append(e.Flows, s.Machine.Name+": "+inspect.Line(f))
	}
	for _, f := range s.Fates {
		if f.Verdict == "accept" && (!arrives || !last || f.Table == "" || f.neighbours()) {
			continue
		}
		e.Rules = append(e.Rules, fmt.Sprintf("%s %s %s: %s%s", s.Machine.Name, done(f), f.Packet, f.where(), place(s.Machine, f)))
		if arrives {
			e.mend(fmt.Sprintf("in %s, take that rule away or narrow it, and let what is left be dropped", s.Machine.Name))
		} else {
			e.mend(mendFor(s.Machine, f, p))
		}
	}
}

// mend adds an advice once.
func (e *Explanation) mend(advice string) {
	if !slices.Contains(e.Mend, advice) {
		e.Mend = append(e.Mend, advice)
	}
}

func done(f Fate) string {
	word := map[string]string{"drop": "drops", "reject": "rejects", "accept": "accepts"}[f.Verdict]
	if f.Count > 1 {
		return fmt.Sprintf("%s %d times", word, f.Count)
	}
	return word
}

// where tells which rule it was.
func (f Fate) where() string {
	if f.Rule == "" {
		return fmt.Sprintf("no rule of chain %s in table %s decides, and its policy is %s", f.Chain, f.Table, f.Verdict)
	}
	return fmt.Sprintf("table %s, chain %s: %s", f.Table, f.Chain, inspect.Rule(f.Rule))
}

// place finds the rule where it is declared, so far as nft shows it with the same words.
func place(h Hop, f Fate) string {
	if h.Guest == nil || h.Guest.Ruleset == nil || f.Rule == "" {
		return ""
	}
	set := h.Guest.Ruleset
	for n, line := range strings.Split(set.Text, "\n") {
		if n < len(set.Lines) && set.Lines[n] != (schema.Pos{}) && same(line, f.Rule) {
			return " (" + set.Lines[n].String() + ")"
		}
	}
	return ""
}

// same compares rules without what nft adds or leaves out by taste.
func same(a, b string) bool {
	plain := strings.NewReplacer(`"`, "", ";", "", "  ", " ")
	return plain.Replace(strings.TrimSpace(a)) == plain.Replace(strings.TrimSpace(b))
}

// neighbours reports whether the packets are those by which IPv6 machines find one another.
func (f Fate) neighbours() bool { return strings.HasPrefix(f.Packet, "nd-neighbor-") }

// mendFor is what would let a dropped packet pass.
func mendFor(h Hop, f Fate, p Packet) string {
	accept := acceptRule(p)
	switch {
	case f.neighbours():
		return fmt.Sprintf("in %s, a rule in chain %s of table %s that lets neighbours be found, before what drops: "+
			"icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept", h.Name, f.Chain, f.Table)
	case f.Table == "ip "+nat.Table, f.Table == "ip6 "+nat.Table:
		if p.Protocol == "icmp" {
			return fmt.Sprintf("the NAT of %s lets in from outside what answers something sent from inside: send from inside, or give it a one_to_one address", h.Name)
		}
		return fmt.Sprintf("the NAT of %s lets in what was asked for: give it a forward for the port, or let the machine behind it send first", h.Name)
	case f.Rule == "":
		return fmt.Sprintf("in %s, a rule in chain %s of table %s such as: %s", h.Name, f.Chain, f.Table, accept)
	}
	return fmt.Sprintf("in %s, take that rule away, or have one before it such as: %s", h.Name, accept)
}

// acceptRule is a rule that lets the packets through.
func acceptRule(p Packet) string {
	from := ""
	if a, err := netip.ParseAddr(p.From.Address); err == nil {
		family := "ip"
		if a.Is6() {
			family = "ip6"
		}
		from = family + " saddr " + a.String() + " "
	}
	if p.Protocol == "icmp" {
		if strings.HasPrefix(from, "ip6") {
			return "icmpv6 type echo-request accept"
		}
		return "icmp type echo-request accept"
	}
	if p.To.Port == 0 {
		return from + "accept"
	}
	return fmt.Sprintf("%s dport %d accept", p.Protocol, p.To.Port)
}
