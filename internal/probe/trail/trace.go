package trail

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Fate is what a machine's rules did to some packets that were alike: they were dropped or rejected by one rule or policy, or
// let through by all.
type Fate struct {
	Packet  string // "udp 10.0.0.1:5 → 10.0.0.2:7"
	Verdict string // "drop", "reject" or "accept"
	Table   string // "ip filter"
	Chain   string
	Rule    string // "" for the policy of the chain
	Count   int
}

// traced is what was said of one packet.
type traced struct {
	packet  string
	verdict string
	table   string
	chain   string
	rule    string
}

var (
	traceLine  = regexp.MustCompile(`^trace id (\S+) (\S+ \S+) (\S+) (packet:|rule|policy|verdict) ?(.*)$`)
	ruleEnd    = regexp.MustCompile(`^(.*) \(verdict ([a-z]+)[^)]*\)$`)
	fieldInIP  = regexp.MustCompile(`\bip6? (saddr|daddr) (\S+)`)
	fieldPort  = regexp.MustCompile(`\b(udp|tcp) (sport|dport) (\d+|\S+)`)
	fieldProto = regexp.MustCompile(`\b(?:ip protocol|ip6 nexthdr) (\S+)`)
	fieldND    = regexp.MustCompile(`\bicmpv6 type (nd-neighbor-\S+)`)
)

// parseTrace reads the output of `nft monitor trace`. Lines that it does not know it leaves out.
func parseTrace(text string) []Fate {
	packets := map[string]*traced{}
	var order []string
	for line := range strings.Lines(text) {
		m := traceLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		p := packets[m[1]]
		if p == nil {
			p = &traced{verdict: "accept"}
			packets[m[1]] = p
			order = append(order, m[1])
		}
		p.add(m[2], m[3], m[4], m[5])
	}
	var fates []Fate
	for _, id := range order {
		p := packets[id]
		if p.packet == "" {
			continue
		}
		fate := Fate{Packet: p.packet, Verdict: p.verdict, Table: p.table, Chain: p.chain, Rule: p.rule, Count: 1}
		same := func(f Fate) bool {
			f.Count = 1
			return f == fate
		}
		if at := slices.IndexFunc(fates, same); at >= 0 {
			fates[at].Count++
			continue
		}
		fates = append(fates, fate)
	}
	return fates
}

// add takes one line on the packet in.
func (p *traced) add(table, chain, what, rest string) {
	if what == "packet:" && p.packet == "" {
		p.packet = describe(rest)
	}
	if strings.HasSuffix(table, " "+traceTable) {
		return
	}
	switch what {
	case "policy":
		p.set(strings.TrimSpace(rest), table, chain, "")
	case "rule":
		if m := ruleEnd.FindStringSubmatch(strings.TrimSpace(rest)); m != nil {
			p.set(m[2], table, chain, uncounted(m[1]))
		}
	}
}

func (p *traced) set(verdict, table, chain, rule string) {
	if rejects.MatchString(quotes.ReplaceAllString(rule, "")) {
		verdict = "reject"
	}
	switch verdict {
	case "drop", "reject":
	case "accept":
		if rule == "" && p.rule != "" {
			return // a policy says less than the rule before it
		}
	default:
		return // it goes on
	}
	if p.verdict == "accept" {
		p.verdict, p.table, p.chain, p.rule = verdict, table, chain, rule
	}
}

var (
	quotes  = regexp.MustCompile(`"[^"]*"`)
	rejects = regexp.MustCompile(`\breject\b`)
)

var countsIn = regexp.MustCompile(`counter packets \d+ bytes \d+`)

func uncounted(rule string) string { return countsIn.ReplaceAllString(rule, "counter") }

// describe makes a short sentence of the fields of a packet.
func describe(fields string) string {
	ends := map[string]string{}
	for _, m := range fieldInIP.FindAllStringSubmatch(fields, -1) {
		ends[m[1]] = m[2]
	}
	protocol := "ip"
	if m := fieldProto.FindStringSubmatch(fields); m != nil {
		protocol = m[1]
	}
	for _, m := range fieldPort.FindAllStringSubmatch(fields, -1) {
		protocol = m[1]
		ends[m[2]] = ":" + m[3]
	}
	for at, port := range map[string]string{"saddr": "sport", "daddr": "dport"} {
		if ends[port] != "" && strings.Contains(ends[at], ":") {
			ends[at] = "[" + ends[at] + "]"
		}
	}
	switch m := fieldND.FindStringSubmatch(fields); {
	case m != nil:
		protocol = m[1]
	case protocol == "ipv6-icmp":
		protocol = "icmpv6"
	}
	return fmt.Sprintf("%s %s%s → %s%s", protocol, ends["saddr"], ends["sport"], ends["daddr"], ends["dport"])
}
