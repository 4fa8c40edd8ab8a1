package nat

import (
	"fmt"
	"math"
	"net/netip"
	"strings"

	"github.com/labctl/labctl/schema"
)

// Table is the name of the nftables table (family ip or ip6) that Compile writes.
const Table = "labctl_nat"

// Seconds that the learned elements live when the declaration gives no timeout. RFC 4787 section 4.3 asks for more than
// two minutes and recommends five.
const defaultLifetime = 300

// The row of outside ports for schema.NAT.Ports = "contiguous". Its length bounds the mappings that live side by side.
const (
	rowStart  = 20000
	rowLength = 256
)

// Compile writes n as one nftables table in nft's own syntax: deterministic, and without `flush ruleset`. Sets and maps
// with `flags dynamic,timeout` start empty and are filled by the kernel: their elements are state, not configuration.
func Compile(n schema.NAT) string {
	r := newRouter(Resolve(n))
	var t text
	t.open("table " + r.ip + " " + Table)
	if r.Type == PrefixOnly {
		r.prefixesIn(&t)
		r.prefixesOut(&t)
		r.unknownSubnets(&t)
		t.close()
		return t.String()
	}
	r.lifetimes(&t)
	r.sets(&t)
	r.prerouting(&t)
	r.postrouting(&t)
	r.learn(&t)
	r.input(&t)
	r.forward(&t)
	r.output(&t)
	t.close()
	return t.String()
}

// router is a resolved NAT and what follows from it.
type router struct {
	schema.NAT
	ip      string // the family of the table, and nft's word for a header: "ip" or "ip6"
	oneArm  bool
	address netip.Addr   // of the outside interface; invalid where it is not known before it runs
	subnet  netip.Prefix // of address; invalid where not known
	reuses  bool         // mappings are reused: the map "mapped" and the set "taken"
	lets    bool         // unsolicited packets may come in: the map "endpoints"
	peers   bool         // and only from addresses that were sent to: the set "peers"
	hosts   bool         // inside hosts have to be told from peers on one arm: the set "hosts"
}

func newRouter(n schema.NAT) *router {
	r := &router{NAT: n, ip: IPv4, oneArm: len(n.Inside) == 0}
	if n.Family == IPv6 {
		r.ip = IPv6
	}
	r.address, r.subnet = outsideAddress(n.OutsideAddress)
	r.Hairpin = n.Hairpin && r.address.IsValid()
	r.reuses = n.Mapping == EndpointIndependent
	r.lets = n.Filtering != AddressAndPortDependent || r.Hairpin
	r.peers = n.Filtering == AddressDependent
	r.hosts = r.oneArm && (r.lets || len(n.Forwards) > 0)
	return r
}

// own matches packets sent to the router's outside address.
func (r *router) own() string {
	if r.address.IsValid() {
		return r.ip + " daddr " + r.address.String()
	}
	return "fib daddr type local"
}

func (r *router) insideNames() string { return quoteAll(r.Inside) }

// lifetimes writes ct timeout objects; without a declared timeout the kernel's own stand.
func (r *router) lifetimes(t *text) {
	type life struct{ protocol, policy string }
	var lives []life
	if s := seconds(r.UDPTimeout); s > 0 {
		lives = append(lives, life{"udp", fmt.Sprintf("unreplied : %d, replied : %d", s, s)})
	}
	if s := seconds(r.TCPTimeout); s > 0 {
		lives = append(lives, life{"tcp", fmt.Sprintf("established : %d", s)})
	}
	if len(lives) == 0 {
		return
	}
	for _, l := range lives {
		t.open("ct timeout " + l.protocol + "_lifetime")
		t.line("protocol %s;", l.protocol)
		t.line("l3proto %s;", r.ip)
		t.line("policy = { %s };", l.policy)
		t.close()
	}
	t.open("chain lifetimes")
	t.line("type filter hook prerouting priority mangle; policy accept;")
	for _, l := range lives {
		t.rule("meta l4proto "+l.protocol+` ct timeout set "`+l.protocol+`_lifetime"`, "how long an idle mapping lives")
	}
	t.close()
}

