//go:build sandbox

package nftables

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/internal/nft"
	"github.com/labctl/labctl/provider"
)

// surroundings is what generated rules refer to.
const surroundings = `define inside = { 10.0.0.0/8, 192.168.0.0/16 }
define wan = "eth0"
table inet chance {
	counter c1 { comment "named" }
	quota q1 { over 25 mbytes }
	limit l1 { rate 400/minute burst 5 packets }
	ct helper ftp { type "ftp" protocol tcp; l3proto ip; }
	ct timeout long { protocol udp; l3proto ip; policy = { unreplied : 10, replied : 20 }; }
	set addrs { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 172.16.0.1-172.16.0.9 }; }
	set ports { type inet_service; elements = { 22, 80, 443 }; }
	set pairs { type ipv4_addr . inet_service; flags interval; elements = { 10.0.0.1 . 22, 10.0.1.0/24 . 80-90 }; }
	set dyn { type ipv4_addr; flags dynamic,timeout; timeout 5m; size 100; }
	map verdicts { type inet_service : verdict; elements = { 22 : accept, 23 : drop, 80 : jump sub }; }
	map marks { type ipv4_addr : mark; elements = { 10.0.0.1 : 1, 10.0.0.2 : 2 }; }
	chain sub { }
	chain in {
		type filter hook input priority filter; policy accept;
`

// generator writes rules in nft's words. What one field draws is drawn again each time it is used.
type generator struct{ *rand.Rand }

func (g generator) pick(of ...string) string { return of[g.IntN(len(of))] }
func (g generator) number(most int) string   { return fmt.Sprint(1 + g.IntN(most)) }
func (g generator) address() string {
	return fmt.Sprintf("%s.%d.%d.%d", g.pick("10", "172", "192", "203"), g.IntN(256), g.IntN(256), 1+g.IntN(254))
}

func (g generator) network() string { return fmt.Sprintf("%s/%d", g.address(), 8+g.IntN(25)) }

func (g generator) ports() string {
	low := 1 + g.IntN(60000)
	return g.pick(fmt.Sprint(low), fmt.Sprintf("%d-%d", low, low+1+g.IntN(5000)), fmt.Sprintf("{ %d, %d-%d }", low, low+10, low+20), "@ports", "!= 22", "{ ssh, http, 8000 }")
}

func (g generator) from() string {
	return g.pick(g.address(), g.network(), "!= "+g.network(), "{ "+g.address()+", "+g.address()+" }", "@addrs", "!= @addrs", "$inside",
		"10.1.0.1-10.1.0."+fmt.Sprint(2+g.IntN(250)))
}

