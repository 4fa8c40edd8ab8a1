package nat_test

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/nat"
)

// The example of RFC 6296 section 3.4 and others of that form.
func TestTranslateAsTheRFC(t *testing.T) {
	for _, test := range []struct{ inside, outside, address, want string }{
		{"fd01:203:405::/48", "2001:db8:1::/48", "fd01:203:405:1::1234", "2001:db8:1:d550::1234"},
		{"fd01:203:405::/48", "2001:db8:1::/48", "fd01:203:405:2ab0::1", "2001:db8:1:0::1"}, // ffff becomes 0
		{"fd01:203:405::/48", "2001:db8:1::/48", "fd01:203:405:ffff::1", ""},
		{"fd00::/40", "2001:db8:100::/40", "fd00:0:7:1::2", "2001:db8:107:ce48::2"},
	} {
		got, ok := nat.Translate(netip.MustParsePrefix(test.inside), netip.MustParsePrefix(test.outside), netip.MustParseAddr(test.address))
		if ok != (test.want != "") || ok && got != netip.MustParseAddr(test.want) {
			t.Errorf("%s from %s to %s is %s %v, not %q", test.address, test.inside, test.outside, got, ok, test.want)
		}
	}
}

func sum(a netip.Addr) uint32 {
	bytes := a.As16()
	total := uint32(0)
	for i := 0; i < 16; i += 2 {
		total += uint32(binary.BigEndian.Uint16(bytes[i:]))
		total = total&0xffff + total>>16
	}
	return total % 0xffff
}

// Whatever the prefixes, no checksum changes, and no two subnets become one.
func TestTranslateIsNeutralAndOneToOne(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 296))
	for range 200 {
		bits := 16 + r.IntN(33)
		prefix := func() netip.Prefix {
			var bytes [16]byte
			for i := range bytes {
				bytes[i] = byte(r.IntN(256))
			}
			return netip.PrefixFrom(netip.AddrFrom16(bytes), bits).Masked()
		}
		inside, outside := prefix(), prefix()
		seen := map[netip.Addr]netip.Addr{}
		for range 200 {
			bytes := inside.Addr().As16()
			binary.BigEndian.PutUint16(bytes[6:], uint16(r.IntN(0xffff)))
			binary.BigEndian.PutUint16(bytes[14:], 7)
			from := netip.AddrFrom16(bytes)
			to, ok := nat.Translate(inside, outside, from)
			if !ok || !outside.Contains(to) || sum(from) != sum(to) {
				t.Fatalf("%s from %s to %s is %s: sums %x and %x", from, inside, outside, to, sum(from), sum(to))
			}
			if other, taken := seen[to]; taken && other != from {
				t.Fatalf("%s and %s both become %s", from, other, to)
			}
			seen[to] = from
		}
	}
}

func TestSubnets(t *testing.T) {
	inside := netip.MustParsePrefix("fd01:203:405::/48")
	for _, test := range []struct{ networks, want string }{
		{"fd01:203:405:2::1/64 fd01:203:405:1::1/64 fd01:203:405:1::2/64 10.0.0.1/24 fd02::1/64", "fd01:203:405:1::/64 fd01:203:405:2::/64"},
		{"fd01:203:405:1::1/128", "fd01:203:405:1::/64"},
		{"fd01:203:405:4::/62", "fd01:203:405:4::/64 fd01:203:405:5::/64 fd01:203:405:6::/64 fd01:203:405:7::/64"},
		{"fd01:203:405::/49", ""},
		{"", ""},
	} {
		var networks []netip.Prefix
		for text := range strings.FieldsSeq(test.networks) {
			networks = append(networks, netip.MustParsePrefix(text))
		}
		if got := nat.Subnets(inside, networks); strings.Join(got, " ") != test.want {
			t.Errorf("of %s: %v", test.networks, got)
		}
	}
}

func TestPrefixProblems(t *testing.T) {
	good := schema.NATPrefix{Name: "x", Inside: "fd01:203:405:1::/64", Outside: "2001:db8:1:d550::/64"}
	for name, test := range map[string]struct {
		prefixes []schema.NATPrefix
		typ      string
		path     string
		says     string
	}{
		"good":         {prefixes: []schema.NATPrefix{good}},
		"short":        {prefixes: []schema.NATPrefix{{Name: "x", Inside: "fd01:203:405::/48", Outside: "2001:db8:1::/48", Subnets: []string{"fd01:203:405:1::/64"}}}},
		"none":         {typ: nat.PrefixOnly, path: "type", says: "add a prefix block"},
		"IPv4":         {[]schema.NATPrefix{{Name: "x", Inside: "10.0.0.0/8", Outside: good.Outside}}, "", `prefix["x"].inside`, "no IPv6 prefix"},
		"host bits":    {[]schema.NATPrefix{{Name: "x", Inside: good.Inside, Outside: "2001:db8:1:d550::1/64"}}, "", `prefix["x"].outside`, "write 2001:db8:1:d550::/64"},
		"lengths":      {[]schema.NATPrefix{{Name: "x", Inside: good.Inside, Outside: "2001:db8:1::/56"}}, "", `prefix["x"].outside`, "differ in length"},
		"too long":     {[]schema.NATPrefix{{Name: "x", Inside: "fd00::/96", Outside: "2001:db8::/96"}}, "", `prefix["x"].inside`, "no whole subnet"},
		"not neutral":  {[]schema.NATPrefix{{Name: "x", Inside: good.Inside, Outside: "2001:db8:1:1::/64"}}, "", `prefix["x"].outside`, "2001:db8:1:d550::/64 is"},
		"no partner":   {[]schema.NATPrefix{{Name: "x", Inside: "fd01:203:405::/56", Outside: "2001:db8:1::/56"}}, "", `prefix["x"].outside`, "choose another"},
		"no subnet":    {[]schema.NATPrefix{{Name: "x", Inside: "fd01:203:405::/48", Outside: "2001:db8:1::/48"}}, "", `prefix["x"].inside`, "no interface"},
		"inside twice": {[]schema.NATPrefix{good, {Name: "y", Inside: good.Inside, Outside: "2001:db8:2:d54f::/64"}}, "", `prefix["y"].inside`, "overlaps"},
	} {
		t.Run(name, func(t *testing.T) {
			problems := nat.Problems(schema.NAT{Family: nat.IPv6, Type: test.typ, Outside: "eth0", Prefixes: test.prefixes})
			if test.path == "" && len(problems) > 0 || test.path != "" && !slices.ContainsFunc(problems, func(p nat.Problem) bool {
				return len(problems) == 1 && p.Path == test.path && strings.Contains(p.Message, test.says)
			}) {
				t.Errorf("got %+v", problems)
			}
		})
	}
}
