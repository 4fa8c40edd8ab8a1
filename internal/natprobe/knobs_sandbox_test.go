//go:build sandbox

package natprobe_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/labctl/labctl/internal/natprobe"
	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/nat"
)

// send sends text to an endpoint, from a socket of any machine.
func send(t *testing.T, from net.PacketConn, to netip.AddrPort, text string) {
	t.Helper()
	if _, err := from.WriteTo([]byte(text), net.UDPAddrFromAddrPort(to)); err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("send to %v: %v", to, err)
	}
}

// receive waits for a packet that must come, and returns its text and source; "" when none comes.
func receive(t *testing.T, conn net.PacketConn) (string, netip.AddrPort) {
	t.Helper()
	return receiveWithin(t, conn, 3*time.Second)
}

// overhear is receive for a packet that may well not come, with less patience.
func overhear(t *testing.T, conn net.PacketConn) (string, netip.AddrPort) {
	t.Helper()
	return receiveWithin(t, conn, 250*time.Millisecond)
}

func receiveWithin(t *testing.T, conn net.PacketConn, patience time.Duration) (string, netip.AddrPort) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1500)
	n, from, err := conn.ReadFrom(buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "", netip.AddrPort{}
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n]), from.(*net.UDPAddr).AddrPort()
}

// echo is what an outside endpoint sees of a packet that conn sends to it, and the way back.
func echo(t *testing.T, conn, outside net.PacketConn, at netip.AddrPort) netip.AddrPort {
	t.Helper()
	send(t, conn, at, "ask")
	text, seen := receive(t, outside)
	if text != "ask" {
		t.Fatalf("nothing arrives at %v", at)
	}
	send(t, outside, seen, "answer")
	if text, from := receive(t, conn); text != "answer" || from != at {
		t.Fatalf("the answer of %v to %v is lost (got %q from %v)", at, seen, text, from)
	}
	return seen
}

// peer opens a UDP socket on one of the internet's addresses.
func (w *world) peer(address, port int) (net.PacketConn, netip.AddrPort) {
	w.t.Helper()
	conn, err := w.internet.openUDP(w.addresses[address].String(), port)
	w.internet.must(err, "peer")
	w.t.Cleanup(func() { conn.Close() })
	return conn, conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// Both hosts use one source port and first send to different peers, so that the kernel would give both the same
// outside port. Each must have a mapping of its own that stays the same for every peer.
func TestTwoHostsOnOneSourcePort(t *testing.T) {
	for arm, oneArm := range arms {
		for _, typ := range []string{nat.FullCone, nat.AddressRestrictedCone, nat.PortRestrictedCone} {
			// The range is wide: by chance two hosts get one port of it, since nft cannot ask for a port that no map holds.
			for _, ports := range []string{nat.Preserve, nat.Random, nat.Contiguous, "20000-65000"} {
				t.Run(arm+" "+typ+" "+ports, func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, oneArm)
					s := w.sites[0]
					s.set(schema.NAT{Type: typ, Ports: ports})
					p, pAt := w.peer(0, 7001)
					q, qAt := w.peer(1, 7002)
					a, b := s.hosts[0].udp(5000), s.hosts[1].udp(5000)
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
					// A stranger at a known address, and one at an address of the router's own segment.
					known, _ := w.peer(0, 7003)
					stranger, err := w.internet.openUDP(siteNets[0]+"1", 7004)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { stranger.Close() })
					expect := func(from net.PacketConn, what string, passes bool) {
						t.Helper()
						for _, host := range []struct {
							name string
							conn net.PacketConn
							seen netip.AddrPort
						}{{"a", a, seenA}, {"b", b, seenB}} {
							send(t, from, host.seen, what)
							listen := overhear
							if passes {
								listen = receive
							}
							if got, _ := listen(t, host.conn); (got == what) != passes {
								t.Errorf("%s to host %s: passes is %v", what, host.name, got == what)
							}
						}
					}
					expect(known, "another port of a known address", typ != nat.PortRestrictedCone)
					expect(stranger, "another address", typ == nat.FullCone)
				})
			}
		}
	}
}

