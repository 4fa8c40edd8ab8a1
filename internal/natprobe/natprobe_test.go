package natprobe_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/labctl/labctl/internal/natprobe"
	"github.com/labctl/labctl/schema/nat"
)

// box is a NAT in this process: sockets opened behind it send from outside sockets on the loopback.
type box struct {
	t         *testing.T
	mapping   string
	filtering string
}

// socket is a client's socket behind a box.
type socket struct {
	net.PacketConn // never sends: the local address, and Close
	box            *box
	inbox          chan packet
	deadline       time.Time

	mu      sync.Mutex
	outside map[netip.AddrPort]*mapping // by the part of the destination that the mapping depends on
}

type mapping struct {
	conn net.PacketConn
	sent []netip.AddrPort // guarded by the socket's mutex
}

type packet struct {
	data []byte
	from net.Addr
}

func (b *box) listen() (net.PacketConn, error) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &socket{PacketConn: conn, box: b, inbox: make(chan packet, 64), outside: map[netip.AddrPort]*mapping{}}, nil
}

// part keeps of an endpoint what a behaviour looks at.
func part(behaviour string, e netip.AddrPort) netip.AddrPort {
	switch behaviour {
	case nat.EndpointIndependent:
		return netip.AddrPort{}
	case nat.AddressDependent:
		return netip.AddrPortFrom(e.Addr(), 0)
	}
	return e
}

func (s *socket) WriteTo(data []byte, addr net.Addr) (int, error) {
	to := addr.(*net.UDPAddr).AddrPort()
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.outside[part(s.box.mapping, to)]
	if m == nil {
		conn, err := net.ListenPacket("udp4", "127.0.0.3:0")
		if err != nil {
			return 0, err
		}
		s.box.t.Cleanup(func() { conn.Close() })
		m = &mapping{conn: conn}
		s.outside[part(s.box.mapping, to)] = m
		go s.bringIn(m)
	}
	m.sent = append(m.sent, to)
	return m.conn.WriteTo(data, addr)
}

// bringIn passes what the filter lets in.
func (s *socket) bringIn(m *mapping) {
	for {
		buf := make([]byte, 1500)
		n, from, err := m.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		s.mu.Lock()
		passes := slices.ContainsFunc(m.sent, func(to netip.AddrPort) bool {
			return part(s.box.filtering, to) == part(s.box.filtering, from.(*net.UDPAddr).AddrPort())
		})
		s.mu.Unlock()
		if passes {
			s.inbox <- packet{buf[:n], from}
		}
	}
}

func (s *socket) SetReadDeadline(t time.Time) error {
	s.deadline = t
	return nil
}

func (s *socket) ReadFrom(buf []byte) (int, net.Addr, error) {
	select {
	case p := <-s.inbox:
		return copy(buf, p.data), p.from, nil
	case <-time.After(time.Until(s.deadline)):
		return 0, nil, os.ErrDeadlineExceeded
	}
}

// stunServer serves on two loopback addresses, with ports that are free on both.
func stunServer(t *testing.T) *natprobe.Server {
	t.Helper()
	addresses := [2]netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")}
	var server *natprobe.Server
	for tries := 0; server == nil; tries++ {
		var ports [2]uint16
		for i := range ports {
			conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ports[i] = conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
			conn.Close()
		}
		var err error
		if server, err = natprobe.ListenServer(t.Context(), addresses, ports); err != nil && tries > 20 {
			t.Fatal(err)
		}
	}
	serve(t, server.Serve)
	return server
}

// serve runs a server until the test ends.
func serve(t *testing.T, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the server ended: %v", err)
		}
	})
}

func TestClassifyNamesEveryBehaviour(t *testing.T) {
	server := stunServer(t)
	all := []string{nat.EndpointIndependent, nat.AddressDependent, nat.AddressAndPortDependent}
	for _, mapping := range all {
		for _, filtering := range all {
			t.Run(mapping+" "+filtering, func(t *testing.T) {
				t.Parallel()
				b := &box{t: t, mapping: mapping, filtering: filtering}
				got, err := natprobe.Classify(t.Context(), b.listen, server.Address(),
					natprobe.Timing{Interval: 40 * time.Millisecond, Tries: 3})
				if err != nil {
					t.Fatal(err)
				}
				if got.Mapping != mapping || got.Filtering != filtering || !got.Translated {
					t.Errorf("got %+v", got)
				}
				if got.Type() != nat.Type(mapping, filtering) {
					t.Errorf("it is called %q", got.Type())
				}
				if got.Outside.Addr() != netip.MustParseAddr("127.0.0.3") || got.Preserves {
					t.Errorf("seen as %v, preserves %v", got.Outside, got.Preserves)
				}
			})
		}
	}
}

