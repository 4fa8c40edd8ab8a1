package nft_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/nft"
)

func read(t *testing.T, name string) nft.Ruleset {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := nft.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestParseKeepsEveryPart(t *testing.T) {
	r := read(t, "full.listing")
	filter := r.Table("inet", "filter")
	if filter == nil || r.Table("ip", "nat") == nil || r.Table("ip6", "nat") != nil {
		t.Fatalf("tables: %+v", r.Tables)
	}
	if filter.Comment != "hello { world" {
		t.Errorf("comment %q", filter.Comment)
	}
	got := map[string]nft.Object{}
	for _, o := range filter.Objects {
		got[o.Kind+" "+o.Name] = o
	}
	want := map[string]nft.Object{
		"counter c1":    {Kind: "counter", Name: "c1", Props: []string{`comment "cc"`}},
		"quota q1":      {Kind: "quota", Name: "q1", Props: []string{"over 10 mbytes"}},
		"limit l1":      {Kind: "limit", Name: "l1", Props: []string{"rate 10/second"}},
		"ct helper ftp": {Kind: "ct helper", Name: "ftp", Props: []string{`type "ftp" protocol tcp`, "l3proto inet"}},
		"set s": {Kind: "set", Name: "s", Props: []string{"type ipv4_addr . inet_service", "flags interval"}, Elements: []string{
			"1.2.3.0/24 . 80", "10.0.0.1 . 22", "11.0.0.1 . 22", "12.0.0.1 . 22", "13.0.0.1 . 22", "5.6.7.8 . 90-99"}},
		"set dyn": {Kind: "set", Name: "dyn", Props: []string{"type ipv4_addr", "size 100", "flags dynamic,timeout", "counter", "timeout 5m"}},
		"map fc": {Kind: "map", Name: "fc", Props: []string{
			"type inet_proto . inet_service : ipv4_addr . inet_service", "size 65535", "flags dynamic,timeout"}},
		"map m": {Kind: "map", Name: "m", Props: []string{"type inet_service : verdict"},
			Elements: []string{"22 : accept", `23 comment "a, b" : jump other`}},
		"chain other": {Kind: "chain", Name: "other", Props: []string{`comment "chain comm"`}},
		"chain input": {Kind: "chain", Name: "input", Props: []string{"type filter hook input priority filter; policy drop;"}, Rules: []string{
			"ct state invalid counter drop",
			`ct state established,related counter accept comment "it q { x"`,
			`iif "lo" accept`,
			"ip saddr { 1.1.1.1, 2.2.2.2, 3.3.3.3, 4.4.4.4, 5.5.5.5, 6.6.6.6, 7.7.7.7, 8.8.8.8, 9.1.1.1, 10.1.1.1, 11.1.1.1 } accept",
			"tcp dport vmap { 22 : accept, 80 : drop }",
			"quota over 100 bytes drop",
			"limit rate 5/minute accept",
			"meter mm size 65535 { ip saddr limit rate 10/second } accept",
			"update @dyn { ip saddr }",
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"}", "table ip x {", "chain c {\n}", "hello", "table ip x {\n chain c {\n", "table x {\n}"} {
		if r, err := nft.Parse([]byte(text)); err == nil {
			t.Errorf("%q was taken for %+v", text, r)
		}
	}
}

const oneChain = "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n\t\t%s\n\t}\n}\n"

func chain(t *testing.T, rules ...string) nft.Ruleset {
	t.Helper()
	r, err := nft.Parse([]byte(strings.ReplaceAll(oneChain, "%s", strings.Join(rules, "\n\t\t"))))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestDiffRules(t *testing.T) {
	rule := func(old, new string) nft.Difference {
		return nft.Difference{Table: "inet filter", Chain: "input", Kind: "rule", Old: old, New: new}
	}
	for name, test := range map[string]struct {
		have, want []string
		diff       []nft.Difference
	}{
		"same":    {[]string{"a", "b"}, []string{"a", "b"}, nil},
		"missing": {[]string{"a", "c"}, []string{"a", "b", "c"}, []nft.Difference{rule("", "b")}},
		"extra":   {[]string{"a", "b", "c"}, []string{"a", "c"}, []nft.Difference{rule("b", "")}},
		"changed": {[]string{"a", "b", "c"}, []string{"a", "B", "c"}, []nft.Difference{rule("b", ""), rule("", "B")}},
		"moved":   {[]string{"a", "b", "c"}, []string{"b", "c", "a"}, []nft.Difference{rule("a", ""), rule("", "a")}},
		"twice":   {[]string{"a", "a"}, []string{"a"}, []nft.Difference{rule("a", "")}},
	} {
		if diff := cmp.Diff(test.diff, nft.Diff(chain(t, test.have...), chain(t, test.want...))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestDiffWholeObjects(t *testing.T) {
	parse := func(text string) nft.Ruleset {
		r, err := nft.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	have := parse("table ip a {\n}\ntable ip b {\n\tcomment \"x\"\n\tset s {\n\t\ttype ipv4_addr\n\t\telements = { 1.1.1.1 }\n\t}\n" +
		"\tchain c {\n\t\ttype filter hook input priority filter; policy drop;\n\t}\n}\n")
	want := parse("table ip b {\n\tset s {\n\t\ttype ipv4_addr\n\t\telements = { 2.2.2.2 }\n\t}\n" +
		"\tchain c {\n\t\ttype filter hook input priority filter; policy accept;\n\t}\n}\ntable ip6 d {\n\tchain e {\n\t\taccept\n\t}\n}\n")
	if diff := cmp.Diff([]nft.Difference{
		{Table: "ip a", Kind: "table", Old: "table ip a"},
		{Table: "ip b", Kind: "comment", Old: "x"},
		{Table: "ip b", Chain: "s", Kind: "element", Old: "1.1.1.1"},
		{Table: "ip b", Chain: "s", Kind: "element", New: "2.2.2.2"},
		{Table: "ip b", Chain: "c", Kind: "chain", Old: "chain c { type filter hook input priority filter; policy drop; }",
			New: "chain c { type filter hook input priority filter; policy accept; }"},
		{Table: "ip6 d", Kind: "table", New: "table ip6 d"},
		{Table: "ip6 d", Chain: "e", Kind: "chain", New: "chain e"},
		{Table: "ip6 d", Chain: "e", Kind: "rule", New: "accept"},
	}, nft.Diff(have, want)); diff != "" {
		t.Error(diff)
	}
}

func TestDiffOfLargeChainsIsBounded(t *testing.T) {
	a, b := make([]string, 5000), make([]string, 5000)
	for i := range a {
		a[i], b[i] = "old "+strings.Repeat("x", i%7), "new "+strings.Repeat("x", i%7)
	}
	if n := len(nft.Diff(chain(t, a...), chain(t, b...))); n != 10000 {
		t.Errorf("%d differences", n)
	}
}

func TestParseError(t *testing.T) {
	got := nft.ParseError(`/dev/stdin:3:15-20: Error: syntax error, unexpected string
  tcp dprt 22 accept
      ^^^^
In file included from /dev/stdin:1:1-5:
/etc/x.nft:7:3-9: Error: Could not process rule: No such file or directory
/dev/stdin:9:1-2: Warning: this is old
Error: No such file
`)
	want := []nft.LineError{
		{Line: 3, Column: 15, Message: "syntax error, unexpected string"},
		{Line: 7, Column: 3, File: "/etc/x.nft", Message: "Could not process rule: No such file or directory"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzParseAndDiff(f *testing.F) {
	full, err := os.ReadFile("testdata/full.listing")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(full, []byte("table ip x {\n\tchain c {\n\t\taccept\n\t}\n}\n"))
	f.Add([]byte("table ip x {\n\tset s {\n\t\telements = { 1,\n\t2 }\n\t}\n}\n"), []byte("}"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		ra, errA := nft.Parse(a)
		rb, errB := nft.Parse(b)
		if errA != nil || errB != nil {
			return
		}
		if d := nft.Diff(ra, ra); len(d) != 0 {
			t.Fatalf("differs from itself: %+v", d)
		}
		there, back := nft.Diff(ra, rb), nft.Diff(rb, ra)
		if (len(there) == 0) != (len(back) == 0) {
			t.Fatalf("differs one way only: %+v, %+v", there, back)
		}
	})
}

func TestASetOfOneIsItsElement(t *testing.T) {
	parsed := func(rule string) nft.Ruleset {
		r, err := nft.Parse([]byte("table inet t {\n\tchain c {\n\t\t" + rule + "\n\t}\n}\n"))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for rule, same := range map[string]string{
		"ip daddr { 10.8.0.0-10.10.255.255 } counter":   "ip daddr 10.8.0.0-10.10.255.255 counter",
		"ip daddr != { 10.0.0.0/8 } drop":               "ip daddr != 10.0.0.0/8 drop",
		"ip saddr . tcp dport { 10.0.0.1 . 22 } accept": "ip saddr . tcp dport 10.0.0.1 . 22 accept",
	} {
		if !nft.Equal(parsed(rule), parsed(same)) {
			t.Errorf("%s differs from %s", rule, same)
		}
	}
	for rule, other := range map[string]string{
		"ip daddr { 10.0.0.1, 10.0.0.3 } drop":     "ip daddr 10.0.0.1 drop",
		"tcp dport vmap { 22 : accept }":           "tcp dport vmap 22 : accept",
		"update @seen { ip saddr } accept":         "update @seen ip saddr accept",
		"counter comment \"ip daddr { one } end\"": "counter comment \"ip daddr one end\"",
	} {
		if nft.Equal(parsed(rule), parsed(other)) {
			t.Errorf("%s is taken for %s", rule, other)
		}
	}
}

func TestTableTextIsReadAsWhatItWas(t *testing.T) {
	listing := "table ip a {\n\tchain c {\n\t\treject\n\t}\n}\n" +
		"table inet b {\n\tchain c {\n\t\tip saddr 10.0.0.1 reject\n\t\treject comment \"we reject\"\n\t\tlog prefix \"to reject\"\n\t\treject with icmp host-unreachable\n\t}\n}\n"
	want := "table inet b {\n\tchain c {\n\t\tip saddr 10.0.0.1 reject with icmpx port-unreachable\n\t\treject with icmpx port-unreachable comment \"we reject\"\n" +
		"\t\tlog prefix \"to reject\"\n\t\treject with icmp host-unreachable\n\t}\n}\n"
	if got := nft.TableText(listing, "inet b"); got != want {
		t.Errorf("got\n%s", got)
	}
	if got := nft.TableText(listing, "ip a"); !strings.Contains(got, "\t\treject\n") {
		t.Errorf("got\n%s", got)
	}
}