func TestPortAssignment(t *testing.T) {
	for arm, oneArm := range arms {
		for _, mapping := range []string{nat.EndpointIndependent, nat.AddressAndPortDependent} {
			for _, ports := range []string{nat.Preserve, nat.Random, nat.Contiguous, "30000-30100"} {
				if mapping == nat.AddressAndPortDependent && ports == nat.Preserve {
					continue // a contradiction, see nat.Problems
				}
				t.Run(arm+" "+mapping+" "+ports, func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, oneArm)
					w.sites[0].set(schema.NAT{Mapping: mapping, Ports: ports})
					var outside []int
					for i := range 6 {
						p, at := w.peer(i%2, 0)
						seen := echo(t, w.sites[0].hosts[0].udp(5000+i), p, at)
						outside = append(outside, int(seen.Port()))
					}
					if got := assignment(outside, 5000); got != ports {
						t.Errorf("ports are assigned as %q: %v", got, outside)
					}
				})
			}
		}
	}
}

// assignment names what a row of outside ports looks like, for the local ports that rise by one from first.
func assignment(outside []int, first int) string {
	kept, next, ranged := true, true, true
	for i, port := range outside {
		kept = kept && port == first+i
		next = next && (i == 0 || port == outside[i-1]+1)
		ranged = ranged && port >= 30000 && port <= 30100
	}
	switch {
	case kept:
		return nat.Preserve
	case next:
		return nat.Contiguous
	case ranged:
		return "30000-30100"
	}
	return nat.Random
}

func TestMappingLifetime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	s := w.sites[0]
	s.set(schema.NAT{Type: nat.FullCone, UDPTimeout: 2, TCPTimeout: 77})
	p, pAt := w.peer(0, 7001)
	q, _ := w.peer(1, 7002)
	a := s.hosts[0].udp(5000)
	seen := echo(t, a, p, pAt)
	// Outbound packets keep it alive.
	for range 4 {
		time.Sleep(700 * time.Millisecond)
		send(t, a, pAt, "keep")
	}
	send(t, q, seen, "early")
	if text, _ := receive(t, a); text != "early" {
		t.Errorf("the mapping is gone although packets kept it alive")
	}
	time.Sleep(2500 * time.Millisecond)
	send(t, q, seen, "late")
	if text, _ := overhear(t, a); text != "" {
		t.Errorf("%q came in by a mapping that should have ended", text)
	}
	listener, conn := s.connectOut(t, w)
	defer listener.Close()
	defer conn.Close()
	list := s.router.run("conntrack", "-L", "-p", "tcp", "--state", "ESTABLISHED")
	var proto string
	var number, left int
	if _, err := fmt.Sscan(list, &proto, &number, &left); err != nil || left < 70 || left > 77 {
		t.Errorf("an established connection should live 77 s: %q %v", list, err)
	}
	// Rules are replaced under live flows, and the flows go on.
	s.set(schema.NAT{Type: nat.FullCone, UDPTimeout: 5})
	if err := transfer(conn, listener.accepted); err != nil {
		t.Errorf("the connection broke when the rules were replaced: %v", err)
	}
}

type outsideListener struct {
	net.Listener
	accepted net.Conn
}

// connectOut opens a TCP connection from the site's first host to the internet.
func (s *site) connectOut(t *testing.T, w *world) (outsideListener, net.Conn) {
	t.Helper()
	var l outsideListener
	var conn net.Conn
	w.internet.must(w.internet.in(func() (err error) {
		l.Listener, err = net.Listen("tcp4", serverAddresses[0].String()+":0")
		return err
	}), "listen")
	conn, err := s.hosts[0].dialTCP(l.Addr().(*net.TCPAddr).AddrPort(), time.Second)
	if err != nil {
		t.Fatalf("connect to the internet: %v", err)
	}
	if l.accepted, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	if err := transfer(conn, l.accepted); err != nil {
		t.Fatal(err)
	}
	return l, conn
}

