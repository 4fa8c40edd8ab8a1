package table

func nftables() Block {
	return Block{
		Kind: "nftables", Meta: true, Referable: true,
		Labels: []Label{{Name: "label", Doc: "The name in the lab, as in nftables.LABEL."}},
		Doc:    "A ruleset. It does nothing by itself: a vm or a host loads it by naming it in its nftables argument.",
		Attrs: []Attr{
			{Name: "ruleset", Type: String, Doc: "Rules in nft's own syntax, most often file(\"router.nft\"). It excludes table blocks."},
			idAttr(),
		},
		Blocks: []Block{nftTable()},
		Example: `nftables "client" {
  table "ip" "filter" {
    chain "input" {
      hook   = "input"
      policy = "drop"
      rules = [
        "ct state established,related accept",
        "tcp dport 22 counter accept",
      ]
    }
  }
}`,
	}
}

func nftTable() Block {
	name := func(doc string) []Label { return []Label{{Name: "name", Doc: doc}} }
	comment := Attr{Name: "comment", Type: String, Doc: "A remark that is kept in the kernel."}
	return Block{
		Kind: "table",
		Labels: []Label{
			{Name: "family", Doc: "The address family.", Enum: []string{"ip", "ip6", "inet", "arp", "bridge", "netdev"}},
			{Name: "name", Doc: "The table's name."},
		},
		Doc:   "A table of nftables; see nft(8).",
		Attrs: []Attr{comment},
		Blocks: []Block{
			{Kind: "chain", Labels: name("The chain's name."), Doc: "A chain. With hook it is a base chain that sees packets by itself; without it is one to jump to.",
				Attrs: []Attr{
					{Name: "type", Type: String, Enum: []string{"filter", "nat", "route"}, Derived: "filter, with hook", Doc: "The base chain's type."},
					{Name: "hook", Type: String, Enum: []string{"prerouting", "input", "forward", "output", "postrouting", "ingress", "egress"}, Doc: "Where in the packet's way it stands."},
					{Name: "priority", Type: String, Derived: "with hook: filter; dstnat or srcnat in a nat chain", Doc: "Its place among the chains of the same hook: a number, or a name such as dstnat, filter or srcnat, with +N or -N."},
					{Name: "policy", Type: String, Enum: []string{"accept", "drop"}, Derived: "accept, with hook", Doc: "What happens to packets that no rule decides on."},
					{Name: "device", Type: String, Coll: List, Doc: "The interfaces, for the hooks ingress and egress."},
					{Name: "rules", Type: String, Coll: List, Doc: "The rules in nft's own syntax, one an element, in order."},
					comment,
				}},
			{Kind: "set", Labels: name("The set's name, as in @NAME."), Doc: "A set of elements.", Attrs: append(setAttrs(), comment)},
			{Kind: "map", Labels: name("The map's name, as in @NAME."), Doc: "A map from elements to values or verdicts; its type is written KEY : VALUE.", Attrs: append(setAttrs(), comment)},
			{Kind: "flowtable", Labels: name("The flowtable's name, as in @NAME."), Doc: "A shortcut for established flows.",
				Attrs: []Attr{
					{Name: "hook", Type: String, Enum: []string{"ingress"}, Default: `"ingress"`, Doc: "Where it stands."},
					{Name: "priority", Type: String, Default: `"filter"`, Doc: "Its place there."},
					{Name: "devices", Type: String, Coll: List, Required: true, Doc: "The interfaces that it serves."},
					{Name: "counter", Type: Bool, Default: "false", Doc: "Whether it counts."},
				}},
			{Kind: "counter", Labels: name("The counter's name."), Doc: "A named counter.", Attrs: []Attr{comment}},
			{Kind: "quota", Labels: name("The quota's name."), Doc: "A named quota.", Attrs: []Attr{
				{Name: "amount", Type: String, Required: true, Doc: "As nft writes it: over 25 mbytes."}, comment,
			}},
			{Kind: "limit", Labels: name("The limit's name."), Doc: "A named limit.", Attrs: []Attr{
				{Name: "rate", Type: String, Required: true, Doc: "As nft writes it: 400/minute burst 5 packets."}, comment,
			}},
		},
	}
}

func setAttrs() []Attr {
	return []Attr{
		{Name: "type", Type: String, Doc: "The type of its elements, such as ipv4_addr or ipv4_addr . inet_service."},
		{Name: "typeof", Type: String, Doc: "An expression that has the type of its elements, such as ip saddr, instead of type."},
		{Name: "flags", Type: String, Coll: List, Enum: []string{"constant", "dynamic", "interval", "timeout"}, Doc: "Its properties."},
		{Name: "elements", Type: String, Coll: List, Doc: "Its elements, as nft writes them."},
		{Name: "timeout", Type: String, Doc: "How long an element stays, as nft writes it: 5m."},
		{Name: "gc_interval", Type: String, Doc: "How often elements that have timed out are cleared away."},
		{Name: "size", Type: Int, Min: ptr(1), Doc: "The most elements."},
		{Name: "policy", Type: String, Enum: []string{"performance", "memory"}, Doc: "What it is optimised for."},
		{Name: "auto_merge", Type: Bool, Default: "false", Doc: "Whether overlapping intervals are merged."},
	}
}