func TestClassifyWithNoServer(t *testing.T) {
	silent, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	listen := func() (net.PacketConn, error) { return net.ListenPacket("udp4", "127.0.0.1:0") }
	address := silent.LocalAddr().(*net.UDPAddr).AddrPort()
	_, err = natprobe.Classify(t.Context(), listen, address, natprobe.Timing{Interval: time.Millisecond, Tries: 2})
	if !errors.Is(err, natprobe.ErrNoAnswer) {
		t.Errorf("a silent server: %v", err)
	}
}

func TestClassifyOnAnOpenWay(t *testing.T) {
	server := stunServer(t)
	listen := func() (net.PacketConn, error) { return net.ListenPacket("udp4", "127.0.0.1:0") }
	got, err := natprobe.Classify(t.Context(), listen, server.Address(), natprobe.Timing{})
	if err != nil || got.Type() != "none" || !got.Preserves {
		t.Errorf("with no NAT: %+v, %v", got, err)
	}
	source, err := natprobe.SourceAddress(server.Address())
	if err != nil || source != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("packets to the server leave from %v, %v", source, err)
	}
}

func TestServerIgnoresGarbage(t *testing.T) {
	server := stunServer(t)
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	to := net.UDPAddrFromAddrPort(server.Address())
	for _, garbage := range []string{"", "x", "\x00\x01\x00\x00", "\x01\x01\x00\x00\x21\x12\xa4\x42twelve bytes"} {
		if _, err := conn.WriteTo([]byte(garbage), to); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, _, err := conn.ReadFrom(make([]byte, 100)); err == nil {
		t.Errorf("garbage is answered with %d bytes", n)
	}
	if _, _, err := natprobe.Mapping(t.Context(), conn, server.Address(), natprobe.Timing{}); err != nil {
		t.Errorf("after garbage: %v", err)
	}
}

func TestRendezvousAndPunchOverLoopback(t *testing.T) {
	meet, err := natprobe.ListenRendezvous(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	serve(t, meet.Serve)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for network, side := range map[string]func(name string) (natprobe.Punched, error){
		"udp": func(name string) (natprobe.Punched, error) {
			conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
			if err != nil {
				return natprobe.Punched{}, err
			}
			defer conn.Close()
			_, remote, err := natprobe.MeetUDP(ctx, conn, meet.Address(), "s", name, time.Millisecond)
			if err != nil {
				return natprobe.Punched{}, err
			}
			return natprobe.PunchUDP(ctx, conn, natprobe.Peer{Session: "s", Name: name, Remote: remote, Interval: time.Millisecond})
		},
		"tcp": func(name string) (natprobe.Punched, error) {
			port, err := natprobe.ListenTCP(ctx, "tcp4", 0)
			if err != nil {
				return natprobe.Punched{}, err
			}
			defer port.Close()
			_, remote, held, err := port.MeetTCP(ctx, meet.Address(), "s", name, time.Millisecond)
			if err != nil {
				return natprobe.Punched{}, err
			}
			defer held.Close()
			return port.Punch(ctx, natprobe.Peer{Session: "s", Name: name, Remote: remote, Interval: time.Millisecond})
		},
	} {
		t.Run(network, func(t *testing.T) {
			var results [2]natprobe.Punched
			var errs [2]error
			var wg sync.WaitGroup
			for i, name := range []string{"a", "b"} {
				wg.Go(func() { results[i], errs[i] = side(name) })
			}
			wg.Wait()
			if err := errors.Join(errs[0], errs[1]); err != nil || !results[0].Confirmed || !results[1].Confirmed {
				t.Errorf("%+v, %v", results, err)
			}
		})
	}
}

func TestRendezvousWithNoPeer(t *testing.T) {
	meet, err := natprobe.ListenRendezvous(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	serve(t, meet.Serve)
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
	defer cancel()
	self, peer, err := natprobe.MeetUDP(ctx, conn, meet.Address(), "alone", "a", 5*time.Millisecond)
	if !errors.Is(err, context.DeadlineExceeded) || peer.IsValid() || self != conn.LocalAddr().(*net.UDPAddr).AddrPort() {
		t.Errorf("alone: %v, %v, %v", self, peer, err)
	}
}