// dialTCP connects from the machine; the socket is made on the machine's thread by a dialer with no deadline goroutine.
func (m *machine) dialTCP(to netip.AddrPort, patience time.Duration) (conn net.Conn, err error) {
	err = m.in(func() (err error) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		var dialer net.Dialer
		conn, err = dialer.DialContext(ctx, "tcp4", to.String())
		return err
	})
	return conn, err
}

// transfer sends a line over a connection and back.
func transfer(a, b net.Conn) error {
	buf := make([]byte, 8)
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		for _, conn := range way {
			if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
				return err
			}
		}
		if _, err := way[0].Write([]byte("line")); err != nil {
			return err
		}
		if n, err := way[1].Read(buf); err != nil || string(buf[:n]) != "line" {
			return fmt.Errorf("got %q: %w", buf[:n], err)
		}
	}
	return nil
}

func TestOutsideIsSilent(t *testing.T) {
	for arm, oneArm := range arms {
		for _, typ := range nat.Types() {
			t.Run(arm+" "+typ, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, oneArm)
				w.sites[0].set(schema.NAT{Type: typ})
				_, err := w.internet.dialTCP(netip.AddrPortFrom(w.sites[0].outside, 22), 300*time.Millisecond)
				var timeout net.Error
				if !errors.As(err, &timeout) || !timeout.Timeout() {
					t.Errorf("a stray SYN is answered: %v", err)
				}
				if list := w.sites[0].router.run("conntrack", "-L", "-p", "tcp"); strings.Contains(list, "tcp") {
					t.Errorf("a stray SYN leaves a conntrack entry: %s", list)
				}
				w.internet.ping(w.sites[0].outside)
				w.sites[0].hosts[0].ping(serverAddresses[0])
			})
		}
	}
}

// ping sends an ICMP echo request (RFC 792) and waits for the reply.
func (m *machine) ping(to netip.Addr) {
	m.t.Helper()
	var conn net.PacketConn
	m.must(m.in(func() (err error) {
		conn, err = net.ListenPacket("ip4:icmp", "0.0.0.0")
		return err
	}), "ICMP socket")
	defer conn.Close()
	const id = 0x1234
	request := []byte{8, 0, 0, 0, id >> 8, id & 0xff, 0, 1}
	sum := ^uint16(0x0800 + id + 1) // the checksum of these eight bytes: nothing to carry
	request[2], request[3] = byte(sum>>8), byte(sum)
	_, err := conn.WriteTo(request, &net.IPAddr{IP: to.AsSlice()})
	m.must(err, "ping")
	m.must(conn.SetReadDeadline(time.Now().Add(time.Second)), "deadline")
	buf := make([]byte, 100)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			m.t.Errorf("no echo from %v: %v", to, err)
			return
		}
		if n == 8 && buf[0] == 0 && buf[4] == id>>8 && buf[5] == id&0xff && from.String() == to.String() {
			return
		}
	}
}

func TestUnknownOutsideAddress(t *testing.T) {
	for arm, oneArm := range arms {
		t.Run(arm, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, oneArm)
			w.sites[0].nat.OutsideAddress = ""
			w.sites[0].set(schema.NAT{Type: nat.AddressRestrictedCone})
			if got := classify(t, w, w.sites[0]); got.Type() != nat.AddressRestrictedCone {
				t.Errorf("it behaves as %q: %+v", got.Type(), got)
			}
		})
	}
}

// A lab without translation is told from one with it.
func TestNoTranslation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	s := w.sites[0]
	s.router.sysctl("net/ipv4/ip_forward", "1")
	got, err := natprobe.Classify(context.Background(), func() (net.PacketConn, error) {
		return s.hosts[0].openUDP(s.inside[0], 0)
	}, w.server, quick)
	if err != nil || got.Type() != "none" || got.Mapping != nat.EndpointIndependent || got.Filtering != nat.EndpointIndependent {
		t.Errorf("with no NAT: %q %+v %v", got.Type(), got, err)
	}
}
