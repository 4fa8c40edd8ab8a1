package main

import (
	"fmt"
	"strings"
)

// nftables writes a ruleset whose rules nft writes otherwise than they were given: other orders, names, intervals, numbers.
func (g *generator) nftables() {
	rules := []string{
		"ct state established,related accept", "tcp dport { 443, 80, 22 } counter accept", "ip saddr 10.0.0.1/8 drop",
		"icmp type echo-request limit rate 4/second accept", "iifname \\\"br*\\\" meta mark set 0x10", "udp dport domain accept",
		"ip daddr { 10.9.0.0/16, 10.8.0.0/16, 10.10.0.0/16 } counter", "meta l4proto { tcp, udp } th dport 1000-2000 drop",
		"tcp flags & (syn|ack) == syn counter", "ip6 saddr fd00::/8 accept", "log prefix \\\"seen \\\" level info", "ip ttl 1 reject",
		"ct count over 20 reject with tcp reset", "tcp dport vmap { 22 : accept, 23 : drop }", "quota over 10 mbytes drop", "counter",
	}
	picked := []string{}
	for _, n := range g.Perm(len(rules))[:1+g.IntN(6)] {
		picked = append(picked, `"`+rules[n]+`"`)
	}
	g.open("nftables", "rules")
	g.open("nftables.table", "inet", "rnd")
	g.maybe("nftables.table.comment", `"said of the table"`)
	g.open("nftables.table.chain", "input")
	g.maybe("nftables.table.chain.type", `"filter"`)
	g.say("nftables.table.chain.hook", `"input"`)
	g.maybe("nftables.table.chain.priority", []string{`"filter"`, `"-10"`, `"filter + 5"`}[g.IntN(3)])
	g.say("nftables.table.chain.policy", fmt.Sprintf("%q", []string{"accept", "drop"}[g.IntN(2)]))
	g.say("nftables.table.chain.rules", "[\n    "+strings.Join(picked, ",\n    ")+",\n  ]")
	g.maybe("nftables.table.chain.comment", `"said of the chain"`)
	g.close()
	for _, kind := range []string{"set", "map"} {
		if g.IntN(2) == 0 {
			g.elements("nftables.table." + kind)
		}
	}
	if g.sometimes() {
		g.open("nftables.table.quota", "month")
		g.say("nftables.table.quota.amount", []string{`"over 10 mbytes"`, `"25 kbytes"`}[g.IntN(2)])
		g.maybe("nftables.table.quota.comment", `"said of the quota"`)
		g.close()
	}
	if g.sometimes() {
		g.open("nftables.table.limit", "slow")
		g.say("nftables.table.limit.rate", []string{`"4/second"`, `"over 1 mbytes/second"`}[g.IntN(2)])
		g.maybe("nftables.table.limit.comment", `"said of the limit"`)
		g.close()
	}
	if g.sometimes() {
		g.open("nftables.table.counter", "seen")
		g.maybe("nftables.table.counter.comment", `"said of the counter"`)
		g.close()
	}
	g.close()
	g.close()
}

func (g *generator) maybe(where, value string) {
	if g.sometimes() {
		g.say(where, value)
	}
}

// elements writes a set or a map: one that lists what it holds, or one that packets fill.
func (g *generator) elements(where string) {
	g.open(where, where[strings.LastIndexByte(where, '.')+1:]+"s")
	defer g.close()
	isMap := strings.HasSuffix(where, ".map")
	typ := "ipv4_addr"
	if isMap {
		typ += " : verdict"
	}
	g.maybe(where+".comment", `"said of it"`)
	g.maybe(where+".policy", []string{`"performance"`, `"memory"`}[g.IntN(2)])
	if !isMap && g.sometimes() { // packets fill it
		g.say(where+".type", `"ipv4_addr"`)
		g.say(where+".flags", `["dynamic", "timeout"]`)
		g.say(where+".timeout", `"90s"`)
		g.maybe(where+".gc_interval", `"30s"`)
		g.maybe(where+".size", "4096")
		return
	}
	if isMap && g.sometimes() {
		g.say(where+".type", `"ipv4_addr : inet_service"`)
		g.say(where+".flags", `["dynamic", "timeout"]`)
		g.say(where+".timeout", `"2m"`)
		g.maybe(where+".size", "1024")
		return
	}
	g.say(where+".type", fmt.Sprintf("%q", typ))
	g.say(where+".flags", `["interval"]`)
	if !isMap {
		g.maybe(where+".auto_merge", "true")
	}
	held := []string{"10.2.0.0/16", "10.1.0.0/16", "192.0.2.9"}
	for n := range held {
		if isMap {
			held[n] += " : accept"
		}
		held[n] = fmt.Sprintf("%q", held[n])
	}
	g.say(where+".elements", "["+strings.Join(held, ", ")+"]")
}
