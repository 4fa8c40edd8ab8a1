package nat

import (
	"fmt"
	"strings"
)

// prerouting lets in: forwards, one-to-one addresses, and what the filtering behaviour allows.
func (r *router) prerouting(t *text) {
	if len(r.Forwards) == 0 && len(r.OneToOne) == 0 && len(r.Prefixes) == 0 && !r.lets {
		return
	}
	t.open("chain prerouting")
	t.line("type nat hook prerouting priority dstnat; policy accept;")
	for _, o := range r.OneToOne {
		t.rule(fmt.Sprintf("%s daddr %s counter dnat to %s", r.ip, o.Outside, o.Inside), "one to one")
	}
	r.prefixRulesIn(t)
	own := r.own()
	from := fmt.Sprintf("iifname %q ", r.Outside)
	switch {
	case r.Hairpin:
		from = ""
	case r.hosts:
		t.rule(own+" "+r.ip+" saddr @hosts accept", "no hairpin: an inside host does not reach another one this way")
	}
	for _, f := range r.Forwards {
		port := f.ToPort
		if port == 0 {
			port = f.Port
		}
		t.rule(fmt.Sprintf("%s%s %s dport %d counter dnat to %s:%d", from, own, f.Protocol, f.Port, bracketed(f.To), port),
			"forward "+f.Name)
	}
	toEndpoint := "dnat ip to meta l4proto . th dport map @endpoints"
	if r.ip == IPv6 {
		toEndpoint = "dnat ip6 to meta l4proto . th dport map @endpoint_hosts : meta l4proto . th dport map @endpoint_ports"
	}
	if r.Hairpin {
		inside := "iifname " + r.insideNames()
		if r.oneArm {
			inside = r.ip + " saddr @hosts"
		}
		t.rule(inside+" "+own+" "+toEndpoint, "hairpin: an inside host reaches another one by its outside address")
	}
	from = fmt.Sprintf("iifname %q ", r.Outside)
	switch r.Filtering {
	case EndpointIndependent:
		t.rule(from+own+" "+toEndpoint, "endpoint-independent filtering: anyone may use a mapping")
	case AddressDependent:
		t.rule(from+own+" meta l4proto . th dport . "+r.ip+" saddr @peers "+toEndpoint,
			"address-dependent filtering: only addresses that were sent to")
	}
	t.close()
}

// postrouting chooses the outside endpoint of a new connection.
func (r *router) postrouting(t *text) {
	t.open("chain postrouting")
	t.line("type nat hook postrouting priority srcnat; policy accept;")
	t.rule("fib saddr type local accept", "the router's own packets")
	for _, o := range r.OneToOne {
		t.rule(fmt.Sprintf("oifname %q %s saddr %s ct status & dnat == 0 counter snat to %s", r.Outside, r.ip, o.Inside, o.Outside), "one to one")
	}
	r.prefixRulesOut(t)
	r.hairpinSource(t)
	t.rule("ct status dnat accept", "let in from outside: the peer stays visible")
	out := fmt.Sprintf("oifname %q ", r.Outside)
	translate := "masquerade"
	if r.ip == IPv6 && r.address.IsValid() {
		// Of several addresses masquerade takes one that suits the peer (RFC 6724): a mapping would depend on it.
		translate = "snat to " + r.address.String()
	}
	r.choosePort(t, out, translate)
	t.close()
}

// hairpinSource makes a turned-round packet come from the sender's outside endpoint (RFC 4787 REQ-9).
func (r *router) hairpinSource(t *text) {
	if !r.Hairpin {
		return
	}
	snat := "snat to " + r.address.String()
	if !r.oneArm {
		r.choosePort(t, "iifname "+r.insideNames()+" ct status dnat ", snat)
		return
	}
	r.choosePort(t, r.ip+" saddr @hosts ct status dnat ", snat)
	if r.subnet.IsValid() && len(r.Forwards) > 0 {
		t.rule(fmt.Sprintf(
			"%s saddr %s ct status dnat meta l4proto { tcp, udp } meta l4proto . ct original proto-dst @forwarded counter %s", r.ip, r.subnet, snat),
			"hairpin: a neighbour that reaches a forward")
	}
}

