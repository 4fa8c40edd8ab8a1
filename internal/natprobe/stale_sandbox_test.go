//go:build sandbox

package natprobe_test

import (
	"net/netip"
	"testing"

	"github.com/labctl/labctl/internal/natflow"
	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/nat"
)

// drop removes what the change makes stale in the site's router, and returns how many flows that was.
func (s *site) drop(before, after *schema.NAT) (total int) {
	s.router.t.Helper()
	fill := func(n *schema.NAT) *schema.NAT {
		if n == nil {
			return nil
		}
		filled := *n
		filled.Outside, filled.Inside, filled.OutsideAddress, filled.Family = s.nat.Outside, s.nat.Inside, s.nat.OutsideAddress, s.nat.Family
		return &filled
	}
	s.router.must(s.router.in(func() error {
		dropped, err := natflow.Drop(fill(before), fill(after))
		for reason, n := range dropped {
			s.router.t.Logf("%d flows: %s", n, reason)
			total += n
		}
		return err
	}), "drop")
	return total
}

// A flow that lives through a change of its NAT stays on the old mapping until its entry is dropped; others are not
// touched.
func TestChangeDropsJustWhatIsStale(t *testing.T) {
	for arm, oneArm := range arms {
		t.Run(arm, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, oneArm)
			s := w.sites[0]
			before := schema.NAT{Type: nat.PortRestrictedCone, Forwards: forwards(s)}
			after := schema.NAT{Type: nat.Symmetric, Forwards: forwards(s)}
			s.set(before)
			p, pAt := w.peer(0, 7001)
			a, server := s.hosts[0].udp(5000), s.hosts[0].udp(5353)
			if seen := echo(t, a, p, pAt); seen.Port() != 5000 {
				t.Fatalf("the port is not kept: %v", seen)
			}
			visitor, visitorAt := w.peer(1, 7002)
			send(t, visitor, netip.AddrPortFrom(s.outside, 53), "query")
			if text, from := receive(t, server); text != "query" || from != visitorAt {
				t.Fatalf("the forward brings %q from %v", text, from)
			}
			s.set(after)
			if seen := echo(t, a, p, pAt); seen.Port() != 5000 {
				t.Errorf("the live flow moved before anything was dropped, so this test shows nothing: %v", seen)
			}
			if n := s.drop(&before, &after); n != 1 {
				t.Errorf("%d flows dropped, not just the one that was mapped", n)
			}
			if seen := echo(t, a, p, pAt); seen.Port() == 5000 {
				t.Errorf("the flow is still on its old mapping %v", seen)
			}
			var left []nat.Flow
			s.router.must(s.router.in(func() (err error) { left, err = natflow.List(); return err }), "list")
			forwarded := 0
			for _, f := range left {
				if f.Source == visitorAt && f.DestinationNAT {
					forwarded++
				}
			}
			if forwarded != 1 {
				t.Errorf("the forward's flow is gone: %+v", left)
			}
		})
	}
}

// A flow that a peer opened through a mapping holds that mapping too: a symmetric NAT must not go on with it.
func TestChangeDropsWhatPeersOpened(t *testing.T) {
	for arm, oneArm := range arms {
		t.Run(arm, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, oneArm)
			s := w.sites[0]
			before, after := schema.NAT{Type: nat.FullCone}, schema.NAT{Type: nat.Symmetric}
			s.set(before)
			p, pAt := w.peer(0, 7001)
			q, qAt := w.peer(1, 7002)
			a := s.hosts[0].udp(5000)
			seen := echo(t, a, p, pAt)
			send(t, q, seen, "hello")
			if text, from := receive(t, a); text != "hello" || from != qAt {
				t.Fatalf("the peer does not get in: %q from %v", text, from)
			}
			s.set(after)
			if again := echo(t, a, q, qAt); again != seen {
				t.Errorf("the live flow moved before anything was dropped, so this test shows nothing: %v", again)
			}
			s.drop(&before, &after)
			if again := echo(t, a, q, qAt); again == seen {
				t.Errorf("the flow that the peer opened is still on its old mapping %v", again)
			}
		})
	}
}

// A NAT that comes translates flows that were forwarded untouched before, and one that goes leaves none translated.
func TestNATComesAndGoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	s := w.sites[0]
	n := schema.NAT{Type: nat.FullCone}
	s.router.sysctl("net/ipv4/ip_forward", "1")
	s.router.nft("table ip watch { chain c { type filter hook forward priority 0; ct state new accept; }; }") // tracks
	p, pAt := w.peer(0, 7001)
	a := s.hosts[0].udp(5000)
	if seen := echo(t, a, p, pAt); seen.Addr().String() != s.inside[0] {
		t.Fatalf("translated with no NAT: %v", seen)
	}
	s.set(n)
	if dropped := s.drop(nil, &n); dropped == 0 {
		t.Error("nothing is dropped when NAT comes")
	}
	if seen := echo(t, a, p, pAt); seen.Addr() != s.outside {
		t.Errorf("not translated: %v", seen)
	}
	s.router.nft("flush ruleset\ntable ip watch { chain c { type filter hook forward priority 0; ct state new accept; }; }")
	if dropped := s.drop(&n, nil); dropped == 0 {
		t.Error("nothing is dropped when NAT goes")
	}
	if seen := echo(t, a, p, pAt); seen.Addr().String() != s.inside[0] {
		t.Errorf("still translated: %v", seen)
	}
}

// With IPv6 likewise; and a change of IPv4's NAT leaves these flows alone.
func TestChangeDropsJustWhatIsStaleWithIPv6(t *testing.T) {
	for arm, oneArm := range arms {
		t.Run(arm, func(t *testing.T) {
			t.Parallel()
			w := newWorldOf(t, plan6, oneArm)
			s := w.sites[0]
			before, after := schema.NAT{Type: nat.PortRestrictedCone}, schema.NAT{Type: nat.Symmetric}
			s.set(before)
			classify(t, w, s) // when this has worked, so does all else
			p, pAt := w.peer(0, 7001)
			a, err := s.hosts[0].openUDP(s.inside[0], 5000)
			s.hosts[0].must(err, "socket")
			defer a.Close()
			if seen := echo(t, a, p, pAt); seen.Port() != 5000 {
				t.Fatalf("the port is not kept: %v", seen)
			}
			s.set(after)
			s.nat.Family = ""
			s.drop(&before, &after)
			s.nat.Family = nat.IPv6
			if seen := echo(t, a, p, pAt); seen.Port() != 5000 {
				t.Errorf("the flow moved before anything of IPv6 was dropped: %v", seen)
			}
			if n := s.drop(&before, &after); n == 0 {
				t.Error("nothing is dropped")
			}
			if seen := echo(t, a, p, pAt); seen.Port() == 5000 {
				t.Errorf("the flow is still on its old mapping %v", seen)
			}
		})
	}
}
