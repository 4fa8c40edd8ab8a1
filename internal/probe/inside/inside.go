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
	"strconv"
	"syscall"
	"time"

	"github.com/labctl/labctl/internal/natflow"
	"github.com/labctl/labctl/internal/natprobe"
)

// Command is the helper's argument that has it carry out a Request.
const Command = "probe"

// Request is what one machine is asked to do. Exactly one field is set.
type Request struct {
	Ping    *Ping     `json:"ping,omitempty"`
	TCP     *Connect  `json:"tcp,omitempty"`
	UDP     *Datagram `json:"udp,omitempty"`
	Watch   *Watch    `json:"watch,omitempty"`
	Punch   *Punch    `json:"punch,omitempty"`
	NAT     *NAT      `json:"nat,omitempty"`
	Serve   *Server   `json:"serve,omitempty"`
	Route   *Route    `json:"route,omitempty"`
	Send    *Send     `json:"send,omitempty"`
	Receive *Receive  `json:"receive,omitempty"`
	Listen  *Listen   `json:"listen,omitempty"`
	Flows   bool      `json:"flows,omitempty"` // the connections that the machine tracks
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
	Patient time.Duration `json:"patient,omitempty"` // how long refusals are taken for a service that still starts
	Timeout time.Duration `json:"timeout"`           // of one try
}

// Punch asks for one side of a hole punch.
type Punch struct {
	Protocol string        `json:"protocol"` // "udp" or "tcp"
	Session  string        `json:"session"`  // the same on both sides, and no other punch's
	Name     string        `json:"name"`     // "a" or "b"
	Port     int           `json:"port"`     // the machine's own
	To       string        `json:"to"`       // address that the other side's packets are expected from
	ToPort   int           `json:"to_port"`
	Via      string        `json:"via,omitempty"` // address:port of a rendezvous server, which then tells To and ToPort
	Timeout  time.Duration `json:"timeout"`       // of the punch alone; with Via, the meeting comes before
}

// Answer is what a machine saw.
type Answer struct {
	Received  int                 `json:"received,omitempty"`  // ping: replies
	State     string              `json:"state,omitempty"`     // tcp: "open", "closed" or "filtered"; udp: "open", "closed" or ""
	Note      string              `json:"note,omitempty"`      // what the kernel said, where it said something
	Arrived   bool                `json:"arrived,omitempty"`   // punch: a packet of the other side came here
	Confirmed bool                `json:"confirmed,omitempty"` // punch: and one of ours was seen there
	From      string              `json:"from,omitempty"`      // punch: where the other side's packets came from, address:port
	Sent      int                 `json:"sent,omitempty"`      // packets or connection attempts
	Seconds   float64             `json:"seconds,omitempty"`   // ping: the mean round trip; punch: from the first packet until confirmed
	NAT       *natprobe.Behaviour `json:"nat,omitempty"`
	Way       *Way                `json:"way,omitempty"`  // route: which way the kernel sends
	Bits      float64             `json:"bits,omitempty"` // receive: bits per second
	Flows     []natflow.Entry     `json:"flows,omitempty"`
	Error     string              `json:"error,omitempty"` // why the request could not be carried out
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
	case r.UDP != nil:
		return sendDatagrams(ctx, *r.UDP)
	case r.Watch != nil:
		return watch(ctx, *r.Watch)
	case r.Punch != nil:
		return punch(ctx, *r.Punch)
	case r.NAT != nil:
		return classify(ctx, *r.NAT)
	case r.Serve != nil:
		return Answer{}, r.Serve.run(ctx)
	case r.Route != nil:
		return route(*r.Route)
	case r.Send != nil:
		return send(ctx, *r.Send)
	case r.Receive != nil:
		return receive(ctx, *r.Receive)
	case r.Listen != nil:
		return listen(ctx, *r.Listen)
	case r.Flows:
		flows, err := natflow.Entries()
		return Answer{Flows: flows}, err
	}
	return Answer{}, errors.New("the request asks for nothing that this helper knows")
}

// States of a TCP port.
const (
	open     = "open"
	closed   = "closed"
	filtered = "filtered"
)

// retryInterval is the time between two tries of a patient probe.
const retryInterval = 100 * time.Millisecond

func connect(ctx context.Context, c Connect) (Answer, error) {
	for began := time.Now(); ; {
		answer, err := connectOnce(ctx, c)
		if err != nil || answer.State != closed || time.Since(began) >= c.Patient {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return answer, nil
		case <-time.After(retryInterval):
		}
	}
}

func connectOnce(ctx context.Context, c Connect) (Answer, error) {
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