// choosePort writes the rules that translate the source of what match selects: by the mapping that there is, else by
// a new one. translate is "masquerade" or "snat to ADDRESS".
func (r *router) choosePort(t *text, match, translate string) {
	ports := match + "meta l4proto { tcp, udp } "
	// snat takes ":PORTS" right behind the address, masquerade behind "to".
	to := translate
	if address, ok := strings.CutPrefix(translate, "snat to "); ok {
		to = "snat to " + bracketed(address)
	} else {
		to += " to "
	}
	switch {
	case r.reuses && r.ip == IPv6:
		r.choosePort6(t, ports, to, translate)
	case r.reuses:
		t.rule(ports+to+":meta l4proto . "+r.ip+" saddr . th sport map @mapped",
			"endpoint-independent mapping: the mapping this endpoint has")
		if r.Ports == Preserve {
			t.rule(ports+"meta l4proto . th sport @taken counter "+to+":1024-65535 fully-random", "the port is another endpoint's: choose one")
			if len(r.Forwards) > 0 {
				t.rule(ports+"meta l4proto . th sport @forwarded counter "+to+":1024-65535 fully-random", "the port is a forward's: choose one")
			}
		}
	}
	low, high, isRange := portRange(r.Ports)
	switch {
	case r.Ports == Contiguous:
		t.rule(ports+"counter "+to+fmt.Sprintf(":numgen inc mod %d map @row", rowLength), "contiguous: the next port of the row")
	case isRange && r.reuses:
		t.rule(ports+fmt.Sprintf("counter %s:%d-%d", to, low, high), "ports from the declared range")
	case isRange:
		t.rule(ports+fmt.Sprintf("counter %s:%d-%d fully-random", to, low, high), "ports from the declared range, another for every peer")
	}
	switch {
	case r.Ports == Random && r.reuses:
		t.rule(match+"counter "+translate+" fully-random", "a random port")
	case r.Ports == Random:
		t.rule(match+"counter "+translate+" fully-random", "symmetric: another random port for every peer")
	default:
		t.rule(match+"counter "+translate, "keep the port where it is free")
	}
}

// learn fills the maps and sets from conntrack, with every packet that leaves a translated endpoint, so that outbound
// traffic keeps a mapping alive (RFC 4787 REQ-6). It runs just after the source was translated.
func (r *router) learn(t *text) {
	if !r.reuses && !r.lets && !r.hosts {
		return
	}
	t.open("chain learn")
	t.line("type filter hook postrouting priority srcnat + 1; policy accept;")
	var insides, outsides []string
	for _, o := range r.OneToOne {
		insides, outsides = append(insides, o.Inside), append(outsides, o.Outside)
	}
	for _, p := range r.pairs() {
		insides, outsides = append(insides, p.inside.String()), append(outsides, p.outside.String())
	}
	out, back := "ct direction original ct status snat ", "ct direction reply ct status dnat "
	if len(insides) > 0 {
		out += "ct original " + r.ip + " saddr != " + braces(insides) + " "
		back += "ct original " + r.ip + " daddr != " + braces(outsides) + " "
	}
	if r.hosts {
		t.rule("ct direction original ct status & (snat | dnat) == snat update @hosts { ct original "+r.ip+" saddr timeout 1h }",
			"learn inside hosts")
	}
	// A connection from a peer holds the mapping that it came in by: the inside host's answers refresh it.
	fromPeer := ""
	if len(r.Forwards) > 0 {
		fromPeer = "meta l4proto . ct original proto-dst != @forwarded "
	}
	for _, p := range r.lifetimeOf() {
		r.learnFrom(t, out+p.match, "ct original "+r.ip+" saddr", "ct original proto-src", "ct reply proto-dst",
			"ct original "+r.ip+" daddr", p.seconds)
		if r.lets {
			r.learnFrom(t, back+p.match+fromPeer, "ct reply "+r.ip+" saddr", "ct reply proto-src",
				"ct original proto-dst", "", p.seconds)
		}
	}
	t.close()
}

// learnFrom writes one rule an element: inside and outside are the endpoints of the mapping, peer whom it sends to.
func (r *router) learnFrom(t *text, match, inAddr, inPort, outPort, peer string, life int) {
	switch {
	case r.ip == IPv6:
		r.learnFrom6(t, match, inAddr, inPort, outPort, life)
	case r.reuses:
		t.rule(fmt.Sprintf("%supdate @mapped { meta l4proto . %s . %s timeout %ds : %s }",
			match, inAddr, inPort, life, outPort), "learn the mapping")
		t.rule(fmt.Sprintf("%supdate @taken { meta l4proto . %s timeout %ds }", match, outPort, life), "")
	}
	if r.lets && r.ip == IPv4 {
		t.rule(fmt.Sprintf("%supdate @endpoints { meta l4proto . %s timeout %ds : %s . %s }",
			match, outPort, life, inAddr, inPort), "learn who is behind the outside port")
	}
	if r.peers && peer != "" {
		t.rule(fmt.Sprintf("%supdate @peers { meta l4proto . %s . %s timeout %ds }", match, outPort, peer, life),
			"learn whom it sends to")
	}
}

type protocolLife struct {
	match   string
	seconds int
}

// lifetimeOf is the lifetime of learned elements, by protocol where the declaration makes a difference.
func (r *router) lifetimeOf() []protocolLife {
	udp, tcp := seconds(r.UDPTimeout), seconds(r.TCPTimeout)
	if udp == 0 {
		udp = defaultLifetime
	}
	if tcp == 0 {
		tcp = defaultLifetime
	}
	if udp == tcp {
		return []protocolLife{{"meta l4proto { tcp, udp } ", udp}}
	}
	return []protocolLife{{"meta l4proto udp ", udp}, {"meta l4proto tcp ", tcp}}
}

// bracketed is an address as it stands before a port.
func bracketed(address string) string {
	if strings.Contains(address, ":") {
		return "[" + address + "]"
	}
	return address
}
