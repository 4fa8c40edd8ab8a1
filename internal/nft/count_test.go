package nft

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const working = `table inet filter {
	set seen {
		type ipv4_addr
		flags dynamic,timeout
		elements = { 10.0.0.9 timeout 5m expires 4m59s }
	}

	counter drops {
		packets 7 bytes 420
	}

	chain input {
		type filter hook input priority filter; policy drop;
		iifname "lo" accept
		iifname "a b" counter packets 3 bytes 180 accept comment "counter of packets 9 bytes 9"
		counter packets 0 bytes 0 comment "what is left"
		tcp dport 1 drop comment "counter packets 1 bytes 1"
	}
}
`

func TestParseLiveCounts(t *testing.T) {
	live, err := ParseLive([]byte(working))
	if err != nil {
		t.Fatal(err)
	}
	want := []Count{
		{Table: "inet filter", Chain: "drops", Packets: 7, Bytes: 420},
		{Table: "inet filter", Chain: "input", Number: 2, Rule: `iifname "a b" counter accept comment "counter of packets 9 bytes 9"`, Packets: 3, Bytes: 180},
		{Table: "inet filter", Chain: "input", Number: 3, Rule: `counter comment "what is left"`},
	}
	if diff := cmp.Diff(want, live.Counts); diff != "" {
		t.Error(diff)
	}
	table := live.Table("inet", "filter")
	if got := table.Objects[0].Elements; len(got) != 1 || got[0] != "10.0.0.9 timeout 5m expires 4m59s" {
		t.Errorf("what packets brought: %q", got)
	}
	if got := table.Objects[2].Rules[3]; got != `tcp dport 1 drop comment "counter packets 1 bytes 1"` {
		t.Errorf("a rule with no counter: %s", got)
	}
}

func TestRose(t *testing.T) {
	before, err := ParseLive([]byte(working))
	if err != nil {
		t.Fatal(err)
	}
	now := append([]Count(nil), before.Counts...)
	now[0].Packets, now[0].Bytes = 9, 500
	now = append(now, Count{Table: "ip new", Chain: "c", Number: 1, Rule: "counter", Packets: 1, Bytes: 60})
	want := []Count{{Table: "inet filter", Chain: "drops", Packets: 2, Bytes: 80}, now[3]}
	if diff := cmp.Diff(want, Rose(before.Counts, now)); diff != "" {
		t.Error(diff)
	}
}