func (g generator) match() string {
	switch g.IntN(28) {
	case 0, 1, 2:
		return "ip " + g.pick("saddr ", "daddr ") + g.from()
	case 3, 4:
		return g.pick("tcp ", "udp ", "th ") + g.pick("dport ", "sport ") + g.ports()
	case 5:
		return "ip6 " + g.pick("saddr ", "daddr != ") + g.pick("2001:db8::/32", "fe80::1", "{ ::1, 2001:db8:1::-2001:db8:1::ff }")
	case 6:
		return "ct state " + g.pick("established,related", "new", "{ new, invalid }", "! established", "untracked")
	case 7:
		return g.pick("ct mark ", "meta mark ") + g.pick("0x1", "!= 7", "{ 1, 2, 3 }", "and 0xff == 0x10", "1-9")
	case 8:
		return "iifname " + g.pick("$wan", `"br0"`, `{ "eth0", "eth1" }`, `!= "lo"`, `"tap*"`)
	case 9:
		return "meta l4proto " + g.pick("tcp", "{ tcp, udp }", "!= icmp", "47")
	case 10:
		return "tcp flags " + g.pick("syn", "& (fin|syn|rst|ack) == syn", "& (syn|ack) != 0", "! ack", "fin,syn / fin,syn")
	case 11:
		return "ip " + g.pick("ttl < ", "ttl != ", "length > ") + g.number(200)
	case 12:
		return "ip dscp " + g.pick("cs1", "!= af21", "{ ef, cs6 }", "0x0a")
	case 13:
		return g.pick("fib daddr type local", "fib saddr . iif oif missing", "fib daddr type { local, broadcast }", "fib saddr . mark . iif oif != 0")
	case 14:
		return "icmp type " + g.pick("echo-request", "{ echo-request, destination-unreachable }", "!= redirect")
	case 15:
		return "icmpv6 type " + g.pick("nd-neighbor-solicit", "{ nd-router-advert, nd-neighbor-advert }")
	case 16:
		return "ip saddr . tcp dport " + g.pick("@pairs", "{ "+g.address()+" . "+g.number(60000)+", "+g.address()+" . 1-99 }")
	case 17:
		return g.pick("meta length "+g.number(1000)+"-2000", "meta pkttype broadcast", "meta nfproto ipv4", "meta skuid 0-99", "meta protocol ip")
	case 18:
		return g.pick("ether saddr 52:54:00:00:00:0", "ether daddr != 52:54:00:00:01:0") + g.number(9)
	case 19:
		// Of the network header nft 1.0.6 lists some fields, behind a match of IPv6, in words that it does not read again.
		return fmt.Sprintf("@th,%d,%d 0x%x", 8*g.IntN(4), 8, g.IntN(255))
	case 20:
		return g.pick("numgen random mod 10 < 3", "numgen inc mod 4 1", "jhash ip saddr mod 8 2", "symhash mod 2 1")
	case 21:
		return "ct " + g.pick("direction original", "status dnat", "status snat,assured", "expiration < 1m", "original ip saddr 10.0.0.1", "original proto-dst 80", `helper "ftp"`, "zone 3")
	case 22:
		return "tcp option maxseg " + g.pick("size 1-500", "exists", "missing")
	case 23:
		return "ip frag-off & 0x1fff " + g.pick("!= 0", "== 0")
	case 24:
		return "ip protocol " + g.pick("tcp", "{ esp, ah, gre }", "!= udp")
	case 25:
		return "socket " + g.pick("transparent 1", "mark 0x1", "wildcard 0")
	case 26:
		return "rt " + g.pick("classid 7", "ip nexthop 10.0.0.1")
	}
	return "meta iifname . ip saddr { \"eth0\" . " + g.address() + ", \"eth1\" . " + g.address() + " }"
}

func (g generator) statement() string {
	switch g.IntN(15) {
	case 0, 1, 2:
		return "counter"
	case 3:
		return g.pick(`counter name "c1"`, "counter name tcp dport map { 80 : \"c1\", 443 : \"c1\" }")
	case 4:
		return "log " + g.pick(`prefix "seen: "`, `prefix "a b" level info`, "group 2 snaplen 80", "flags all", `level debug`)
	case 5:
		return "limit rate " + g.pick("", "over ") + g.number(50) + g.pick("/second", "/minute burst 9 packets", "/hour", "/day") + ""
	case 6:
		return "limit rate " + g.number(50) + " " + g.pick("kbytes/second", "mbytes/minute burst 64 kbytes")
	case 7:
		return g.pick("quota over "+g.number(90)+" mbytes", "quota 10 kbytes", `quota name "q1"`, `limit name "l1"`)
	case 8:
		return g.pick("meta mark set ", "ct mark set ") + g.pick("0x1", "meta mark", "ct mark", "ct mark and 0xff or 0x100", "ip saddr map @marks", "numgen inc mod 3 map { 0 : 1, 1 : 2, 2 : 3 }")
	case 9:
		return "meta priority set " + g.pick("1:2", "root", "none", "abcd:1")
	case 10:
		return g.pick(`ct helper set "ftp"`, `ct timeout set "long"`)
	case 11:
		return g.pick("update", "add") + " @dyn { ip saddr " + g.pick("", "timeout 1m ", "limit rate 3/second ", "counter ") + "}"
	case 12:
		return "ip dscp set " + g.pick("cs1", "af31", "0x2")
	case 13:
		return "tcp option maxseg size set " + g.pick("1400", "rt mtu")
	}
	return g.pick("meta nftrace set 1", "ct event set new,destroy", "ip ttl set 9", "delete @dyn { ip saddr }")
}

func (g generator) verdict() string {
	return g.pick("accept", "drop", "continue", "return", "jump sub", "goto sub", "", "reject", "reject with tcp reset", "reject with icmpx port-unreachable",
		"reject with icmp type host-prohibited", "queue num 3", "queue flags bypass to 1-3", "tcp dport vmap @verdicts", "ct state vmap { established : accept, invalid : drop }",
		"ip saddr vmap { 10.0.0.0/24 : jump sub, 10.0.1.1-10.0.1.9 : drop }", "meta l4proto vmap { tcp : goto sub, udp : accept }")
}