func (r *router) sets(t *text) {
	const learned = "flags dynamic,timeout;"
	address := "ipv4_addr"
	if r.ip == IPv6 {
		address = "ipv6_addr"
	}
	set := func(head, typ string) {
		t.open(head)
		t.line("type %s;", typ)
		t.line("size 65535;")
		t.line(learned)
		t.close()
	}
	if r.ip == IPv6 {
		r.sets6(set)
	}
	if r.reuses && r.ip == IPv4 {
		t.note("inside endpoint -> its outside port: the mappings")
		set("map mapped", "inet_proto . "+address+" . inet_service : inet_service")
		t.note("outside ports that a mapping holds")
		set("set taken", "inet_proto . inet_service")
	}
	if r.lets && r.ip == IPv4 {
		t.note("outside port -> the inside endpoint behind it")
		set("map endpoints", "inet_proto . inet_service : "+address+" . inet_service")
	}
	if r.peers {
		t.note("outside port and an address that was sent to from it")
		set("set peers", "inet_proto . inet_service . "+address)
	}
	if r.hosts {
		t.note("inside hosts: whoever has sent something through this router")
		set("set hosts", address)
	}
	if r.Ports == Contiguous || r.reuses && r.ip == IPv6 {
		// A map and not `numgen … offset 20000`: nft 1.0.6 puts the number into the packet in the machine's byte order.
		ports := make([]string, rowLength)
		for i := range ports {
			ports[i] = fmt.Sprintf("%d : %d", i, rowStart+i)
		}
		t.note("outside ports in the order in which mappings take them; after the last one the first")
		t.open("map row")
		t.line("typeof numgen inc mod %d : th dport;", rowLength)
		t.line("elements = { %s };", strings.Join(ports, ", "))
		t.close()
	}
	if len(r.Forwards) > 0 {
		ports := make([]string, len(r.Forwards))
		for i, f := range r.Forwards {
			ports[i] = fmt.Sprintf("%s . %d", f.Protocol, f.Port)
		}
		t.note("outside ports that belong to forwards")
		t.open("set forwarded")
		t.line("type inet_proto . inet_service;")
		t.line("elements = { %s };", strings.Join(ports, ", "))
		t.close()
	}
}

// input keeps silent towards the outside. An accepted probe would leave a conntrack entry of its own, and the inside
// host's port would then be taken by it; a rejected one would end a TCP simultaneous open (RFC 5382 REQ-4).
func (r *router) input(t *text) {
	t.open("chain input")
	t.line("type filter hook input priority filter; policy accept;")
	t.rule("ct state established,related accept", "")
	dhcp := "udp sport 67 udp dport 68"
	if r.ip == IPv6 {
		dhcp = "udp sport 547 udp dport 546"
		t.rule("icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-query } accept",
			"neighbours are found by ICMPv6")
		t.rule("icmpv6 type echo-request accept", "the router itself answers ping")
	} else {
		t.rule("icmp type echo-request accept", "the router itself answers ping")
	}
	t.rule("ct status dnat accept", "forwards to the router itself")
	if !r.address.IsValid() {
		t.rule(fmt.Sprintf("iifname %q %s accept", r.Outside, dhcp), "DHCP")
	}
	t.rule(fmt.Sprintf("iifname %q counter drop", r.Outside), "unsolicited: dropped in silence, never rejected")
	t.close()
}

func (r *router) forward(t *text) {
	r.unknownSubnets(t)
	t.open("chain forward")
	t.line("type filter hook forward priority filter; policy drop;")
	t.rule("ct state established,related counter accept", "packets of known connections, both ways")
	t.rule("ct state invalid counter drop", "they would leave untranslated")
	t.rule("ct status dnat counter accept", "let in by a mapping or a forward")
	if r.oneArm {
		t.rule(fmt.Sprintf("oifname %q counter accept", r.Outside), "one arm: peers know only the router's address, so this is an inside host")
	} else {
		t.rule(fmt.Sprintf("iifname != %q counter accept", r.Outside), "from inside to anywhere")
	}
	t.rule("counter", "what is left is let in by nothing: dropped")
	t.close()
}

// output keeps an IPv6 router with one arm from leading its neighbours past it (RFC 4861 section 8.2). With IPv4 a kernel setting
// does; IPv6 has none.
func (r *router) output(t *text) {
	if r.ip != IPv6 || !r.oneArm {
		return
	}
	t.open("chain output")
	t.line("type filter hook output priority filter; policy accept;")
	t.rule("icmpv6 type nd-redirect drop", "one arm: neighbours are not to go past the router")
	t.close()
}

// seconds rounds a declared lifetime up to whole seconds.
func seconds(s float64) int {
	if !(s > 0) || s > maxTimeout {
		return 0
	}
	return int(math.Ceil(s))
}
