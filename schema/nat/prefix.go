package nat

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/labctl/labctl/schema"
)

// IPv6 is schema.NAT.Family of a translation of IPv6; that of IPv4 is empty, or IPv4.
const (
	IPv4 = "ip"
	IPv6 = "ip6"
)

// PrefixOnly is schema.NAT.Type of a router that translates prefixes and nothing else (NPTv6, RFC 6296): it keeps no ports,
// and filters nothing.
const PrefixOnly = "prefix"

// RFC 6296 section 3.4: in prefixes of at most 48 bits, the 16 bits that number the subnet take up what the prefixes differ by.
const subnetBits = 48

// mostSubnets is how many subnets of a prefix a router may lead to: each is a rule in both directions.
const mostSubnets = 256

// pair is a subnet and what the outside sees of it.
type pair struct {
	name            string
	inside, outside netip.Prefix
}

// pairs are the subnets that the router translates one to one, in a form that nft can: prefix for prefix.
func (r *router) pairs() (all []pair) {
	for _, p := range r.Prefixes {
		inside, outside, ok := prefixPair(p)
		if !ok {
			continue
		}
		if inside.Bits() > subnetBits {
			all = append(all, pair{p.Name, inside, outside})
			continue
		}
		for _, text := range p.Subnets {
			subnet, err := netip.ParsePrefix(text)
			if seen, ok := Translate(inside, outside, subnet.Addr()); err == nil && ok {
				all = append(all, pair{p.Name, subnet, netip.PrefixFrom(seen, subnet.Bits())})
			}
		}
	}
	return all
}

// prefixPair reads both prefixes of a declaration; ok is false where Problems has something to say about them.
func prefixPair(p schema.NATPrefix) (inside, outside netip.Prefix, ok bool) {
	inside, err1 := netip.ParsePrefix(p.Inside)
	outside, err2 := netip.ParsePrefix(p.Outside)
	ok = err1 == nil && err2 == nil && isPrefix6(inside) && isPrefix6(outside) && inside.Bits() == outside.Bits() &&
		inside.Bits() <= subnetBits+16 && (inside.Bits() <= subnetBits || adjustment(inside, outside) == 0)
	return inside, outside, ok
}

func isPrefix6(p netip.Prefix) bool { return p.Addr().Is6() && p == p.Masked() }

// words are the eight 16-bit words of an IPv6 address.
func words(a netip.Addr) (w [8]uint16) {
	bytes := a.As16()
	for i := range w {
		w[i] = binary.BigEndian.Uint16(bytes[2*i:])
	}
	return w
}

// add is addition in one's complement (RFC 1071).
func add(a, b uint16) uint16 {
	sum := uint32(a) + uint32(b)
	return uint16(sum&0xffff + sum>>16)
}

// adjustment is what has to be added, in one's complement, so that a change of prefix leaves the checksum of a packet as it is
// (RFC 6296 section 3.1); 0 where both have the same sum.
func adjustment(inside, outside netip.Prefix) uint16 {
	var sums [2]uint16
	for i, p := range []netip.Prefix{inside, outside} {
		for _, w := range words(p.Addr()) {
			sums[i] = add(sums[i], w)
		}
	}
	if difference := add(sums[0], ^sums[1]); difference != 0xffff {
		return difference
	}
	return 0
}

// Translate is the outside address of an inside one (RFC 6296 section 3.4), for prefixes of at most 48 bits. ok is false for
// the one subnet that has none, ffff.
func Translate(inside, outside netip.Prefix, address netip.Addr) (netip.Addr, bool) {
	const subnet = subnetBits / 16
	own := words(address)[subnet]
	bytes := behind(outside, address).As16()
	if own == 0xffff {
		return netip.Addr{}, false
	}
	word := add(own, adjustment(inside, outside))
	if word == 0xffff {
		word = 0
	}
	binary.BigEndian.PutUint16(bytes[2*subnet:], word)
	return netip.AddrFrom16(bytes), true
}

// SeenAs is the address as which peers outside of the router see an inside host, and the one that they send to; invalid where that
// is not known before the router runs.
func SeenAs(n schema.NAT, host netip.Addr) netip.Addr {
	for _, o := range n.OneToOne {
		if parse(o.Inside) == host {
			return parse(o.Outside)
		}
	}
	for _, p := range newRouter(n).pairs() {
		if p.inside.Contains(host) {
			return behind(p.outside, host)
		}
	}
	if Resolve(n).Type == PrefixOnly {
		return host
	}
	address, _ := outsideAddress(n.OutsideAddress)
	return address
}

