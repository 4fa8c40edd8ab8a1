package nat

import "fmt"

// nft 1.0.6 cannot write rules that fill a map whose key or value takes more than 16 bytes, which an IPv6 address alone does. So
// with IPv6 the map "endpoints" is two, and a mapping is not remembered but found again: the inside host's own port where no other
// host holds it, else a port that follows from its endpoint.

func (r *router) sets6(set func(head, typ string)) {
	if r.reuses {
		set("set held", "inet_proto . inet_service . ipv6_addr")
		set("set taken", "inet_proto . inet_service")
		set("set moved", "inet_proto . ipv6_addr . inet_service")
	}
	if r.lets {
		set("map endpoint_hosts", "inet_proto . inet_service : ipv6_addr")
		set("map endpoint_ports", "inet_proto . inet_service : inet_service")
	}
}

// choosePort6 is choosePort where mappings are independent of the endpoint. match selects TCP and UDP; to is translate as it
// stands before ":PORTS".
func (r *router) choosePort6(t *text, match, to, translate string) {
	hashed := fmt.Sprintf("%s:jhash ip6 saddr . th sport mod %d seed 0x6c61 map @row", to, rowLength)
	move := fmt.Sprintf("update @moved { meta l4proto . ip6 saddr . th sport timeout %ds } counter %s", defaultLifetime, hashed)
	t.rule(match+"meta l4proto . ip6 saddr . th sport @moved "+hashed, "endpoint-independent mapping: the port that follows from this endpoint")
	t.rule(match+"meta l4proto . th sport . ip6 saddr @held "+translate, "endpoint-independent mapping: the port that this host holds")
	t.rule(match+"meta l4proto . th sport @taken "+move, "the port is another host's: choose one")
	if len(r.Forwards) > 0 {
		t.rule(match+"meta l4proto . th sport @forwarded "+move, "the port is a forward's: choose one")
	}
}

func (r *router) learnFrom6(t *text, match, inAddr, inPort, outPort string, life int) {
	if r.reuses {
		t.rule(fmt.Sprintf("%supdate @held { meta l4proto . %s . %s timeout %ds }", match, outPort, inAddr, life), "learn who holds the outside port")
		t.rule(fmt.Sprintf("%supdate @taken { meta l4proto . %s timeout %ds }", match, outPort, life), "")
		t.rule(fmt.Sprintf("%smeta l4proto . %s . %s @moved update @moved { meta l4proto . %[2]s . %[3]s timeout %ds }", match, inAddr, inPort, life),
			"traffic keeps a moved mapping alive")
	}
	if r.lets {
		t.rule(fmt.Sprintf("%supdate @endpoint_hosts { meta l4proto . %s timeout %ds : %s }", match, outPort, life, inAddr), "learn who is behind the outside port")
		t.rule(fmt.Sprintf("%supdate @endpoint_ports { meta l4proto . %s timeout %ds : %s }", match, outPort, life, inPort), "")
	}
}
