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
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// TCPServer is what Server is for UDP: a server on two addresses and two ports. RFC 5780 tests filtering for UDP alone; here
// the client asks over its connection to be connected to, from elsewhere. Requests and answers are lines of JSON.
type TCPServer [2][2]net.Listener

// What a client asks a TCPServer for.
const (
	askEndpoint     = "endpoint"     // how it is seen
	askAddress      = "address"      // a connection from the server's other address
	askPort         = "port"         // a connection from the address that it knows, and another port
	askSimultaneous = "simultaneous" // a SYN as the answer to its own, and no SYN-ACK (RFC 5382 section 4.2)
)

// What came of a connection back.
const (
	backOpen    = "open"
	backRefused = "refused" // the other side said so
	backSilent  = "silent"  // nothing came back
)

type tcpRequest struct {
	Ask   string `json:"ask"`
	Token string `json:"token,omitempty"` // what the server sends over the connection back, so that the client knows it
}

type tcpReply struct {
	Self  netip.AddrPort `json:"self"`           // the client as the server sees it
	Other netip.AddrPort `json:"other"`          // the server's other address and port
	At    netip.AddrPort `json:"at,omitzero"`    // simultaneous: where the client is to connect to now
	Back  string         `json:"back,omitempty"` // how the connection back went
}

// backTime is how long the server waits for a connection back: a SYN that gets lost is sent again after a second.
const backTime = 1500 * time.Millisecond

// ListenTCPServer opens the four sockets of a server, on two addresses of this machine.
func ListenTCPServer(ctx context.Context, addresses [2]netip.Addr, ports [2]uint16) (*TCPServer, error) {
	var s TCPServer
	listen := net.ListenConfig{Control: reusePort}
	for i, address := range addresses {
		for j, port := range ports {
			l, err := listen.Listen(ctx, "tcp", net.JoinHostPort(address.String(), strconv.Itoa(int(port))))
			if err != nil {
				s.Close()
				return nil, fmt.Errorf("TCP server: %w", err)
			}
			s[i][j] = l
		}
	}
	return &s, nil
}

// Address is where clients ask first.
func (s *TCPServer) Address() netip.AddrPort { return tcpEndpoint(s[0][0].Addr()) }

// Close closes the sockets.
func (s *TCPServer) Close() error {
	var errs []error
	for i := range s {
		for _, l := range s[i] {
			if l != nil {
				errs = append(errs, l.Close())
			}
		}
	}
	return errors.Join(errs...)
}

// Serve answers until ctx ends, and closes the sockets.
func (s *TCPServer) Serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	var g errgroup.Group
	for i := range s {
		for j := range s[i] {
			g.Go(func() error { return s.accept(ctx, i, j) })
		}
	}
	err := g.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (s *TCPServer) accept(ctx context.Context, address, port int) error {
	for {
		conn, err := s[address][port].Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			s.converse(ctx, conn, address, port)
		}()
	}
}

// converse answers one client until it hangs up.
func (s *TCPServer) converse(ctx context.Context, conn net.Conn, address, port int) {
	answers := json.NewEncoder(conn)
	reply := tcpReply{Self: tcpEndpoint(conn.RemoteAddr()), Other: tcpEndpoint(s[1-address][1-port].Addr())}
	here := tcpEndpoint(conn.LocalAddr()).Addr()
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		var request tcpRequest
		if json.Unmarshal(lines.Bytes(), &request) != nil {
			return
		}
		reply.Back, reply.At = "", netip.AddrPort{}
		switch request.Ask {
		case askEndpoint:
		case askAddress:
			reply.Back = connectBack(ctx, netip.AddrPortFrom(reply.Other.Addr(), 0), reply.Self, request.Token)
		case askPort:
			reply.Back = connectBack(ctx, netip.AddrPortFrom(here, 0), reply.Self, request.Token)
		case askSimultaneous:
			quiet, err := listenQuietly(ctx, reply.Other.Addr())
			if err != nil {
				return
			}
			reply.At = quiet.at
			err = answers.Encode(reply)
			if err == nil {
				reply.Back = quiet.meet(ctx, request.Token)
			}
			quiet.close()
		default:
			return
		}
		if answers.Encode(reply) != nil {
			return
		}
	}
}

