package nat

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/labctl/labctl/schema"
)

// Values of schema.NAT.Type, the names of RFC 3489 section 5.
const (
	FullCone              = "full_cone"
	AddressRestrictedCone = "address_restricted_cone"
	PortRestrictedCone    = "port_restricted_cone"
	Symmetric             = "symmetric"
)

// Values of schema.NAT.Mapping (RFC 4787 section 4.1) and schema.NAT.Filtering (RFC 4787 section 5).
const (
	EndpointIndependent     = "endpoint_independent"
	AddressDependent        = "address_dependent" // filtering only
	AddressAndPortDependent = "address_and_port_dependent"
)

// Values of schema.NAT.Ports (RFC 4787 section 4.2); a range such as "20000-30000" is the fourth way.
const (
	Preserve   = "preserve"   // the inside host's own port where it is free
	Contiguous = "contiguous" // every new mapping takes the next port
	Random     = "random"
)

// Types lists the values of schema.NAT.Type, from the most open to the most closed.
func Types() []string {
	return []string{FullCone, AddressRestrictedCone, PortRestrictedCone, Symmetric}
}

// Behaviour is the mapping and the filtering that a type stands for.
func Behaviour(typ string) (mapping, filtering string, known bool) {
	switch typ {
	case FullCone:
		return EndpointIndependent, EndpointIndependent, true
	case AddressRestrictedCone:
		return EndpointIndependent, AddressDependent, true
	case PortRestrictedCone:
		return EndpointIndependent, AddressAndPortDependent, true
	case Symmetric:
		return AddressAndPortDependent, AddressAndPortDependent, true
	case PrefixOnly:
		return EndpointIndependent, EndpointIndependent, true
	}
	return "", "", false
}

// Type names the pair of mapping and filtering as RFC 3489 does, or "" for a pair that has no such name.
func Type(mapping, filtering string) string {
	for _, typ := range Types() {
		if m, f, _ := Behaviour(typ); m == mapping && f == filtering {
			return typ
		}
	}
	return ""
}

// Resolve fills in mapping, filtering and ports where n leaves them to its type, and the type where n gives only its
// behaviour. What n gives itself stays. With nothing but prefixes given, it translates prefixes alone; with nothing given, the result is a port-restricted cone that keeps ports:
// what a plain masquerade does.
func Resolve(n schema.NAT) schema.NAT {
	if n.Type == "" && n.Mapping == "" && n.Filtering == "" && len(n.Prefixes) > 0 {
		n.Type = PrefixOnly
	}
	mapping, filtering, _ := Behaviour(n.Type)
	if n.Mapping == "" {
		n.Mapping = mapping
	}
	if n.Filtering == "" {
		n.Filtering = filtering
	}
	if n.Mapping == "" {
		n.Mapping = EndpointIndependent
	}
	if n.Filtering == "" {
		n.Filtering = AddressAndPortDependent
	}
	if n.Type == "" {
		n.Type = Type(n.Mapping, n.Filtering)
	}
	if n.Ports == "" {
		n.Ports = Preserve
		if n.Mapping == AddressAndPortDependent {
			n.Ports = Random
		}
	}
	return n
}

// portRange reads "20000-30000". Both ends belong to it.
func portRange(text string) (low, high int, ok bool) {
	first, last, found := strings.Cut(text, "-")
	low, err1 := strconv.Atoi(first)
	high, err2 := strconv.Atoi(last)
	return low, high, found && err1 == nil && err2 == nil && low >= 1 && low <= high && high <= 65535
}

// outsideAddress reads schema.NAT.OutsideAddress, with or without its prefix length; the prefix is invalid without.
func outsideAddress(text string) (netip.Addr, netip.Prefix) {
	if prefix, err := netip.ParsePrefix(text); err == nil {
		return prefix.Addr(), prefix.Masked()
	}
	addr, _ := netip.ParseAddr(text)
	return addr, netip.Prefix{}
}
