//go:build sandbox

package natprobe_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/internal/natprobe"
	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/nat"
)

// What this test binary does as a process of its own in a namespace: serve on two addresses, or classify the way to a server.
const (
	tcpServerEnv   = "NATPROBE_TCP_SERVER"
	tcpClassifyEnv = "NATPROBE_TCP_CLASSIFY"
)

func runTCPServer(text string) error {
	var addresses [2]netip.Addr
	for i, a := range strings.Fields(text) {
		addresses[i] = netip.MustParseAddr(a)
	}
	ctx := context.Background()
	s, err := natprobe.ListenTCPServer(ctx, addresses, [2]uint16{natprobe.STUNPort, natprobe.AlternatePort})
	if err != nil {
		return err
	}
	return s.Serve(ctx)
}

func runTCPClassify(text string) (b natprobe.Behaviour, err error) {
	server, err := netip.ParseAddrPort(text)
	if err != nil {
		return b, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := natprobe.AwaitTCP(ctx, server); err != nil {
		return b, err
	}
	return natprobe.ClassifyTCP(ctx, server)
}

// serveTCP starts a TCPServer in the world's internet, until the test ends.
func (w *world) serveTCP() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- w.internet.in(func() error {
			_, err := host.Local{}.Run(ctx, host.Command{Args: []string{"/proc/self/exe"}, Env: []string{
				fmt.Sprintf("%s=%s %s", tcpServerEnv, w.addresses[0], w.addresses[1]),
			}})
			return err
		})
	}()
	w.t.Cleanup(func() {
		select {
		case err := <-ended:
			w.t.Errorf("the TCP server ended by itself: %v", err)
		default:
			cancel()
			<-ended
		}
	})
}

func (w *world) classifyTCP(s *site) (b natprobe.Behaviour) {
	w.t.Helper()
	s.hosts[0].must(s.hosts[0].in(func() error {
		out, err := host.Local{}.Run(context.Background(), host.Command{Args: []string{"/proc/self/exe"}, Env: []string{
			tcpClassifyEnv + "=" + netip.AddrPortFrom(w.addresses[0], natprobe.STUNPort).String(),
		}})
		if err != nil {
			return err
		}
		return json.Unmarshal(out.Stdout, &b)
	}), "classify TCP")
	return b
}

func TestEveryTypeIsWhatItSaysForTCP(t *testing.T) {
	for arm, oneArm := range arms {
		for _, n := range []schema.NAT{
			{Type: nat.FullCone}, {Type: nat.AddressRestrictedCone, Hairpin: true}, {Type: nat.PortRestrictedCone},
			{Type: nat.PortRestrictedCone, Hairpin: true}, {Type: nat.Symmetric},
			{Mapping: nat.AddressAndPortDependent, Filtering: nat.EndpointIndependent, Ports: "20000-30000"},
		} {
			want := nat.Resolve(n)
			t.Run(fmt.Sprintf("%s %s %s %s hairpin %v", arm, n.Type, want.Mapping, want.Filtering, n.Hairpin), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, oneArm)
				w.serveTCP()
				w.sites[0].set(n)
				got := w.classifyTCP(w.sites[0])
				outside := got.Outside.Addr()
				got.Outside = netip.AddrPort{}
				if wanted := (natprobe.Behaviour{
					Protocol: "tcp", Translated: true, Mapping: want.Mapping, Filtering: want.Filtering,
					Preserves: want.Ports == nat.Preserve, Hairpin: n.Hairpin, Simultaneous: true, Silent: true,
				}); got != wanted {
					t.Errorf("it behaves as %+v,\nnot as %+v\n%s", got, wanted, w.sites[0].router.run("nft", "list", "ruleset"))
				}
				if outside != w.sites[0].outside {
					t.Errorf("seen from %v, not from the router's address", outside)
				}
			})
		}
	}
}

// Routers that break what RFC 5382 demands are told from those that do not.
func TestTCPFaults(t *testing.T) {
	for name, test := range map[string]struct {
		rule string
		want natprobe.Behaviour
	}{
		"answers what is unsolicited": {
			`chain rude { type filter hook input priority -10;
iifname "eth0" tcp flags syn / syn,ack reject with tcp reset
}`,
			natprobe.Behaviour{Simultaneous: true},
		},
		"lets no crossing SYN in": {
			`chain strict { type filter hook forward priority -10;
iifname "eth0" tcp flags syn / syn,ack drop
}`,
			natprobe.Behaviour{Silent: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, false)
			w.serveTCP()
			w.sites[0].set(schema.NAT{Type: nat.PortRestrictedCone})
			w.sites[0].router.nft("table ip fault {\n" + test.rule + "\n}")
			got := w.classifyTCP(w.sites[0])
			if got.Simultaneous != test.want.Simultaneous || got.Silent != test.want.Silent || got.Type() != nat.PortRestrictedCone {
				t.Errorf("it behaves as %+v", got)
			}
		})
	}
}

// roles are what this binary does as a process of its own; run is false where it is the test itself.
func roles() (run bool, result any, err error) {
	if text := os.Getenv(tcpServerEnv); text != "" {
		return true, nil, runTCPServer(text)
	}
	if text := os.Getenv(tcpClassifyEnv); text != "" {
		result, err = runTCPClassify(text)
		return true, result, err
	}
	if text := os.Getenv(tcpPeerEnv); text != "" {
		var peer tcpPeer
		if err := json.Unmarshal([]byte(text), &peer); err != nil {
			return true, nil, err
		}
		result, err = peer.punch()
		return true, result, err
	}
	return false, nil, nil
}
