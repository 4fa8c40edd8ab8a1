package natprobe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"
)

// Peer is one side of a hole punch.
type Peer struct {
	Session  string         // shared by both sides; packets of other sessions are not taken for the peer's
	Name     string         // differs between both sides
	Remote   netip.AddrPort // the other side's outside endpoint
	Interval time.Duration  // between two sendings; 0 is 50 ms
}

// Punched is what one side of a hole punch saw.
type Punched struct {
	Received  bool           `json:"received"`         // something of the peer arrived here
	Confirmed bool           `json:"confirmed"`        // and the peer says that something of ours arrived there
	From      netip.AddrPort `json:"from,omitzero"`    // where the peer's packets came from
	Sent      int            `json:"sent"`             // packets or connection attempts
	Seconds   float64        `json:"seconds,omitzero"` // from the first sending until confirmed
}

// probe is a datagram between the peers.
type probe struct {
	Session string `json:"session"`
	Name    string `json:"name"`
	Seen    bool   `json:"seen"` // the sender has received something of the other
}

// Sendings after the punch is confirmed, so that the peer confirms it as well where some are lost.
const farewells = 3

// PunchUDP sends to the peer until both directions work or ctx ends; that the hole stays closed is no error but the
// finding. What arrives from another endpoint than Remote with the right session is the peer too: its NAT maps by
// peer, and answers go where it came from (a peer-reflexive candidate, RFC 8445 section 7.3.1.3).
func PunchUDP(ctx context.Context, conn net.PacketConn, p Peer) (Punched, error) {
	var result Punched
	target, start := p.Remote, time.Now()
	buf := make([]byte, 1500)
	for left := farewells; left > 0; {
		select {
		case <-ctx.Done():
			return result, nil
		default:
		}
		packet, err := json.Marshal(probe{Session: p.Session, Name: p.Name, Seen: result.Received})
		if err != nil {
			return result, err
		}
		if _, err := conn.WriteTo(packet, net.UDPAddrFromAddrPort(target)); err != nil && !transient(err) {
			return result, fmt.Errorf("punching to %s: %w", target, err)
		}
		result.Sent++
		if result.Confirmed {
			left--
		}
		deadline := time.Now().Add(orInterval(p.Interval))
		for {
			n, from, err := readBefore(conn, buf, deadline)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				return result, err
			}
			var got probe
			if json.Unmarshal(buf[:n], &got) != nil || got.Session != p.Session || got.Name == p.Name || got.Name == "" {
				continue
			}
			answer := !result.Received
			result.Received, result.From, target = true, from, from
			if got.Seen && !result.Confirmed {
				result.Confirmed, result.Seconds = true, time.Since(start).Seconds()
				answer = true
			}
			if answer {
				break // tell the peer at once
			}
		}
	}
	return result, nil
}