// connectBack connects from an address of this machine to a client's outside endpoint, and says token there.
func connectBack(ctx context.Context, from, to netip.AddrPort, token string, control ...func(syscall.RawConn) error) string {
	ctx, cancel := context.WithTimeout(ctx, backTime)
	defer cancel()
	dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(from), Control: func(_, _ string, raw syscall.RawConn) error {
		for _, set := range append(control, func(raw syscall.RawConn) error { return reusePort("", "", raw) }) {
			if err := set(raw); err != nil {
				return err
			}
		}
		return nil
	}}
	conn, err := dialer.DialContext(ctx, "tcp", to.String())
	if err != nil {
		if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) {
			return backRefused
		}
		return backSilent
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(backTime))
	if _, err := conn.Write([]byte(token + "\n")); err != nil {
		return backRefused
	}
	_, _ = bufio.NewReader(conn).ReadByte() // the client hangs up when it has read it
	return backOpen
}

// quietPort is a TCP port that takes no notice of connection attempts: it neither accepts nor refuses them.
type quietPort struct {
	listener net.Listener
	raw      net.PacketConn // sees the segments that come in
	at       netip.AddrPort
}

func listenQuietly(ctx context.Context, address netip.Addr) (*quietPort, error) {
	network := "ip4:tcp"
	if address.Is6() {
		network = "ip6:tcp"
	}
	var plain net.ListenConfig
	raw, err := plain.ListenPacket(ctx, network, address.String())
	if err != nil {
		return nil, err
	}
	listen := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return errors.Join(ignoreSYN(raw), reusePort("", "", raw))
	}}
	l, err := listen.Listen(ctx, "tcp", net.JoinHostPort(address.String(), "0"))
	if err != nil {
		raw.Close()
		return nil, err
	}
	return &quietPort{listener: l, raw: raw, at: tcpEndpoint(l.Addr())}, nil
}

func (q *quietPort) close() { _ = errors.Join(q.listener.Close(), q.raw.Close()) }

// meet waits for a SYN, and answers it with a SYN of its own from the same port (RFC 9293 section 3.5, figure 7).
func (q *quietPort) meet(ctx context.Context, token string) string {
	if err := q.raw.SetReadDeadline(time.Now().Add(2 * backTime)); err != nil {
		return backSilent
	}
	buf := make([]byte, 1500)
	for {
		n, from, err := q.raw.ReadFrom(buf)
		if err != nil {
			return backSilent
		}
		ip, ok := from.(*net.IPAddr)
		if !ok || !isSYN(buf[:n], q.at.Port()) {
			continue
		}
		address, _ := netip.AddrFromSlice(ip.IP)
		peer := netip.AddrPortFrom(address.Unmap(), uint16(buf[0])<<8|uint16(buf[1]))
		return connectBack(ctx, q.at, peer, token, ignoreSYN)
	}
}

// Flags of a TCP segment (RFC 9293 section 3.1), in the octet at offsetFlags.
const (
	offsetFlags = 13
	flagSYN     = 0x02
	flagACK     = 0x10
)

// isSYN reports whether a segment asks a port for a connection.
func isSYN(segment []byte, port uint16) bool {
	return len(segment) > offsetFlags && uint16(segment[2])<<8|uint16(segment[3]) == port &&
		segment[offsetFlags]&(flagSYN|flagACK) == flagSYN
}

// ignoreSYN has the kernel drop, at a TCP socket, segments that ask for a connection (SO_ATTACH_FILTER, socket(7)): the filter
// sees a segment from its TCP header on.
func ignoreSYN(raw syscall.RawConn) error {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: offsetFlags},
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: flagSYN | flagACK},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, K: flagSYN},
		{Code: unix.BPF_RET | unix.BPF_K, K: 1 << 16}, // the whole segment
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},       // none of it
	}
	var err error
	if e := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
	}); e != nil {
		return e
	}
	return err
}