// Behind is the inside host that a router's one-to-one addresses and prefixes lead an outside address to.
func Behind(n schema.NAT, outside netip.Addr) (host netip.Addr, how string, ok bool) {
	for _, o := range n.OneToOne {
		if parse(o.Outside) == outside {
			return parse(o.Inside), "one-to-one address", true
		}
	}
	for _, p := range newRouter(n).pairs() {
		if p.outside.Contains(outside) {
			return behind(p.inside, outside), fmt.Sprintf("prefix %q", p.name), true
		}
	}
	return netip.Addr{}, "", false
}

// behind puts a host's bits behind another prefix.
func behind(prefix netip.Prefix, host netip.Addr) netip.Addr {
	from, to := host.As16(), prefix.Addr().As16()
	for bit := range prefix.Bits() {
		mask := byte(0x80) >> (bit % 8)
		from[bit/8] = from[bit/8]&^mask | to[bit/8]&mask
	}
	return netip.AddrFrom16(from)
}

func (r *router) prefixesIn(t *text) {
	t.open("chain prerouting")
	t.line("type nat hook prerouting priority dstnat; policy accept;")
	r.prefixRulesIn(t)
	t.close()
}

func (r *router) prefixesOut(t *text) {
	t.open("chain postrouting")
	t.line("type nat hook postrouting priority srcnat; policy accept;")
	r.prefixRulesOut(t)
	t.close()
}

// prefixRulesIn leads from outside subnets to inside ones, from wherever it comes: inside hosts reach one another by their
// outside addresses too (RFC 6296 section 2.3).
func (r *router) prefixRulesIn(t *text) {
	for _, p := range r.pairs() {
		t.rule(fmt.Sprintf("ip6 daddr %s counter dnat ip6 prefix to %s", p.outside, p.inside), "prefix "+p.name)
	}
}

func (r *router) prefixRulesOut(t *text) {
	from := "iifname " + r.insideNames() + " "
	if r.oneArm {
		var insides []string
		for _, p := range r.Prefixes {
			insides = append(insides, p.Inside)
		}
		from = "ip6 daddr != " + braces(insides) + " " // what goes from one inside host to another leaves by the same arm
	}
	for _, p := range r.pairs() {
		t.rule(fmt.Sprintf("%soifname %q ip6 saddr %s ct status & dnat == 0 counter snat ip6 prefix to %s", from, r.Outside, p.inside, p.outside), "prefix "+p.name)
		t.rule(fmt.Sprintf("ip6 saddr %s ct status dnat counter snat ip6 prefix to %s", p.inside, p.outside), "hairpin")
	}
}

// unknownSubnets keeps subnets in that no rule translates, since the router knows no way to them.
func (r *router) unknownSubnets(t *text) {
	var rules []string
	for _, p := range r.Prefixes {
		inside, _, ok := prefixPair(p)
		if !ok || inside.Bits() > subnetBits {
			continue
		}
		rule := fmt.Sprintf("oifname %q ip6 saddr %s ", r.Outside, inside)
		if len(p.Subnets) > 0 {
			rule += "ip6 saddr != " + braces(p.Subnets) + " "
		}
		rules = append(rules, rule+"counter drop")
	}
	if len(rules) == 0 {
		return
	}
	t.open("chain subnets")
	t.line("type filter hook forward priority filter - 1; policy accept;")
	for _, rule := range rules {
		t.rule(rule, "a subnet that the router has no way to")
	}
	t.close()
}

