// Package inside is the part of a probe that runs in a machine of the lab: it sends the packets, and tells what came
// back. Requests and answers cross the guest agent as JSON.
package inside

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"github.com/labctl/labctl/internal/natprobe"
)

// Command is the helper's argument that has it carry out a Request.
const Command = "probe"

// Request is what one machine is asked to do. Exactly one pointer is set.
type Request struct {
	Ping  *Ping    `json:"ping,omitempty"`
	TCP   *Connect `json:"tcp,omitempty"`
	Punch *Punch   `json:"punch,omitempty"`
}

// Ping asks for ICMP echo requests.
type Ping struct {
	To      string        `json:"to"`
	Count   int           `json:"count"`
	Timeout time.Duration `json:"timeout"` // of the whole request, in nanoseconds
}

// Connect asks for one TCP connection.
type Connect struct {
	To      string        `json:"to"`
	Port    int           `json:"port"`
	Timeout time.Duration `json:"timeout"`
}

// Punch asks for one side of a hole punch.
type Punch struct {
	Protocol string        `json:"protocol"` // "udp" or "tcp"
	Session  string        `json:"session"`  // the same on both sides, and no other punch's
	Name     string        `json:"name"`     // "a" or "b"
	Port     int           `json:"port"`     // the machine's own
	To       string        `json:"to"`       // address that the other side's packets are expected from
	ToPort   int           `json:"to_port"`
	Timeout  time.Duration `json:"timeout"`
}

// Answer is what a machine saw.
type Answer struct {
	Received  int     `json:"received,omitempty"`  // ping: replies
	State     string  `json:"state,omitempty"`     // tcp: "open", "closed" or "filtered"
	Note      string  `json:"note,omitempty"`      // what the kernel said, where it said something
	Arrived   bool    `json:"arrived,omitempty"`   // punch: a packet of the other side came here
	Confirmed bool    `json:"confirmed,omitempty"` // punch: and one of ours was seen there
	From      string  `json:"from,omitempty"`      // punch: where the other side's packets came from, address:port
	Sent      int     `json:"sent,omitempty"`      // packets or connection attempts
	Seconds   float64 `json:"seconds,omitempty"`   // ping: the mean round trip; punch: from the first packet until confirmed
	Error     string  `json:"error,omitempty"`     // why the request could not be carried out
}

// Serve reads one request, carries it out and writes its answer.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	var r Request
	if err := json.NewDecoder(in).Decode(&r); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	answer, err := Do(ctx, r)
	if err != nil {
		answer.Error = err.Error()
	}
	return json.NewEncoder(out).Encode(answer)
}

// Do carries one request out. That a peer does not answer is no error.
func Do(ctx context.Context, r Request) (Answer, error) {
	switch {
	case r.Ping != nil:
		return ping(ctx, *r.Ping)
	case r.TCP != nil:
		return connect(ctx, *r.TCP)
	case r.Punch != nil:
		return punch(ctx, *r.Punch)
	}
	return Answer{}, errors.New("the request asks for nothing that this helper knows")
}

// States of a TCP port.
const (
	open     = "open"
	closed   = "closed"
	filtered = "filtered"
)

func connect(ctx context.Context, c Connect) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	began := time.Now()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(c.To, strconv.Itoa(c.Port)))
	answer := Answer{Sent: 1, Seconds: time.Since(began).Seconds()}
	if err == nil {
		answer.State = open
		return answer, conn.Close()
	}
	errno, _ := errors.AsType[syscall.Errno](err)
	answer.State = filtered
	switch {
	case errno == syscall.ECONNREFUSED:
		answer.State = closed
	case errno == syscall.EHOSTUNREACH, errno == syscall.ENETUNREACH, errno == syscall.EACCES, errno == syscall.EPERM:
		answer.Note = errno.Error()
	case !isTimeout(err):
		return Answer{}, err
	}
	return answer, nil
}

func isTimeout(err error) bool {
	timed, ok := errors.AsType[net.Error](err)
	return ok && timed.Timeout()
}

func punch(ctx context.Context, p Punch) (Answer, error) {
	address, err := netip.ParseAddr(p.To)
	if err != nil {
		return Answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	peer := natprobe.Peer{Session: p.Session, Name: p.Name, Remote: netip.AddrPortFrom(address, uint16(p.ToPort))}
	var punched natprobe.Punched
	switch p.Protocol {
	case "udp":
		var listen net.ListenConfig
		conn, err := listen.ListenPacket(ctx, "udp4", ":"+strconv.Itoa(p.Port))
		if err != nil {
			return Answer{}, err
		}
		defer conn.Close()
		punched, err = natprobe.PunchUDP(ctx, conn, peer)
		if err != nil {
			return Answer{}, err
		}
	case "tcp":
		port, err := natprobe.ListenTCP(ctx, uint16(p.Port))
		if err != nil {
			return Answer{}, err
		}
		defer port.Close()
		punched, err = port.Punch(ctx, peer)
		if err != nil {
			return Answer{}, err
		}
	default:
		return Answer{}, fmt.Errorf("a hole is punched with udp or tcp, not with %q", p.Protocol)
	}
	answer := Answer{Arrived: punched.Received, Confirmed: punched.Confirmed, Sent: punched.Sent, Seconds: punched.Seconds}
	if punched.From.IsValid() {
		answer.From = punched.From.String()
	}
	return answer, nil
}