func (g generator) rule() string {
	var parts []string
	for range g.IntN(4) {
		parts = append(parts, g.match())
	}
	for range g.IntN(3) {
		parts = append(parts, g.statement())
	}
	parts = append(parts, g.verdict())
	if g.IntN(4) == 0 {
		parts = append(parts, g.pick(`comment "why"`, `comment "a; b { c } # d"`, `comment "it's"`))
	}
	return strings.Join(strings.Fields(strings.Join(parts, " ")), " ")
}

// hand are rules that are hard in ways that chance seldom finds.
var hand = []string{
	"ip saddr { 10.0.0.0/25, 10.0.0.128/25 } accept",  // neighbours that become one interval
	"ip saddr { 10.0.0.1 } drop",                      // a set of one
	"tcp dport { 80, 81, 82, 83 } accept",             // no interval, though it looks like one
	"ip saddr 10.0.0.1/8 accept",                      // bits of the host
	"tcp dport ssh accept", "udp dport domain accept", // names of services
	"meta mark 010 accept", "meta mark 0x0000000f accept", // other ways to write numbers
	"limit rate 10/second burst 5 packets accept",              // the default burst, said
	"ct state related, established accept",                     // flags in another order
	"ip6 saddr 2001:0DB8:0::0001 accept",                       // the long way to write an address
	"iif lo accept", "iif \"lo\" ip daddr != 127.0.0.0/8 drop", // by index
	"tcp dport 1-65535 accept", "ip saddr 0.0.0.0/0 accept", // everything
	"log prefix \"with \\\\ and 'quotes'\" accept", // what has to be quoted
	"counter packets 5 bytes 100 accept",           // numbers of a counter that has begun
	"ip saddr . ip daddr . tcp dport { 10.0.0.1 . 10.0.0.2 . 80, 10.0.1.0/24 . 10.0.2.0/24 . 1-99 } accept",
	"ip saddr . tcp dport vmap { 10.0.0.1 . 22 : accept, 10.0.0.2 . 23 : drop }",
	"meta l4proto . th dport { tcp . 53, udp . 53 } accept",
	"tcp flags & (fin | syn | rst | psh | ack | urg) == fin | psh | urg drop",
	"ct mark set ip saddr . tcp dport map { 10.0.0.1 . 80 : 7, 10.0.0.2 . 81 : 8 }",
	"ip saddr { 10.0.0.1, 10.0.0.2 } tcp dport { 1, 2 } udp sport 4 accept comment \"never true, and loads\"",
	"update @dyn { ip saddr timeout 30s limit rate over 3/second burst 9 packets } drop",
	"meta time \"2030-01-01 00:00:00\" accept", "meta day \"Saturday\" accept",
	"tcp option sack-permitted exists accept", "exthdr frag exists drop",
	"ip daddr @nh,96,24 0x0a0000 accept",
}

// taken reports whether nft itself takes the rule, and then reads its own listing of it: of rules that contradict themselves,
// such as one on both IP versions, version 1.0.6 writes a listing that it refuses.
func taken(t *testing.T, rule string) bool {
	t.Helper()
	_, listing, err := nft.Scratch(t.Context(), host.Local{}, ruleset(rule))
	if err != nil {
		return false
	}
	_, _, err = nft.Scratch(t.Context(), host.Local{}, nft.TableText(listing, "inet chance"))
	return err == nil
}

func ruleset(all ...string) string {
	return surroundings + "\t\t" + strings.Join(all, "\n\t\t") + "\n\t}\n}\n"
}

// TestEveryRulesetLeavesNothingToDo applies rules that chance and malice wrote, finds nothing more to do, changes one of
// them, in the text and behind labctl's back, and finds that one alone.
func TestEveryRulesetLeavesNothingToDo(t *testing.T) {
	const wanted, together = 300, 12
	seed := uint64(20261124)
	if text := os.Getenv("LABCTL_SEED"); text != "" { // others, on demand
		if _, err := fmt.Sscan(text, &seed); err != nil {
			t.Fatal(err)
		}
	}
	g := generator{rand.New(rand.NewPCG(seed, 1))}
	p := clean(t)
	if !taken(t, "accept") {
		t.Fatal("nft takes nothing of this")
	}
	var batch []string
	applied, refused := 0, 0
	flush := func() {
		changeOne(t, p, g, batch)
		applied += len(batch)
		batch = nil
	}
	for _, rule := range hand {
		if !taken(t, rule) {
			t.Logf("nft does not take: %s", rule)
			continue
		}
		if batch = append(batch, rule); len(batch) == together {
			flush()
		}
	}
	flush()
	ours := applied
	for applied-ours+len(batch) < wanted {
		rule := g.rule()
		if rule == "" || !taken(t, rule) {
			if refused++; refused > 5*wanted {
				t.Fatalf("nft refuses nearly everything: %d rules, and took %d", refused, applied+len(batch))
			}
			continue
		}
		if batch = append(batch, rule); len(batch) == together {
			flush()
		}
	}
	flush()
	t.Logf("%d rules by hand and %d by chance (seed %d; nft refused %d more)", ours, applied-ours, seed, refused)
	if ours < len(hand)*3/4 {
		t.Errorf("nft took %d of %d rules by hand", ours, len(hand))
	}
}

