package trail

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/labctl/labctl/internal/natflow"
	"github.com/labctl/labctl/internal/nft"
	"github.com/labctl/labctl/internal/probe/inside"
	"github.com/labctl/labctl/schema/nat"
)

// Seen is what one machine showed while packets were sent again.
type Seen struct {
	Machine Hop
	Rose    []nft.Count     // counters of its rules
	Fates   []Fate          // what its rules did to the packets, where they could be traced
	Flows   []natflow.Entry // connections between the machines on the way that it tracks
}

// watched are the packets that count: of one protocol, between some addresses, from or to some ports.
type watched struct {
	protocol  string
	six       bool // IPv6
	addresses map[netip.Addr]bool
	ports     []int // none for a protocol with no ports
}

// Witness lets all machines on the ways watch while again sends the packets once more. Machines that cannot be asked are
// left out.
func (t Tracer) Witness(ctx context.Context, packets []Packet, ways [][]Hop, again func()) []Seen {
	w := watched{protocol: packets[0].Protocol, addresses: map[netip.Addr]bool{}}
	if to, err := netip.ParseAddr(packets[0].To.Address); err == nil {
		w.six = to.Is6()
	}
	for _, p := range packets {
		if to, err := netip.ParseAddr(p.To.Address); err == nil {
			w.addresses[to] = true
		}
		if p.To.Port != 0 {
			w.ports = append(w.ports, p.To.Port)
		}
		if to, ok := t.Receiver(p.Protocol, p.To); ok && to.Port != p.To.Port {
			w.ports = append(w.ports, to.Port)
		}
	}
	var machines []Hop
	known := map[string]bool{}
	for _, hops := range ways {
		for _, h := range hops {
			if !known[h.Domain] {
				known[h.Domain] = true
				machines = append(machines, h)
			}
			w.add(h, packets)
		}
	}
	seen := make([]Seen, len(machines))
	before := make([][]nft.Count, len(machines))
	each(machines, func(n int, h Hop) {
		seen[n].Machine = h
		before[n] = t.counts(ctx, h.Domain)
	})
	stop := t.trace(ctx, w, machines, func(n int, fates []Fate) { seen[n].Fates = fates })
	again()
	stop()
	each(machines, func(n int, h Hop) {
		seen[n].Rose = nft.Rose(before[n], t.counts(ctx, h.Domain))
		seen[n].Flows = t.flows(ctx, h.Domain, w)
	})
	return seen
}

// each does something for all machines side by side.
func each(machines []Hop, do func(n int, h Hop)) {
	var wait sync.WaitGroup
	for n, h := range machines {
		wait.Go(func() { do(n, h) })
	}
	wait.Wait()
}

// add takes a machine's own addresses among those that count, and what it makes of the senders' by translation.
func (w *watched) add(h Hop, packets []Packet) {
	if h.Guest == nil {
		return
	}
	for _, i := range h.Guest.Interfaces {
		for _, a := range i.Addresses {
			if prefix, err := netip.ParsePrefix(a); err == nil {
				w.addresses[prefix.Addr()] = true
			}
		}
	}
	n := h.Guest.NAT
	if w.six {
		n = h.Guest.NAT6
	}
	for _, p := range packets {
		from, err := netip.ParseAddr(p.From.Address)
		if n == nil || err != nil {
			continue
		}
		if outside := nat.SeenAs(*n, from); outside.IsValid() {
			w.addresses[outside] = true
		}
	}
}

// between reports whether a connection is one between machines on the way.
func (w *watched) between(e natflow.Entry) bool {
	return (e.Protocol == w.protocol || e.Protocol == w.protocol+"v6") &&
		w.addresses[e.From.Addr()] && (w.addresses[e.To.Addr()] || w.addresses[e.ReplyFrom.Addr()]) &&
		(len(w.ports) == 0 || slices.Contains(w.ports, int(e.To.Port())) || slices.Contains(w.ports, int(e.ReplyFrom.Port())))
}

