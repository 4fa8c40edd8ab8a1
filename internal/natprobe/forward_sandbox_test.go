//go:build sandbox

package natprobe_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/nat"
)

// forwards sends UDP 53 to the first host's 5353 and TCP 80 to its 8080.
func forwards(s *site) []schema.NATForward {
	return []schema.NATForward{
		{Name: "dns", Protocol: "udp", Port: 53, To: s.inside[0], ToPort: 5353},
		{Name: "web", Protocol: "tcp", Port: 8080, To: s.inside[0]},
	}
}

func (m *machine) listenTCP(port string) net.Listener {
	m.t.Helper()
	var l net.Listener
	m.must(m.in(func() (err error) {
		l, err = net.Listen("tcp4", port)
		return err
	}), "listen")
	m.t.Cleanup(func() { l.Close() })
	return l
}

func TestForwards(t *testing.T) {
	for arm, oneArm := range arms {
		for _, typ := range nat.Types() {
			t.Run(arm+" "+typ, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, oneArm)
				s := w.sites[0]
				s.set(schema.NAT{Type: typ, Forwards: forwards(s)})
				server := s.hosts[0].udp(5353)
				p, pAt := w.peer(0, 7001)
				send(t, p, netip.AddrPortFrom(s.outside, 53), "query")
				text, from := receive(t, server)
				if text != "query" || from != pAt {
					t.Fatalf("the forward brings %q from %v, not the peer's query", text, from)
				}
				send(t, server, from, "reply")
				if text, from := receive(t, p); text != "reply" || from != netip.AddrPortFrom(s.outside, 53) {
					t.Errorf("the reply comes as %q from %v", text, from)
				}
				// The segment's own gateway reaches it too, as a person on the lab's host does.
				listener := s.hosts[0].listenTCP(":8080")
				conn, err := w.internet.dialTCP(netip.AddrPortFrom(s.outside, 8080), time.Second)
				if err != nil {
					t.Fatalf("TCP forward: %v", err)
				}
				defer conn.Close()
				accepted, err := listener.Accept()
				if err != nil {
					t.Fatal(err)
				}
				defer accepted.Close()
				if err := transfer(conn, accepted); err != nil {
					t.Error(err)
				}
				if got, want := accepted.RemoteAddr().String(), conn.LocalAddr().String(); got != want {
					t.Errorf("the server sees %s, not the client %s", got, want)
				}
				// A host that uses a forwarded port as its source must not take the port from the forward.
				if seen := echo(t, s.hosts[1].udp(53), p, pAt); seen.Port() == 53 && typ != nat.Symmetric {
					t.Errorf("the forward's port is given to a host: %v", seen)
				}
			})
		}
	}
}

func TestForwardHairpin(t *testing.T) {
	for arm, oneArm := range arms {
		for _, hairpin := range []bool{false, true} {
			for _, typ := range nat.Types() {
				name := arm + " off " + typ
				if hairpin {
					name = arm + " on " + typ
				}
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, oneArm)
					s := w.sites[0]
					s.set(schema.NAT{Type: typ, Hairpin: hairpin, Forwards: forwards(s)})
					p, pAt := w.peer(0, 7001)
					server, client := s.hosts[0].udp(5353), s.hosts[1].udp(5000)
					echo(t, client, p, pAt) // one arm: makes itself known as an inside host
					send(t, client, netip.AddrPortFrom(s.outside, 53), "query")
					listen := overhear
					if hairpin {
						listen = receive
					}
					text, from := listen(t, server)
					if (text == "query") != hairpin {
						t.Fatalf("hairpin brings %q", text)
					}
					if !hairpin {
						return
					}
					if from.Addr() != s.outside {
						t.Errorf("the server sees %v, not the outside address", from)
					}
					send(t, server, from, "reply")
					if text, from := receive(t, client); text != "reply" || from != netip.AddrPortFrom(s.outside, 53) {
						t.Errorf("the reply comes as %q from %v", text, from)
					}
				})
			}
		}
	}
}

func TestOneToOne(t *testing.T) {
	for arm, oneArm := range arms {
		for _, typ := range nat.Types() {
			t.Run(arm+" "+typ, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, oneArm)
				s := w.sites[0]
				second := netip.MustParseAddr(siteNets[0] + "7")
				s.router.address("eth0", second.String()+"/32", true)
				s.set(schema.NAT{Type: typ, OneToOne: []schema.OneToOne{{Outside: second.String(), Inside: s.inside[0]}}})
				p, pAt := w.peer(0, 7001)
				q, _ := w.peer(1, 7002)
				a := s.hosts[0].udp(5000)
				want := netip.AddrPortFrom(second, 5000)
				if seen := echo(t, a, p, pAt); seen != want {
					t.Errorf("the host is seen as %v, not %v", seen, want)
				}
				send(t, q, want, "stranger")
				if text, _ := receive(t, a); text != "stranger" {
					t.Error("a stranger does not reach the bound host")
				}
				send(t, a, q.LocalAddr().(*net.UDPAddr).AddrPort(), "answer")
				if text, from := receive(t, q); text != "answer" || from != want {
					t.Errorf("the answer comes as %q from %v", text, from)
				}
				if seen := echo(t, s.hosts[1].udp(5000), p, pAt); seen.Addr() != s.outside {
					t.Errorf("the other host is seen as %v", seen)
				}
				// What the bound host opens says nothing about the shared address.
				send(t, q, netip.AddrPortFrom(s.outside, 5001), "shared")
				b := s.hosts[0].udp(5001)
				echo(t, b, p, pAt)
				send(t, q, netip.AddrPortFrom(s.outside, 5001), "shared")
				if text, _ := overhear(t, b); text != "" {
					t.Errorf("%q reaches the bound host by the shared address", text)
				}
			})
		}
	}
}
