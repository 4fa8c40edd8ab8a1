//go:build sandbox

package natprobe_test

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/labctl/labctl/internal/natprobe"
	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/nat"
)

func TestEveryTypeIsWhatItSaysWithIPv6(t *testing.T) {
	for arm, oneArm := range arms {
		for _, typ := range nat.Types() {
			for _, hairpin := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s %s hairpin %v", arm, typ, hairpin), func(t *testing.T) {
					t.Parallel()
					w := newWorldOf(t, plan6, oneArm)
					w.serveTCP()
					n := schema.NAT{Type: typ, Hairpin: hairpin}
					s := w.sites[0]
					s.set(n)
					want := natprobe.Behaviour{
						Translated: true, Preserves: typ != nat.Symmetric, Hairpin: hairpin,
					}
					want.Mapping, want.Filtering, _ = nat.Behaviour(typ)
					for _, got := range []natprobe.Behaviour{classify(t, w, s), w.classifyTCP(s)} {
						if got.Outside.Addr() != s.outside {
							t.Errorf("%s is seen from %v, not from the router's address", got.Protocol, got.Outside)
						}
						want.Protocol, want.Outside = got.Protocol, got.Outside
						want.Simultaneous, want.Silent = got.Protocol == "tcp", got.Protocol == "tcp"
						if got != want {
							t.Errorf("it behaves as %+v,\nnot as %+v", got, want)
						}
					}
					s.asDeclared(n)
					if t.Failed() {
						t.Log(s.router.run("nft", "list", "ruleset"))
					}
				})
			}
		}
	}
}

// A prefix for a prefix: addresses change and keep their checksums, ports stay, whoever wants gets in.
func TestPrefixTranslation(t *testing.T) {
	for name, p := range map[string]schema.NATPrefix{
		"48 bits": {Name: "site", Inside: "fd00::/48", Outside: "2001:db8:1000::/48", Subnets: []string{"fd00:0:0:0::/64"}},
		"64 bits": {Name: "site", Inside: "fd00::/64", Outside: "2001:db8:1000:bf47::/64"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorldOf(t, plan6, false)
			w.serveTCP()
			s := w.sites[0]
			w.internet.route("2001:db8:1000::/48", plan6.nets[0]+"2", "segment0")
			n := schema.NAT{Prefixes: []schema.NATPrefix{p}}
			s.set(n)
			outside := netip.MustParseAddr("2001:db8:1000:bf47::100")
			for _, got := range []natprobe.Behaviour{classify(t, w, s), w.classifyTCP(s)} {
				if got.Outside.Addr() != outside || !got.Preserves || got.Type() != nat.FullCone || !got.Hairpin {
					t.Errorf("it behaves as %+v", got)
				}
			}
			conn, err := s.hosts[0].openUDP(s.inside[0], 5000)
			s.hosts[0].must(err, "socket")
			defer conn.Close()
			stranger, err := w.internet.openUDP(w.addresses[1].String(), 7001)
			w.internet.must(err, "socket")
			defer stranger.Close()
			send(t, stranger, netip.AddrPortFrom(outside, 5000), "hello")
			if text, from := receive(t, conn); text != "hello" || from.Addr() != w.addresses[1] {
				t.Errorf("got %q from %v", text, from)
			}
			s.asDeclared(n)
		})
	}
}

// Two hosts on one source port that first send to different peers: each keeps one outside port for all of them.
func TestTwoHostsOnOneSourcePortWithIPv6(t *testing.T) {
	for arm, oneArm := range arms {
		for _, typ := range []string{nat.FullCone, nat.AddressRestrictedCone, nat.PortRestrictedCone} {
			t.Run(arm+" "+typ, func(t *testing.T) {
				t.Parallel()
				w := newWorldOf(t, plan6, oneArm)
				s := w.sites[0]
				s.set(schema.NAT{Type: typ})
				p, pAt := w.peer(0, 7001)
				q, qAt := w.peer(1, 7002)
				a, err := s.hosts[0].openUDP(s.inside[0], 5000)
				s.hosts[0].must(err, "socket")
				defer a.Close()
				b, err := s.hosts[1].openUDP(s.inside[1], 5000)
				s.hosts[1].must(err, "socket")
				defer b.Close()
				classify(t, w, s) // when this has worked, so does all else
				seenA, seenB := echo(t, a, p, pAt), echo(t, b, q, qAt)
				if seenA == seenB {
					t.Errorf("both hosts are seen as %v", seenA)
				}
				if again := echo(t, a, q, qAt); again != seenA {
					t.Errorf("host a is %v for one peer and %v for another", seenA, again)
				}
				if again := echo(t, b, p, pAt); again != seenB {
					t.Errorf("host b is %v for one peer and %v for another", seenB, again)
				}
				known, _ := w.peer(0, 7003)
				passes := typ != nat.PortRestrictedCone
				for host, seen := range map[net.PacketConn]netip.AddrPort{a: seenA, b: seenB} {
					send(t, known, seen, "known")
					listen := overhear
					if passes {
						listen = receive
					}
					if text, _ := listen(t, host); (text == "known") != passes {
						t.Errorf("another port of a known address to %v: passes is %v", seen, !passes)
					}
				}
			})
		}
	}
}
