package natprobe

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// register is what a peer tells the rendezvous server, a JSON object in a datagram or on a line.
type register struct {
	Session string `json:"session"`
	Name    string `json:"name"`
}

// introduction is what the server answers: the endpoints as it sees them. Peer is zero until the other one has come.
type introduction struct {
	Session string         `json:"session"`
	Self    netip.AddrPort `json:"self"`
	Peer    netip.AddrPort `json:"peer,omitzero"`
}

// Seconds that a rendezvous server remembers a peer.
const meetingLifetime = 60 * time.Second

// Rendezvous introduces the two peers of a session to each other (RFC 5128 section 3.3), over UDP and TCP on one port.
type Rendezvous struct {
	udp net.PacketConn
	tcp net.Listener

	mu       sync.Mutex
	meetings map[meeting]map[string]guest
}

type meeting struct{ network, session string }

type guest struct {
	endpoint netip.AddrPort
	seen     time.Time
}

// ListenRendezvous opens the server's sockets at address; with port 0, TCP takes the port that UDP was given.
func ListenRendezvous(ctx context.Context, address netip.AddrPort) (*Rendezvous, error) {
	var listen net.ListenConfig
	udp, err := listen.ListenPacket(ctx, "udp", address.String())
	if err != nil {
		return nil, fmt.Errorf("rendezvous server: %w", err)
	}
	tcp, err := listen.Listen(ctx, "tcp", sourceOf(udp.LocalAddr()).String())
	if err != nil {
		udp.Close()
		return nil, fmt.Errorf("rendezvous server: %w", err)
	}
	return &Rendezvous{udp: udp, tcp: tcp, meetings: map[meeting]map[string]guest{}}, nil
}

// Address is where peers register.
func (r *Rendezvous) Address() netip.AddrPort { return sourceOf(r.udp.LocalAddr()) }

// Close closes the sockets.
func (r *Rendezvous) Close() error { return errors.Join(r.udp.Close(), r.tcp.Close()) }

// Serve introduces peers until ctx ends, and closes the sockets.
func (r *Rendezvous) Serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { r.Close() })
	defer stop()
	var tcpErr error
	var wg sync.WaitGroup
	wg.Go(func() { tcpErr = r.serveTCP(ctx) })
	err := r.serveUDP()
	r.Close()
	wg.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return errors.Join(err, tcpErr)
}

func (r *Rendezvous) serveUDP() error {
	buf := make([]byte, 1500)
	for {
		n, from, err := r.udp.ReadFrom(buf)
		if transient(err) {
			continue
		}
		if err != nil {
			return err
		}
		var reg register
		if json.Unmarshal(buf[:n], &reg) != nil || reg.Session == "" {
			continue
		}
		if reply, err := json.Marshal(r.introduce("udp", reg, sourceOf(from))); err == nil {
			_, _ = r.udp.WriteTo(reply, from) // the peer asks again
		}
	}
}

func (r *Rendezvous) serveTCP(ctx context.Context) error {
	for {
		conn, err := r.tcp.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			stop := context.AfterFunc(ctx, func() { conn.Close() })
			defer stop()
			r.meetTCP(conn)
		}()
	}
}

// meetTCP answers every line of one peer, who asks until the other peer is there. It ends when the peer hangs up.
func (r *Rendezvous) meetTCP(conn net.Conn) {
	from := tcpEndpoint(conn.RemoteAddr())
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		var reg register
		if json.Unmarshal(lines.Bytes(), &reg) != nil || reg.Session == "" {
			return
		}
		if json.NewEncoder(conn).Encode(r.introduce("tcp", reg, from)) != nil {
			return
		}
	}
}

func (r *Rendezvous) introduce(network string, reg register, from netip.AddrPort) introduction {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for key, guests := range r.meetings {
		for name, g := range guests {
			if now.Sub(g.seen) > meetingLifetime {
				delete(guests, name)
			}
		}
		if len(guests) == 0 {
			delete(r.meetings, key)
		}
	}
	key := meeting{network, reg.Session}
	if r.meetings[key] == nil {
		r.meetings[key] = map[string]guest{}
	}
	r.meetings[key][reg.Name] = guest{endpoint: from, seen: now}
	reply := introduction{Session: reg.Session, Self: from}
	for name, g := range r.meetings[key] {
		if name != reg.Name {
			reply.Peer = g.endpoint
		}
	}
	return reply
}

// MeetUDP registers conn with the rendezvous server via until the other peer of the session has done so too, and
// returns this side's and the peer's outside endpoints. It asks every interval (0: 50 ms) until ctx ends.
func MeetUDP(ctx context.Context, conn net.PacketConn, via netip.AddrPort, session, name string, interval time.Duration) (self, peer netip.AddrPort, err error) {
	request, err := json.Marshal(register{Session: session, Name: name})
	if err != nil {
		return self, peer, err
	}
	buf := make([]byte, 1500)
	for {
		if ctx.Err() != nil {
			return self, peer, fmt.Errorf("rendezvous server %s: %w", via, noPeer(ctx, self))
		}
		if _, err := conn.WriteTo(request, net.UDPAddrFromAddrPort(via)); err != nil && !transient(err) {
			return self, peer, fmt.Errorf("asking rendezvous server %s: %w", via, err)
		}
		deadline := time.Now().Add(orInterval(interval))
		for {
			n, from, err := readBefore(conn, buf, deadline)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				return self, peer, err
			}
			var reply introduction
			if from != via || json.Unmarshal(buf[:n], &reply) != nil || reply.Session != session {
				continue
			}
			if self = reply.Self; reply.Peer.IsValid() {
				return self, reply.Peer, nil
			}
		}
	}
}

// noPeer tells the two ways of waiting in vain apart.
func noPeer(ctx context.Context, self netip.AddrPort) error {
	if self.IsValid() {
		return fmt.Errorf("the other peer did not come: %w", context.Cause(ctx))
	}
	return fmt.Errorf("%w: %w", ErrNoAnswer, context.Cause(ctx))
}

func orInterval(d time.Duration) time.Duration {
	if d <= 0 {
		return 50 * time.Millisecond
	}
	return d
}

func tcpEndpoint(addr net.Addr) netip.AddrPort {
	if tcp, ok := addr.(*net.TCPAddr); ok {
		return unmap(tcp.AddrPort())
	}
	return netip.AddrPort{}
}
