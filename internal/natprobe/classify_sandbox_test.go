//go:build sandbox

package natprobe_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/internal/natprobe"
	"github.com/labctl/labctl/internal/nft"
	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/nat"
)

var quick = natprobe.Timing{Interval: 80 * time.Millisecond, Tries: 4}

func classify(t *testing.T, w *world, s *site) natprobe.Behaviour {
	t.Helper()
	// A fresh link takes a moment before IPv6 works on it.
	first, err := s.hosts[0].openUDP(s.inside[0], 0)
	s.hosts[0].must(err, "socket")
	defer first.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := natprobe.Await(ctx, first, w.server); err != nil {
		t.Fatal(err)
	}
	b, err := natprobe.Classify(context.Background(), func() (net.PacketConn, error) {
		return s.hosts[0].openUDP(s.inside[0], 0)
	}, w.server, quick)
	if err != nil {
		t.Fatalf("classify: %v", err)
	}
	return b
}

// arms are the two ways to build a router.
var arms = map[string]bool{"one arm": true, "two arms": false}

func TestEveryTypeIsWhatItSays(t *testing.T) {
	for arm, oneArm := range arms {
		for _, typ := range nat.Types() {
			for _, hairpin := range []bool{false, true} {
				name := arm + " " + typ
				if hairpin {
					name += " hairpin"
				}
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, oneArm)
					n := schema.NAT{Type: typ, Hairpin: hairpin}
					w.sites[0].set(n)
					got := classify(t, w, w.sites[0])
					want := nat.Resolve(n)
					if got.Type() != typ || got.Mapping != want.Mapping || got.Filtering != want.Filtering {
						t.Errorf("it behaves as %q: %+v", got.Type(), got)
					}
					if got.Hairpin != hairpin {
						t.Errorf("hairpin is %v", got.Hairpin)
					}
					if preserves := want.Ports == nat.Preserve; got.Preserves != preserves {
						t.Errorf("port kept is %v: %v", got.Preserves, got.Outside)
					}
					if got.Outside.Addr() != w.sites[0].outside {
						t.Errorf("seen from %v, not from the router's address", got.Outside)
					}
					w.sites[0].asDeclared(n)
					if t.Failed() {
						t.Log(w.sites[0].router.run("nft", "list", "ruleset"))
					}
				})
			}
		}
	}
}

// asDeclared checks that a router whose sets have learned from packets still counts as converged.
func (s *site) asDeclared(n schema.NAT) {
	s.router.t.Helper()
	n.Outside, n.Inside, n.OutsideAddress, n.Family = s.nat.Outside, s.nat.Inside, s.nat.OutsideAddress, s.nat.Family
	s.router.must(s.router.in(func() error {
		have, _, err := nft.List(context.Background(), host.Local{})
		if err != nil {
			return err
		}
		want, _, err := nft.Scratch(context.Background(), host.Local{}, nat.Compile(n))
		for _, d := range nft.Diff(have, want) {
			s.router.t.Errorf("a phantom difference: %+v", d)
		}
		return err
	}), "compare rules")
}
