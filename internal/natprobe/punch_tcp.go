package natprobe

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Longest time that a fresh connection has to prove that it leads to the peer.
const handshakeTime = 2 * time.Second

// PortTCP is a local TCP port from which one listens and connects to several peers at once, as hole punching needs
// (RFC 5128 section 3.4): all its sockets share the port.
type PortTCP struct {
	listener net.Listener
	network  string
	port     uint16
}

// ListenTCP takes the port; 0 takes a free one. network is "tcp4" or "tcp6".
func ListenTCP(ctx context.Context, network string, port uint16) (*PortTCP, error) {
	listen := net.ListenConfig{Control: reusePort}
	l, err := listen.Listen(ctx, network, ":"+strconv.Itoa(int(port)))
	if err != nil {
		return nil, fmt.Errorf("TCP port: %w", err)
	}
	return &PortTCP{listener: l, network: network, port: tcpEndpoint(l.Addr()).Port()}, nil
}

// Port is the local port's number.
func (p *PortTCP) Port() uint16 { return p.port }

// Close gives the port back.
func (p *PortTCP) Close() error { return p.listener.Close() }

func (p *PortTCP) dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	dialer := net.Dialer{Control: reusePort, LocalAddr: &net.TCPAddr{Port: int(p.port)}}
	return dialer.DialContext(ctx, p.network, to.String())
}

func reusePort(_, _ string, raw syscall.RawConn) error {
	var err error
	if e := raw.Control(func(fd uintptr) {
		err = errors.Join(unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
	}); e != nil {
		return e
	}
	return err
}

// MeetTCP is MeetUDP over TCP. The connection to the rendezvous server stays open so that the NAT keeps the mapping;
// the caller closes it after the punch.
func (p *PortTCP) MeetTCP(ctx context.Context, via netip.AddrPort, session, name string, interval time.Duration) (self, peer netip.AddrPort, held net.Conn, err error) {
	conn, err := p.dial(ctx, via)
	for err != nil && ctx.Err() == nil { // the server may still be starting
		select {
		case <-ctx.Done():
		case <-time.After(orInterval(interval)):
			conn, err = p.dial(ctx, via)
		}
	}
	if err != nil {
		return self, peer, nil, fmt.Errorf("rendezvous server %s: %w", via, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	lines := bufio.NewScanner(conn)
	for {
		if err := json.NewEncoder(conn).Encode(register{Session: session, Name: name}); err != nil {
			conn.Close()
			return self, peer, nil, fmt.Errorf("asking rendezvous server %s: %w", via, err)
		}
		var reply introduction
		if !lines.Scan() || json.Unmarshal(lines.Bytes(), &reply) != nil {
			conn.Close()
			if ctx.Err() != nil {
				return self, peer, nil, fmt.Errorf("rendezvous server %s: %w", via, noPeer(ctx, self))
			}
			return self, peer, nil, fmt.Errorf("rendezvous server %s: %w", via, errors.Join(ErrNoAnswer, lines.Err()))
		}
		if self = reply.Self; reply.Peer.IsValid() {
			return self, reply.Peer, conn, nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(orInterval(interval)):
		}
	}
}

// Punch connects to the peer, who connects to us at the same time (simultaneous open, RFC 9293 section 3.5), and takes
// its connection where that arrives first, until one of both proves to be the peer's or ctx ends; that no connection
// comes about is no error but the finding.
func (p *PortTCP) Punch(ctx context.Context, peer Peer) (Punched, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	start := time.Now()
	found := make(chan netip.AddrPort, 1)
	meet := func(conn net.Conn) {
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(handshakeTime))
		stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
		defer stop()
		if shakeHands(conn, peer) {
			select {
			case found <- tcpEndpoint(conn.RemoteAddr()):
				cancel()
			default:
			}
		}
	}
	var result Punched
	var wg sync.WaitGroup
	wg.Go(func() { p.accept(ctx, &wg, meet) })
	wg.Go(func() { result.Sent = p.connect(ctx, peer, meet) })
	wg.Wait()
	select {
	case result.From = <-found:
		result.Received, result.Confirmed, result.Seconds = true, true, time.Since(start).Seconds()
	default:
	}
	return result, nil
}

// accept takes connections until ctx ends. It wakes up by the listener's deadline, which leaves the listener open.
func (p *PortTCP) accept(ctx context.Context, wg *sync.WaitGroup, meet func(net.Conn)) {
	listener := p.listener.(*net.TCPListener)
	_ = listener.SetDeadline(time.Time{})
	stop := context.AfterFunc(ctx, func() { _ = listener.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		wg.Go(func() { meet(conn) })
	}
}

// connect tries until ctx ends, and returns the number of attempts. One attempt is long enough for the kernel to send
// its SYN a second time (after 1 s, RFC 6298): the first may have met a closed filter.
func (p *PortTCP) connect(ctx context.Context, peer Peer, meet func(net.Conn)) int {
	for attempts := 1; ; attempts++ {
		attempt, cancel := context.WithTimeout(ctx, 2500*time.Millisecond)
		conn, err := p.dial(attempt, peer.Remote)
		cancel()
		if err == nil {
			meet(conn)
		}
		select {
		case <-ctx.Done():
			return attempts
		case <-time.After(orInterval(peer.Interval)):
		}
	}
}

// shakeHands proves that conn leads to the peer, and that both know.
func shakeHands(conn net.Conn, peer Peer) bool {
	out, in := json.NewEncoder(conn), bufio.NewScanner(conn)
	for _, seen := range []bool{false, true} {
		if out.Encode(probe{Session: peer.Session, Name: peer.Name, Seen: seen}) != nil {
			return false
		}
		var got probe
		if !in.Scan() || json.Unmarshal(in.Bytes(), &got) != nil {
			return false
		}
		if got.Session != peer.Session || got.Name == peer.Name || got.Seen != seen {
			return false
		}
	}
	return true
}
