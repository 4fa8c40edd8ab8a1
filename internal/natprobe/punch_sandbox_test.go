//go:build sandbox

package natprobe_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/internal/natprobe"
	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/nat"
)

// fast asks and sends more often than a real lab needs.
const fast = 20 * time.Millisecond

// pair runs both sides of something at once.
func pair[T any](side func(i int) (T, error)) ([2]T, error) {
	var results [2]T
	var errs [2]error
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() { results[i], errs[i] = side(i) })
	}
	wg.Wait()
	return results, errors.Join(errs[0], errs[1])
}

// names of the two peers, and the ports that they use.
var (
	peerNames = [2]string{"a", "b"}
	peerPorts = [2]int{23456, 55555}
)

// punchUDP lets the first hosts of both sites meet at the rendezvous server and punch.
func punchUDP(w *world, session string, patience time.Duration) ([2]natprobe.Punched, error) {
	conns := [2]func() (natprobe.Punched, error){}
	for i := range conns {
		conn := w.sites[i].hosts[0].udp(peerPorts[i])
		conns[i] = func() (natprobe.Punched, error) {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			_, remote, err := natprobe.MeetUDP(ctx, conn, w.via, session, peerNames[i], fast)
			if err != nil {
				return natprobe.Punched{}, err
			}
			ctx, cancel = context.WithTimeout(context.Background(), patience)
			defer cancel()
			return natprobe.PunchUDP(ctx, conn, natprobe.Peer{Session: session, Name: peerNames[i], Remote: remote, Interval: fast})
		}
	}
	return pair(func(i int) (natprobe.Punched, error) { return conns[i]() })
}

// punchable says what theory promises for a pair of NAT types: the hole stays closed only where one side cannot know
// the port that the other will come from, and lets in nothing else.
func punchable(a, b string) bool {
	closed := func(x, y string) bool {
		return x == nat.Symmetric && (y == nat.Symmetric || y == nat.PortRestrictedCone)
	}
	return !closed(a, b) && !closed(b, a)
}

func TestUDPHolePunchMatrix(t *testing.T) {
	for arm, oneArm := range arms {
		open := 0
		for _, a := range nat.Types() {
			for _, b := range nat.Types() {
				if punchable(a, b) {
					open++
				}
				t.Run(arm+" "+a+" × "+b, func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, oneArm, oneArm)
					w.sites[0].set(schema.NAT{Type: a})
					w.sites[1].set(schema.NAT{Type: b})
					got, err := punchUDP(w, t.Name(), 800*time.Millisecond)
					if err != nil {
						t.Fatal(err)
					}
					for i, side := range got {
						if side.Confirmed != punchable(a, b) {
							t.Errorf("side %s: confirmed is %v: %+v", peerNames[i], side.Confirmed, side)
						}
						if other := w.sites[1-i].outside; side.Confirmed && side.From.Addr() != other {
							t.Errorf("side %s hears from %v, not from the other router %v", peerNames[i], side.From, other)
						}
					}
				})
			}
		}
		if open != 13 {
			t.Errorf("%s: theory opens %d of 16 pairs, not 13", arm, open)
		}
	}
}

// With no server in the lab, both sides take it that ports are kept: the experiment of a lab's first day.
func TestUDPHolePunchWithNoServer(t *testing.T) {
	for arm, oneArm := range arms {
		for _, test := range []struct {
			ports string
			opens bool
		}{{nat.Preserve, true}, {nat.Random, false}} {
			t.Run(arm+" ports "+test.ports, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, oneArm, oneArm)
				w.sites[0].set(schema.NAT{Type: nat.PortRestrictedCone})
				w.sites[1].set(schema.NAT{Type: nat.PortRestrictedCone, Ports: test.ports})
				got, err := pair(func(i int) (natprobe.Punched, error) {
					ctx, cancel := context.WithTimeout(context.Background(), 600*time.Millisecond)
					defer cancel()
					remote := netip.AddrPortFrom(w.sites[1-i].outside, uint16(peerPorts[1-i]))
					return natprobe.PunchUDP(ctx, w.sites[i].hosts[0].udp(peerPorts[i]),
						natprobe.Peer{Session: "s", Name: peerNames[i], Remote: remote, Interval: fast})
				})
				if err != nil {
					t.Fatal(err)
				}
				if got[0].Confirmed != test.opens || got[1].Confirmed != test.opens {
					t.Errorf("opened: %+v", got)
				}
			})
		}
	}
}

// A TCP punch opens sockets on threads that Go chooses, so it runs in a process that is in the namespace as a whole:
// this test binary again, told so by the environment.
const tcpPeerEnv = "NATPROBE_TCP_PEER"

type tcpPeer struct {
	Port     int
	Via      netip.AddrPort
	Session  string
	Name     string
	Patience time.Duration
}

func TestMain(m *testing.M) {
	run, result, err := roles()
	if !run {
		// Most of a test is waiting for packets that do not come, so more of them than processors run side by side.
		if err := flag.Set("test.parallel", "12"); err != nil {
			panic(err)
		}
		os.Exit(m.Run())
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(result)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (t tcpPeer) punch() (natprobe.Punched, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	port, err := natprobe.ListenTCP(ctx, "tcp4", uint16(t.Port))
	if err != nil {
		return natprobe.Punched{}, err
	}
	defer port.Close()
	_, remote, held, err := port.MeetTCP(ctx, t.Via, t.Session, t.Name, fast)
	if err != nil {
		return natprobe.Punched{}, err
	}
	defer held.Close()
	ctx, cancel = context.WithTimeout(ctx, t.Patience)
	defer cancel()
	return port.Punch(ctx, natprobe.Peer{Session: t.Session, Name: t.Name, Remote: remote, Interval: fast})
}

func punchTCP(w *world, session string, patience time.Duration) ([2]natprobe.Punched, error) {
	return pair(func(i int) (result natprobe.Punched, err error) {
		text, err := json.Marshal(tcpPeer{Port: peerPorts[i], Via: w.via, Session: session, Name: peerNames[i], Patience: patience})
		if err != nil {
			return result, err
		}
		err = w.sites[i].hosts[0].in(func() error {
			out, err := host.Local{}.Run(context.Background(), host.Command{
				Args: []string{"/proc/self/exe"}, Env: []string{tcpPeerEnv + "=" + string(text)},
			})
			if err != nil {
				return err
			}
			return json.Unmarshal(out.Stdout, &result)
		})
		return result, err
	})
}

func TestTCPSimultaneousOpenMatrix(t *testing.T) {
	for arm, oneArm := range arms {
		for _, a := range nat.Types() {
			for _, b := range nat.Types() {
				t.Run(arm+" "+a+" × "+b, func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, oneArm, oneArm)
					w.sites[0].set(schema.NAT{Type: a})
					w.sites[1].set(schema.NAT{Type: b})
					got, err := punchTCP(w, t.Name(), 3500*time.Millisecond)
					if err != nil {
						t.Fatal(err)
					}
					for i, side := range got {
						if side.Confirmed != punchable(a, b) {
							t.Errorf("side %s: confirmed is %v: %+v", peerNames[i], side.Confirmed, side)
						}
					}
				})
			}
		}
	}
}
