package trail

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/natflow"
	"github.com/labctl/labctl/schema"
)

// What nft 1.0.6 writes of one packet that a policy drops, of two that a rule does, and of one that is accepted.
const traces = `trace id a1 inet labctl_trace arriving packet: iif "eth0" ether saddr 52:54:00:00:00:01 ip saddr 10.0.0.2 ip daddr 198.51.100.2 ip ttl 63 ip protocol tcp ip length 60 tcp sport 40000 tcp dport 80 tcp flags == syn
trace id a1 inet labctl_trace arriving rule ip saddr { 10.0.0.2 } meta nftrace set 1 (verdict continue)
trace id a1 inet labctl_trace arriving policy accept
trace id a1 ip filter input packet: iif "eth0" ip saddr 10.0.0.2 ip daddr 198.51.100.2 ip protocol tcp tcp sport 40000 tcp dport 80
trace id a1 ip filter input rule iifname "eth0" counter packets 7 bytes 9 (verdict continue)
trace id a1 ip filter input policy drop
trace id b1 ip filter input packet: iif "eth0" ip saddr 10.0.0.2 ip daddr 198.51.100.2 ip protocol udp udp sport 5 udp dport 7
trace id b1 ip filter input rule udp dport 7 counter packets 1 bytes 2 drop (verdict drop)
trace id b2 ip filter input packet: iif "eth0" ip saddr 10.0.0.2 ip daddr 198.51.100.2 ip protocol udp udp sport 5 udp dport 7
trace id b2 ip filter input rule udp dport 7 counter packets 2 bytes 2 drop (verdict drop)
trace id c1 ip filter input packet: iif "eth0" ip saddr 10.0.0.2 ip daddr 198.51.100.2 ip protocol icmp icmp type echo-request
trace id c1 ip filter input rule icmp type echo-request accept (verdict accept)
trace id c1 ip other input packet: iif "eth0" ip saddr 10.0.0.2 ip daddr 198.51.100.2 ip protocol icmp
trace id c1 ip other input policy accept
something else
`

func TestParseTrace(t *testing.T) {
	want := []Fate{
		{Packet: "tcp 10.0.0.2:40000 → 198.51.100.2:80", Verdict: "drop", Table: "ip filter", Chain: "input", Count: 1},
		{Packet: "udp 10.0.0.2:5 → 198.51.100.2:7", Verdict: "drop", Table: "ip filter", Chain: "input", Rule: "udp dport 7 counter drop", Count: 2},
		{Packet: "icmp 10.0.0.2 → 198.51.100.2", Verdict: "accept", Table: "ip filter", Chain: "input", Rule: "icmp type echo-request accept", Count: 1},
	}
	if diff := cmp.Diff(want, parseTrace(traces)); diff != "" {
		t.Error(diff)
	}
}

func TestExplainNamesRuleCounterAndConnection(t *testing.T) {
	f, l := working(), lab(t)
	server := l.Resources[2].Body.(*schema.Guest)
	server.Ruleset = &schema.Ruleset{
		Text: "table ip filter {\n\tudp dport 7 counter drop;\n}", Lines: []schema.Pos{{}, {File: "lab.hcl", Line: 12, Column: 3}, {}},
	}
	sent := false
	f.rules = func(domain string) string {
		if domain != "d-server" || !sent {
			return "table ip filter {\n\tchain input {\n\t\ttcp dport 80 counter packets 1 bytes 60\n\t}\n}\n"
		}
		return "table ip filter {\n\tchain input {\n\t\ttcp dport 80 counter packets 4 bytes 240\n\t}\n}\n"
	}
	f.script = func(domain, script string) string {
		if domain == "d-server" && strings.Contains(script, "monitor trace") {
			return traces
		}
		return ""
	}
	at := netip.MustParseAddrPort
	f.flows = map[string][]natflow.Entry{"d-router": {
		{Protocol: "tcp", State: "SYN_SENT", From: at("10.0.0.2:40000"), To: at("198.51.100.2:80"), ReplyFrom: at("198.51.100.2:80"), ReplyTo: at("192.0.2.1:40000"), SourceNAT: true},
		{Protocol: "tcp", From: at("10.0.0.3:1"), To: at("10.0.0.4:2"), ReplyFrom: at("10.0.0.4:2"), ReplyTo: at("10.0.0.3:1")},
	}}
	p := Packet{Protocol: "tcp", From: end(t, "client", "10.0.0.2", 0), To: end(t, "server", "198.51.100.2", 80)}
	e := Tracer{Lab: l, Machines: f}.Explain(t.Context(), []Packet{p}, false, func() { sent = true })
	want := &Explanation{
		Path: path(Tracer{Lab: l, Machines: f}.Follow(t.Context(), p)),
		Rules: []string{
			"vm.server drops tcp 10.0.0.2:40000 → 198.51.100.2:80: no rule of chain input in table ip filter decides, and its policy is drop",
			"vm.server drops 2 times udp 10.0.0.2:5 → 198.51.100.2:7: table ip filter, chain input: udp dport 7 counter drop (lab.hcl:12:3)",
		},
		Rose:  []string{"vm.server: +3 in table ip filter, chain input: tcp dport 80 counter"},
		Flows: []string{"vm.router: tcp 10.0.0.2:40000 → 198.51.100.2:80, sent on from 192.0.2.1:40000, syn_sent, no answer"},
		Mend: []string{
			"in vm.server, a rule in chain input of table ip filter such as: tcp dport 80 accept",
			"in vm.server, take that rule away, or have one before it such as: tcp dport 80 accept",
		},
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Error(diff)
	}
	e = Tracer{Lab: l, Machines: f}.Explain(t.Context(), []Packet{p}, true, func() {})
	if got := strings.Join(e.Rules, "\n"); !strings.Contains(got, "vm.server accepts icmp") || len(e.Mend) != 1 || !strings.Contains(e.Mend[0], "narrow it") {
		t.Errorf("of what should not arrive: %+v", e)
	}
}
