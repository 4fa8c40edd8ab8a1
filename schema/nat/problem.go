package nat

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/labctl/labctl/schema"
)

// Problem is one thing that is wrong with a declared NAT.
type Problem struct {
	Path    string // attribute, as in `forward["ssh"].port`
	Message string // what is wrong and what to write instead
}

// Longest lifetime that Problems accepts, seconds: 30 days.
const maxTimeout = 30 * 24 * 3600

// Problems returns everything that is wrong with n, in the order of its attributes; none means that Compile(n) is a
// ruleset that nft accepts.
func Problems(n schema.NAT) []Problem {
	var c collector
	c.behaviour(n)
	c.ports(n)
	c.interfaces(n)
	c.timeout("udp_timeout", n.UDPTimeout)
	c.timeout("tcp_timeout", n.TCPTimeout)
	c.outsideAddress(n)
	c.forwards(n)
	c.oneToOne(n)
	c.prefixes(n)
	c.prefixOnly(n)
	return c.found
}

type collector struct{ found []Problem }

func (c *collector) add(path, format string, args ...any) {
	c.found = append(c.found, Problem{Path: path, Message: fmt.Sprintf(format, args...)})
}

// oneOf checks an enumeration; "" stands for the default.
func (c *collector) oneOf(path, value string, allowed ...string) {
	if value != "" && !slices.Contains(allowed, value) {
		c.add(path, "%q is none of %s", value, strings.Join(allowed, ", "))
	}
}

func (c *collector) behaviour(n schema.NAT) {
	types := Types()
	if n.Family == IPv6 {
		types = append(types, PrefixOnly)
	}
	c.oneOf("type", n.Type, types...)
	c.oneOf("mapping", n.Mapping, EndpointIndependent, AddressAndPortDependent)
	c.oneOf("filtering", n.Filtering, EndpointIndependent, AddressDependent, AddressAndPortDependent)
	mapping, filtering, known := Behaviour(n.Type)
	if !known {
		return
	}
	if n.Mapping != "" && n.Mapping != mapping {
		c.add("mapping", "type %q maps %s, but mapping is %q: leave one of both out", n.Type, mapping, n.Mapping)
	}
	if n.Filtering != "" && n.Filtering != filtering {
		c.add("filtering", "type %q filters %s, but filtering is %q: leave one of both out",
			n.Type, filtering, n.Filtering)
	}
}

func (c *collector) ports(n schema.NAT) {
	switch n.Ports {
	case "", Contiguous, Random:
		c.ports6(n)
		return
	case Preserve:
		if Resolve(n).Mapping == AddressAndPortDependent {
			c.add("ports", "a mapping that depends on the peer cannot preserve ports: every peer would see the same one")
		}
		return
	}
	if _, _, ok := portRange(n.Ports); !ok {
		c.add("ports", "%q is none of %s, %s, %s and no range such as \"20000-30000\"",
			n.Ports, Preserve, Contiguous, Random)
		return
	}
	c.ports6(n)
}

// ports6: with IPv6 a mapping that is to be the same for every peer is not remembered (see translate6.go).
func (c *collector) ports6(n schema.NAT) {
	if n.Family == IPv6 && n.Ports != "" && Resolve(n).Mapping == EndpointIndependent {
		c.add("ports", "an IPv6 mapping that is the same for every peer preserves ports: leave ports out, or give it mapping = %q", AddressAndPortDependent)
	}
}

// interfaceName is what Linux accepts as the name of a network device, and nft within quotes.
func interfaceName(name string) bool {
	return name != "" && len(name) <= 15 && name != "." && name != ".." &&
		!strings.ContainsFunc(name, func(r rune) bool {
			return r <= ' ' || r > '~' || strings.ContainsRune(`/:"\*`, r)
		})
}

func (c *collector) interfaces(n schema.NAT) {
	if n.Outside == "" {
		c.add("outside", "the interface towards the peers is missing")
	} else if !interfaceName(n.Outside) {
		c.add("outside", "%q is no name of an interface", n.Outside)
	}
	for i, name := range n.Inside {
		path := fmt.Sprintf("inside[%d]", i)
		switch {
		case !interfaceName(name):
			c.add(path, "%q is no name of an interface", name)
		case name == n.Outside:
			c.add(path, "%q is the outside interface too: leave inside out on a router with one arm", name)
		case slices.Index(n.Inside, name) != i:
			c.add(path, "%q is listed twice", name)
		}
	}
}

func (c *collector) timeout(path string, seconds float64) {
	if seconds != 0 && (seconds < 1 || seconds > maxTimeout || seconds != seconds) {
		c.add(path, "a mapping must live between 1 and %d seconds, not %v", maxTimeout, seconds)
	}
}

func (c *collector) outsideAddress(n schema.NAT) {
	addr, _ := outsideAddress(n.OutsideAddress)
	if n.OutsideAddress != "" && !ofFamily(n, addr) {
		c.add("outside_address", "%q is no %s address", n.OutsideAddress, version(n))
	}
	if n.Hairpin && n.OutsideAddress == "" {
		c.add("hairpin", "the interface %q needs an address of its own (not DHCP) to turn traffic round", n.Outside)
	}
}

func (c *collector) forwards(n schema.NAT) {
	type port struct {
		protocol string
		number   int
	}
	taken := map[port]string{}
	for _, f := range n.Forwards {
		path := fmt.Sprintf("forward[%q].", f.Name)
		if f.Protocol != "tcp" && f.Protocol != "udp" {
			c.add(path+"protocol", "%q is neither tcp nor udp", f.Protocol)
		}
		if f.Port < 1 || f.Port > 65535 {
			c.add(path+"port", "%d is no port: write 1 to 65535", f.Port)
		}
		if f.ToPort < 0 || f.ToPort > 65535 {
			c.add(path+"to_port", "%d is no port: write 1 to 65535", f.ToPort)
		}
		if !ofFamily(n, parse(f.To)) {
			c.add(path+"to", "%q is no %s address", f.To, version(n))
		}
		p := port{f.Protocol, f.Port}
		if other, ok := taken[p]; ok {
			c.add(path+"port", "%s port %d is forwarded by %q already", f.Protocol, f.Port, other)
		}
		taken[p] = f.Name
	}
}

func (c *collector) oneToOne(n schema.NAT) {
	own, _ := outsideAddress(n.OutsideAddress)
	outside, inside := map[string]bool{}, map[string]bool{}
	for i, o := range n.OneToOne {
		path := fmt.Sprintf("one_to_one[%d].", i)
		if !ofFamily(n, parse(o.Outside)) {
			c.add(path+"outside", "%q is no %s address", o.Outside, version(n))
		} else if o.Outside == own.String() {
			c.add(path+"outside", "%s is the router's own address, which the other hosts share: give it a second one", o.Outside)
		} else if outside[o.Outside] {
			c.add(path+"outside", "%s is bound twice", o.Outside)
		}
		if !ofFamily(n, parse(o.Inside)) {
			c.add(path+"inside", "%q is no %s address", o.Inside, version(n))
		} else if inside[o.Inside] {
			c.add(path+"inside", "%s is bound twice", o.Inside)
		}
		outside[o.Outside], inside[o.Inside] = true, true
	}
}

// ofFamily reports whether an address is of the version that n translates.
func ofFamily(n schema.NAT, a netip.Addr) bool {
	return a.IsValid() && a.Is6() == (n.Family == IPv6) && a.Zone() == ""
}

func version(n schema.NAT) string {
	if n.Family == IPv6 {
		return "IPv6"
	}
	return "IPv4"
}