// matches are the conditions of rules that select the packets: each is for one rule.
func (w *watched) matches() []string {
	family, protocol := "ip", w.protocol
	if w.six {
		family = "ip6"
	}
	match := "meta l4proto " + protocol
	switch {
	case protocol == "icmp" && w.six:
		match = "icmpv6 type { echo-request, echo-reply }"
	case protocol == "icmp":
		match = "icmp type { echo-request, echo-reply }"
	}
	var addresses []string
	for _, a := range slices.SortedFunc(maps.Keys(w.addresses), netip.Addr.Compare) {
		if a.Is6() == w.six {
			addresses = append(addresses, a.String())
		}
	}
	if len(addresses) > 0 {
		match += fmt.Sprintf(" %[1]s saddr { %[2]s } %[1]s daddr { %[2]s }", family, strings.Join(addresses, ", "))
	}
	matches := []string{match}
	if len(w.ports) > 0 {
		ports := strings.Trim(strings.Join(strings.Fields(fmt.Sprint(w.ports)), ", "), "[]")
		matches = []string{match + " th dport { " + ports + " }", match + " th sport { " + ports + " }"}
	}
	if w.six {
		// Without these nobody finds the next machine, and a firewall that drops them is easily written.
		matches = append(matches, "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert }")
	}
	return matches
}

func (t Tracer) counts(ctx context.Context, domain string) []nft.Count {
	exit, text, err := t.Machines.Run(ctx, domain, "nft", "list", "ruleset")
	if err != nil || exit != 0 {
		return nil
	}
	live, err := nft.ParseLive([]byte(text))
	if err != nil {
		return nil
	}
	return live.Counts
}

func (t Tracer) flows(ctx context.Context, domain string, w watched) (flows []natflow.Entry) {
	if domain == "" {
		return nil // the helper is in machines only
	}
	answer, err := t.Machines.Ask(ctx, domain, inside.Request{Flows: true})
	if err != nil {
		return nil
	}
	for _, e := range answer.Flows {
		if w.between(e) {
			flows = append(flows, e)
		}
	}
	return flows
}

// traceTable is where the rules that switch tracing on are, for as long as packets are traced. A machine in which it stays,
// because the agent went away, differs from what is declared, and the next apply removes it.
const traceTable = "labctl_trace"

// traceScript writes what happens to packets until a file comes, for at most a time. nft writes each event as it comes.
const traceScript = `nft -f - <<'END' || exit 1
table inet ` + traceTable + ` {
	chain arriving { type filter hook prerouting priority -350; RULES; }
	chain leaving { type filter hook output priority -350; RULES; }
}
END
trap 'nft delete table inet ` + traceTable + `; rm -f STOP' EXIT
nft monitor trace &
monitor=$!
for wait in $(seq 150); do
	[ -e STOP ] && break
	sleep 0.1
done
kill $monitor
wait $monitor
exit 0
`

// traceStart is how long the machines may take to begin.
const traceStart = "for wait in $(seq 30); do nft list table inet " + traceTable + " >/dev/null 2>&1 && exit; sleep 0.1; done"

// trace begins to trace in all machines of the lab among those, and returns what ends it and waits for the results. The
// host's rules are nobody's to add to.
func (t Tracer) trace(ctx context.Context, w watched, machines []Hop, found func(n int, fates []Fate)) (stop func()) {
	var rules []string
	for _, match := range w.matches() {
		rules = append(rules, match+" meta nftrace set 1")
	}
	const file = "/run/labctl-trace-ends"
	script := strings.NewReplacer("RULES", strings.Join(rules, "; "), "STOP", file).Replace(traceScript)
	var wait sync.WaitGroup
	each(machines, func(n int, h Hop) {
		if h.Domain == "" {
			return
		}
		wait.Go(func() {
			if exit, text, err := t.Machines.Run(ctx, h.Domain, "sh", "-c", script); err == nil && exit == 0 {
				found(n, parseTrace(text))
			}
		})
		_, _, _ = t.Machines.Run(ctx, h.Domain, "sh", "-c", traceStart)
	})
	return func() {
		each(machines, func(_ int, h Hop) {
			if h.Domain != "" {
				_, _, _ = t.Machines.Run(ctx, h.Domain, "touch", file)
			}
		})
		wait.Wait()
	}
}