func changeOne(t *testing.T, p *Provider, g generator, batch []string) {
	t.Helper()
	if len(batch) == 0 {
		return
	}
	whole := rules(ruleset(batch...))
	converge(t, p, whole)
	n := g.IntN(len(batch))
	// In the text.
	changed := append([]string(nil), batch...)
	changed[n] = "ip saddr 198.51.100.99 tcp dport 4321 counter drop"
	c := plan(t, p, rules(ruleset(changed...)))[0]
	if !isOneRule(c, "", "198.51.100.99") {
		t.Errorf("rule %d of\n%s\nwas changed from\n%s\nand the plan says %+v", n+1, strings.Join(batch, "\n"), batch[n], c.Details)
	}
	// Behind labctl's back: what stands at that place is replaced.
	handle := ruleHandle(t, n)
	run(t, "nft", "replace", "rule", "inet", "chance", "in", "handle", handle, "ip", "saddr", "198.51.100.77", "drop")
	c = plan(t, p, whole)[0]
	if !isOneRule(c, "198.51.100.77", "") {
		t.Errorf("rule %d of\n%s\nwas replaced, and the plan says %+v", n+1, strings.Join(batch, "\n"), c.Details)
	}
	converge(t, p, whole)
}

// isOneRule reports whether a change is an update of a single rule, with these words on its sides.
func isOneRule(c provider.Change, old, now string) bool {
	if c.Action != provider.Update || len(c.Details) == 0 || len(c.Details) > 2 {
		return false
	}
	var before, after string
	for _, d := range c.Details {
		if !strings.HasSuffix(d.Path, ".chain.in.rule") {
			return false
		}
		if text, ok := d.Old.(string); ok {
			before += text
		}
		if text, ok := d.New.(string); ok {
			after += text
		}
	}
	return before != "" && after != "" && strings.Contains(before, old) && strings.Contains(after, now)
}

// ruleHandle is the kernel's handle of the nth rule of the chain, from 0.
func ruleHandle(t *testing.T, n int) string {
	t.Helper()
	var handles []string
	for line := range strings.Lines(run(t, "nft", "-a", "list", "chain", "inet", "chance", "in")) {
		head, handle, ok := strings.Cut(strings.TrimSpace(line), " # handle ")
		if ok && !strings.HasSuffix(head, "{") {
			handles = append(handles, handle)
		}
	}
	if n >= len(handles) {
		t.Fatalf("%d rules, and rule %d is asked for", len(handles), n+1)
	}
	return handles[n]
}

// TestIncludedFilesAreRules changes a rule in a file that the ruleset includes.
func TestIncludedFilesAreRules(t *testing.T) {
	p := clean(t)
	dir := t.TempDir()
	write := func(port string) {
		t.Helper()
		text := "define port = " + port + "\ntable inet included {\n\tchain c {\n\t\ttype filter hook input priority filter; policy accept;\n\t\ttcp dport $port accept\n\t}\n}\n"
		if err := os.WriteFile(filepath.Join(dir, "rules.nft"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("22")
	text := fmt.Sprintf("include \"%s/*.nft\"\ntable ip own {\n\tchain c {\n\t\tcounter\n\t}\n}\n", dir)
	converge(t, p, rules(text))
	write("23")
	again := New(host.Local{}) // another run of labctl, which knows nothing of the file as it was
	again.Root = p.Root
	c := plan(t, again, rules(text))[0]
	if c.Action != provider.Update || len(c.Details) == 0 || !strings.Contains(fmt.Sprint(c.Details), "tcp dport 23 accept") {
		t.Errorf("planned %s %+v", c.Action, c.Details)
	}
	converge(t, again, rules(text))
}