// Subnets lists the subnets of inside, 64 bits long, that the networks lead to: what is declared for a router's interfaces and
// routes. It returns nil where they are too many to be listed.
func Subnets(inside netip.Prefix, networks []netip.Prefix) []string {
	const length = subnetBits + 16
	seen := map[netip.Prefix]bool{}
	var all []netip.Prefix
	for _, n := range networks {
		if n.Addr().Is4() || !inside.Contains(n.Addr()) || n.Bits() <= subnetBits || len(all) > mostSubnets {
			continue
		}
		count := 1
		if n.Bits() < length {
			count = 1 << (length - n.Bits())
		}
		first := netip.PrefixFrom(n.Addr(), min(n.Bits(), length)).Masked().Addr()
		for i := range min(count, mostSubnets+1) {
			w := first.As16()
			binary.BigEndian.PutUint16(w[6:], binary.BigEndian.Uint16(w[6:])+uint16(i))
			p := netip.PrefixFrom(netip.AddrFrom16(w), length)
			if !seen[p] {
				seen[p] = true
				all = append(all, p)
			}
		}
	}
	if len(all) > mostSubnets {
		return nil
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	texts := make([]string, len(all))
	for i, p := range all {
		texts[i] = p.String()
	}
	return texts
}

func (c *collector) prefixes(n schema.NAT) {
	if n.Type == PrefixOnly && len(n.Prefixes) == 0 {
		c.add("type", "type %q translates prefixes, and none is declared: add a prefix block", PrefixOnly)
	}
	type side struct {
		path string
		p    netip.Prefix
	}
	var insides, outsides []side
	for _, p := range n.Prefixes {
		path := fmt.Sprintf("prefix[%q].", p.Name)
		inside, okInside := c.prefix(path+"inside", p.Inside)
		outside, okOutside := c.prefix(path+"outside", p.Outside)
		if !okInside || !okOutside {
			continue
		}
		c.lengths(path, p, inside, outside)
		for _, other := range insides {
			if other.p.Overlaps(inside) {
				c.add(path+"inside", "%s overlaps %s", inside, other.p)
			}
		}
		for _, other := range outsides {
			if other.p.Overlaps(outside) {
				c.add(path+"outside", "%s overlaps %s", outside, other.p)
			}
		}
		insides, outsides = append(insides, side{path, inside}), append(outsides, side{path, outside})
	}
}

// prefixOnly: what needs ports or a filter is for a router that has them.
func (c *collector) prefixOnly(n schema.NAT) {
	if Resolve(n).Type != PrefixOnly {
		return
	}
	for _, given := range []struct {
		path string
		is   bool
	}{
		{"ports", n.Ports != "" && n.Ports != Preserve}, {"udp_timeout", n.UDPTimeout != 0}, {"tcp_timeout", n.TCPTimeout != 0},
		{"forward", len(n.Forwards) > 0}, {"one_to_one", len(n.OneToOne) > 0},
	} {
		if given.is {
			c.add(given.path, "a router that translates prefixes alone has no %s: give it a type, such as %q, for the hosts outside of them", given.path, PortRestrictedCone)
		}
	}
}

func (c *collector) prefix(path, text string) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil || !p.Addr().Is6():
		c.add(path, "%q is no IPv6 prefix", text)
	case p != p.Masked():
		c.add(path, "%s has bits behind the prefix: write %s", text, p.Masked())
	default:
		return p, true
	}
	return p, false
}

// lengths: nft keeps the bits behind a prefix, so what RFC 6296 changes there has to stand in the prefix itself.
func (c *collector) lengths(path string, p schema.NATPrefix, inside, outside netip.Prefix) {
	const longest = subnetBits + 16
	switch adjust := adjustment(inside, outside); {
	case inside.Bits() != outside.Bits():
		c.add(path+"outside", "%s and %s differ in length: each inside host needs an outside address of its own", inside, outside)
	case inside.Bits() > longest:
		c.add(path+"inside", "%s is longer than %d bits, which leaves no whole subnet", inside, longest)
	case inside.Bits() <= subnetBits:
		if len(p.Subnets) == 0 {
			c.add(path+"inside", "the router has no interface and no route in %s, or to more than %d subnets of it: what is not known cannot be translated", inside, mostSubnets)
		}
	case adjust != 0 && inside.Bits() == longest:
		w := words(outside.Addr())
		bytes := outside.Addr().As16()
		binary.BigEndian.PutUint16(bytes[subnetBits/8:], add(w[subnetBits/16], adjust))
		c.add(path+"outside", "%s is not checksum-neutral to %s (RFC 6296): of the same /%d, %s/%d is", outside, inside, subnetBits, netip.AddrFrom16(bytes), longest)
	case adjust != 0:
		c.add(path+"outside", "%s is not checksum-neutral to %s (RFC 6296): choose another, or translate prefixes of at most %d bits or of %d", outside, inside, subnetBits, longest)
	}
}
