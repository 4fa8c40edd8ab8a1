package inside

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// pingInterval is the time between two echo requests.
const pingInterval = 200 * time.Millisecond

// echo is what differs between ICMP and ICMPv6.
type echo struct {
	network, listen string
	request, reply  icmp.Type
	protocol        int // IANA number, for parsing
}

func echoFor(to netip.Addr) echo {
	if to.Is4() {
		return echo{"ip4:icmp", "0.0.0.0", ipv4.ICMPTypeEcho, ipv4.ICMPTypeEchoReply, 1}
	}
	return echo{"ip6:ipv6-icmp", "::", ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply, 58}
}

// ping sends echo requests until Count replies have come or the time is over.
func ping(ctx context.Context, p Ping) (Answer, error) {
	to, err := netip.ParseAddr(p.To)
	if err != nil {
		return Answer{}, err
	}
	e := echoFor(to)
	conn, err := icmp.ListenPacket(e.network, e.listen)
	if err != nil {
		return Answer{}, fmt.Errorf("ping: %w", err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	var answer Answer
	var total time.Duration
	id := os.Getpid() & 0xffff
	for seq := range p.Count {
		began := time.Now()
		err := e.send(conn, to, id, seq)
		if errno, _ := errors.AsType[syscall.Errno](err); errno == syscall.EHOSTUNREACH || errno == syscall.ENETUNREACH || errno == syscall.EPERM {
			answer.Note = errno.Error()
		} else if err != nil {
			return answer, fmt.Errorf("ping: %w", err)
		}
		answer.Sent++
		last := seq == p.Count-1
		wait := began.Add(pingInterval)
		if deadline, _ := ctx.Deadline(); last || deadline.Before(wait) {
			wait = deadline
		}
		if e.await(conn, to, id, seq, wait) {
			answer.Received++
			total += time.Since(began)
		}
		if ctx.Err() != nil {
			break
		}
	}
	if answer.Received > 0 {
		answer.Seconds = total.Seconds() / float64(answer.Received)
	}
	return answer, nil
}

func (e echo) send(conn *icmp.PacketConn, to netip.Addr, id, seq int) error {
	message := icmp.Message{Type: e.request, Body: &icmp.Echo{ID: id, Seq: seq, Data: []byte("labctl")}}
	packet, err := message.Marshal(nil)
	if err != nil {
		return err
	}
	_, err = conn.WriteTo(packet, &net.IPAddr{IP: to.AsSlice(), Zone: to.Zone()})
	return err
}

// await reports whether the reply comes before the deadline.
func (e echo) await(conn *icmp.PacketConn, from netip.Addr, id, seq int, deadline time.Time) bool {
	if conn.SetReadDeadline(deadline) != nil {
		return false
	}
	buffer := make([]byte, 1500)
	for {
		n, source, err := conn.ReadFrom(buffer)
		if err != nil {
			return false
		}
		message, err := icmp.ParseMessage(e.protocol, buffer[:n])
		if err != nil || message.Type != e.reply {
			continue
		}
		body, ok := message.Body.(*icmp.Echo)
		address, _ := source.(*net.IPAddr)
		if ok && body.ID == id && body.Seq == seq && address != nil && address.IP.Equal(from.AsSlice()) {
			return true
		}
	}
}
