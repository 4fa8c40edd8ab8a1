package view

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/labctl/labctl/provider"
)

func TestRulesAreGatheredByTableAndChain(t *testing.T) {
	got := attributes([]provider.Detail{
		{Path: "nat.type", Old: "full_cone", New: "symmetric"},
		{Path: `nftables["ip nat"].mapped`, Old: "map mapped { }"},
		{Path: `nftables["ip nat"].postrouting.rule`, Old: "old 1"},
		{Path: `nftables["ip filter"].input.rule`, New: "other"},
		{Path: `nftables["ip nat"].postrouting.rule`, Old: "old 2", New: "new 2"},
		{Path: `nftables["ip nat"].peers.element`, New: "192.0.2.1"},
		{Path: "hostname", New: "x"},
		{Path: `table["inet t"].chain.forward.rule`, New: "tcp dport 23 drop"},
		{Path: `table["inet t"].set.s.element`, Old: "22"},
		{Path: `table["inet t"].chain.gone`, Old: "chain gone {\n\taccept\n}"},
	})
	want := []Attribute{
		{Symbol: "~", Path: "nat.type", Old: `"full_cone"`, New: `"symmetric"`},
		{Symbol: "~", Path: "table ip nat", Lines: []Line{
			{"-", "map mapped { }"},
			{"", "chain postrouting"}, {"-", "old 1"}, {"-", "old 2"}, {"+", "new 2"},
			{"", "set peers"}, {"+", "192.0.2.1"},
		}},
		{Symbol: "~", Path: "table ip filter", Lines: []Line{{"", "chain input"}, {"+", "other"}}},
		{Symbol: "+", Path: "hostname", New: `"x"`},
		{Symbol: "~", Path: "table inet t", Lines: []Line{
			{"", "chain forward"}, {"+", "tcp dport 23 drop"}, {"", "set s"}, {"-", "22"},
			{"-", "chain gone {"}, {"-", "    accept"}, {"-", "}"},
		}},
	}
	for n := range want {
		want[n].Effect = got[n].Effect // Details here have none, which counts as not live
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Attribute{})); diff != "" {
		t.Error(diff)
	}
}
