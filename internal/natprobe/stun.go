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
)

// ErrNoAnswer is a probe that stayed unanswered. For a filtering test it is a finding, for others a failure.
var ErrNoAnswer = errors.New("no answer")

// Timing says how patient a probe is.
type Timing struct {
	Interval time.Duration // between two sendings of one request; 0 is 100 ms
	Tries    int           // sendings of one request before it counts as unanswered; 0 is 5
}

func (t Timing) orDefault() Timing {
	if t.Interval <= 0 {
		t.Interval = 100 * time.Millisecond
	}
	if t.Tries <= 0 {
		t.Tries = 5
	}
	return t
}

// Flags of CHANGE-REQUEST (RFC 5780 section 7.2).
const (
	changeIP   = 0x4
	changePort = 0x2
)

// changeRequest asks the server to answer from its other address, its other port, or both.
type changeRequest uint32

func (c changeRequest) AddTo(m *stun.Message) error {
	if c != 0 {
		m.Add(stun.AttrChangeRequest, []byte{0, 0, 0, byte(c)})
	}
	return nil
}

func changeOf(m *stun.Message) changeRequest {
	value, err := m.Get(stun.AttrChangeRequest)
	if err != nil || len(value) != 4 {
		return 0
	}
	return changeRequest(value[3] & (changeIP | changePort))
}

// answer is what a server said to a binding request.
type answer struct {
	mapped netip.AddrPort // the sender as the server saw it
	other  netip.AddrPort // OTHER-ADDRESS; zero where the server has just one address
	source netip.AddrPort // where the answer came from
}

// binding asks server for a binding, again and again until the answer comes or t is used up (ErrNoAnswer).
func binding(ctx context.Context, conn net.PacketConn, server netip.AddrPort, change changeRequest, t Timing) (answer, error) {
	t = t.orDefault()
	request, err := stun.Build(stun.TransactionID, stun.BindingRequest, change)
	if err != nil {
		return answer{}, err
	}
	buf := make([]byte, 1500)
	for range t.Tries {
		if err := ctx.Err(); err != nil {
			return answer{}, err
		}
		if _, err := conn.WriteTo(request.Raw, net.UDPAddrFromAddrPort(server)); err != nil && !transient(err) {
			return answer{}, fmt.Errorf("asking STUN server %s: %w", server, err)
		}
		deadline := time.Now().Add(t.Interval)
		for {
			n, from, err := readBefore(conn, buf, deadline)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				return answer{}, err
			}
			if a, ok := readAnswer(buf[:n], request.TransactionID); ok {
				a.source = from
				return a, nil
			}
		}
	}
	return answer{}, fmt.Errorf("STUN server %s: %w", server, ErrNoAnswer)
}

func readAnswer(packet []byte, id [stun.TransactionIDSize]byte) (answer, bool) {
	m := stun.New()
	if stun.Decode(packet, m) != nil || m.Type != stun.BindingSuccess || m.TransactionID != id {
		return answer{}, false
	}
	var mapped stun.XORMappedAddress
	if mapped.GetFrom(m) != nil {
		return answer{}, false
	}
	a := answer{mapped: addrPort(mapped.IP, mapped.Port)}
	var other stun.OtherAddress
	if other.GetFrom(m) == nil {
		a.other = addrPort(other.IP, other.Port)
	}
	return a, true
}

// readBefore reads one packet, or returns os.ErrDeadlineExceeded.
func readBefore(conn net.PacketConn, buf []byte, deadline time.Time) (int, netip.AddrPort, error) {
	for {
		if err := conn.SetReadDeadline(deadline); err != nil {
			return 0, netip.AddrPort{}, err
		}
		n, from, err := conn.ReadFrom(buf)
		if err == nil {
			return n, sourceOf(from), nil
		}
		if !transient(err) {
			return 0, netip.AddrPort{}, err
		}
	}
}

func sourceOf(addr net.Addr) netip.AddrPort {
	if udp, ok := addr.(*net.UDPAddr); ok {
		return unmap(udp.AddrPort())
	}
	return netip.AddrPort{}
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

func addrPort(ip net.IP, port int) netip.AddrPort {
	addr, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(addr.Unmap(), uint16(port))
}
