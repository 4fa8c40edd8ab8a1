package inside

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/labctl/labctl/internal/natprobe"
)

// meetTime is how long one side waits for the rendezvous server and the other side, which may still be starting.
const meetTime = 6 * time.Second

// punch carries out one side of a hole punch. With Via, both sides first meet at the rendezvous server, and the punch
// goes to the endpoint that it saw of the other.
func punch(ctx context.Context, p Punch) (Answer, error) {
	peer := natprobe.Peer{Session: p.Session, Name: p.Name}
	var via netip.AddrPort
	var err error
	if p.Via != "" {
		via, err = netip.ParseAddrPort(p.Via)
		defer done(via.Addr(), p.Session, p.Name)
	} else {
		var address netip.Addr
		address, err = netip.ParseAddr(p.To)
		peer.Remote = netip.AddrPortFrom(address, uint16(p.ToPort))
	}
	if err != nil {
		return Answer{}, err
	}
	var punched natprobe.Punched
	switch p.Protocol {
	case "udp":
		punched, err = punchUDP(ctx, p, via, peer)
	case "tcp":
		punched, err = punchTCP(ctx, p, via, peer)
	default:
		err = fmt.Errorf("a hole is punched with udp or tcp, not with %q", p.Protocol)
	}
	if err != nil {
		return Answer{}, err
	}
	answer := Answer{Arrived: punched.Received, Confirmed: punched.Confirmed, Sent: punched.Sent, Seconds: punched.Seconds}
	if punched.From.IsValid() {
		answer.From = punched.From.String()
	}
	return answer, nil
}

// family is the network of package net in which both sides meet, the server first.
func family(network string, via netip.AddrPort, peer natprobe.Peer) string {
	towards := peer.Remote.Addr()
	if via.IsValid() {
		towards = via.Addr()
	}
	if towards.Is6() {
		return network + "6"
	}
	return network + "4"
}

func punchUDP(ctx context.Context, p Punch, via netip.AddrPort, peer natprobe.Peer) (natprobe.Punched, error) {
	var listen net.ListenConfig
	conn, err := listen.ListenPacket(ctx, family("udp", via, peer), ":"+strconv.Itoa(p.Port))
	if err != nil {
		return natprobe.Punched{}, err
	}
	defer conn.Close()
	if via.IsValid() {
		meeting, cancel := context.WithTimeout(ctx, meetTime)
		defer cancel()
		if _, peer.Remote, err = natprobe.MeetUDP(meeting, conn, via, peer.Session, peer.Name, 0); err != nil {
			return natprobe.Punched{}, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	return natprobe.PunchUDP(ctx, conn, peer)
}

func punchTCP(ctx context.Context, p Punch, via netip.AddrPort, peer natprobe.Peer) (natprobe.Punched, error) {
	own, err := natprobe.ListenTCP(ctx, family("tcp", via, peer), uint16(p.Port))
	if err != nil {
		return natprobe.Punched{}, err
	}
	defer own.Close()
	if via.IsValid() {
		meeting, cancel := context.WithTimeout(ctx, meetTime)
		defer cancel()
		var held net.Conn
		if _, peer.Remote, held, err = own.MeetTCP(meeting, via, peer.Session, peer.Name, 0); err != nil {
			return natprobe.Punched{}, err
		}
		defer held.Close()
	}
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	return own.Punch(ctx, peer)
}
