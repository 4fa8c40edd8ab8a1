package natprobe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/pion/stun/v3"

	"github.com/labctl/labctl/schema/nat"
)

// Behaviour is what a NAT was seen to do for one protocol.
type Behaviour struct {
	Protocol   string         `json:"protocol"`   // "udp" or "tcp"
	Translated bool           `json:"translated"` // whether anything stands between client and server that changes addresses
	Mapping    string         `json:"mapping"`    // RFC 4787 section 4.1, as in schema.NAT; "address_dependent" may be seen too
	Filtering  string         `json:"filtering"`  // RFC 4787 section 5, as in schema.NAT
	Preserves  bool           `json:"preserves"`  // whether the outside port is the client's own
	Hairpin    bool           `json:"hairpin"`    // whether two sockets behind it reach each other by their outside endpoints
	Outside    netip.AddrPort `json:"outside"`    // the client's endpoint as the server's first address saw it

	// Of TCP alone.
	Simultaneous bool `json:"simultaneous_open,omitempty"` // whether a SYN gets in that crosses one of the client's (RFC 5382 REQ-2)
	Silent       bool `json:"silent,omitempty"`            // whether a SYN that does not get in is not answered either (RFC 5382 REQ-4)
}

// Type is the name of the behaviour as in schema.NAT.Type, "none" where nothing is translated, "" for a pair that has no name.
func (b Behaviour) Type() string {
	if !b.Translated {
		return "none"
	}
	return nat.Type(b.Mapping, b.Filtering)
}

// Listener opens a socket on a fresh port of the client, bound to the address that it sends from (see SourceAddress):
// by that, translation is told from none.
type Listener func() (net.PacketConn, error)

// Classify finds out how the way to server translates, by the tests of RFC 5780 section 4. server is the first address
// of a Server. Each test has a socket of its own: what one sends would open the filter for the next.
func Classify(ctx context.Context, listen Listener, server netip.AddrPort, t Timing) (Behaviour, error) {
	b := Behaviour{Protocol: "udp"}
	conns := make([]net.PacketConn, 4)
	for i := range conns {
		conn, err := listen()
		if err != nil {
			return b, fmt.Errorf("classifying NAT: %w", err)
		}
		defer conn.Close()
		conns[i] = conn
	}
	mapping, outside, err := Mapping(ctx, conns[0], server, t)
	if err != nil {
		return b, err
	}
	local := sourceOf(conns[0].LocalAddr())
	b.Mapping, b.Outside = mapping, outside
	b.Translated, b.Preserves = outside != local, outside.Port() == local.Port()
	if b.Filtering, err = Filtering(ctx, conns[1], server, t); err != nil {
		return b, err
	}
	if !b.Translated {
		return b, nil // there is nothing to be turned round by
	}
	b.Hairpin, err = Hairpin(ctx, conns[2], conns[3], server, t)
	return b, err
}

// Await asks server until it answers or ctx ends: it may still be starting.
func Await(ctx context.Context, conn net.PacketConn, server netip.AddrPort) error {
	for {
		_, err := binding(ctx, conn, server, 0, Timing{Tries: 1})
		if err == nil {
			return nil
		}
		if !errors.Is(err, ErrNoAnswer) {
			if ctx.Err() != nil {
				err = ErrNoAnswer
			}
			return fmt.Errorf("STUN server %s: %w", server, err)
		}
	}
}

// SourceAddress is the address of this machine that packets to server leave from. Nothing is sent.
func SourceAddress(server netip.AddrPort) (netip.Addr, error) {
	route, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(server))
	if err != nil {
		return netip.Addr{}, fmt.Errorf("way to %s: %w", server, err)
	}
	defer route.Close()
	return sourceOf(route.LocalAddr()).Addr(), nil
}

// Mapping finds the mapping behaviour (RFC 5780 section 4.3) and the endpoint that server's first address sees.
func Mapping(ctx context.Context, conn net.PacketConn, server netip.AddrPort, t Timing) (string, netip.AddrPort, error) {
	first, err := binding(ctx, conn, server, 0, t)
	if err != nil {
		return "", netip.AddrPort{}, err
	}
	if !first.other.IsValid() {
		return "", first.mapped, fmt.Errorf("STUN server %s has no second address", server)
	}
	second, err := binding(ctx, conn, netip.AddrPortFrom(first.other.Addr(), server.Port()), 0, t)
	if err != nil {
		return "", first.mapped, err
	}
	third, err := binding(ctx, conn, first.other, 0, t)
	if err != nil {
		return "", first.mapped, err
	}
	switch {
	case first.mapped == second.mapped && second.mapped == third.mapped:
		return nat.EndpointIndependent, first.mapped, nil
	case second.mapped == third.mapped:
		return nat.AddressDependent, first.mapped, nil
	}
	return nat.AddressAndPortDependent, first.mapped, nil
}

// Filtering finds the filtering behaviour (RFC 5780 section 4.4). conn must not have sent to the server's other address.
func Filtering(ctx context.Context, conn net.PacketConn, server netip.AddrPort, t Timing) (string, error) {
	if _, err := binding(ctx, conn, server, 0, t); err != nil {
		return "", err
	}
	for _, test := range []struct {
		change changeRequest
		means  string
	}{
		{changeIP | changePort, nat.EndpointIndependent},
		{changePort, nat.AddressDependent},
	} {
		_, err := binding(ctx, conn, server, test.change, t)
		if err == nil {
			return test.means, nil
		}
		if !errors.Is(err, ErrNoAnswer) {
			return "", err
		}
	}
	return nat.AddressAndPortDependent, nil
}

// Hairpin reports whether a and b, two sockets of one side, reach each other by the endpoints that server sees of them
// (RFC 4787 section 6). Both send, so that filtering by address and port does not hide it.
func Hairpin(ctx context.Context, a, b net.PacketConn, server netip.AddrPort, t Timing) (bool, error) {
	t = t.orDefault()
	outsideA, err := binding(ctx, a, server, 0, t)
	if err != nil {
		return false, err
	}
	outsideB, err := binding(ctx, b, server, 0, t)
	if err != nil {
		return false, err
	}
	request, err := stun.Build(stun.TransactionID, stun.BindingRequest)
	if err != nil {
		return false, err
	}
	for range t.Tries {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		for _, send := range []struct {
			conn net.PacketConn
			to   netip.AddrPort
		}{{b, outsideA.mapped}, {a, outsideB.mapped}} {
			if _, err := send.conn.WriteTo(request.Raw, net.UDPAddrFromAddrPort(send.to)); err != nil && !transient(err) {
				return false, err
			}
		}
		if ok, err := receives(a, request.TransactionID, time.Now().Add(t.Interval)); ok || err != nil {
			return ok, err
		}
		// What came for b meanwhile is in its socket's buffer.
		if ok, err := receives(b, request.TransactionID, time.Now().Add(t.Interval/10)); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// receives reports whether the binding request id arrives at conn before the deadline.
func receives(conn net.PacketConn, id [stun.TransactionIDSize]byte, deadline time.Time) (bool, error) {
	buf := make([]byte, 1500)
	for {
		n, _, err := readBefore(conn, buf, deadline)
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = nil
			}
			return false, err
		}
		m := stun.New()
		if stun.Decode(buf[:n], m) == nil && m.Type == stun.BindingRequest && m.TransactionID == id {
			return true, nil
		}
	}
}
