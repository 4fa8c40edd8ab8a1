package probe

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/labctl/labctl/internal/probe/inside"
	"github.com/labctl/labctl/schema"
)

const (
	udpTime         = 2 * time.Second // how long datagrams are sent to a port that stays silent
	startTime       = 3 * time.Second // by how much two machines' helpers may start apart
	throughputTime  = 3 * time.Second // how long a connection is filled
	throughputPort  = 5201            // where none is declared; the port of iperf3
	enoughBandwidth = "at least "
)

// udp sends datagrams and, where the receiver is a machine of the lab, watches there whether they come past its rules:
// silence alone does not tell an open port from a filtered one.
func (r *runner) udp(c *schema.PortCheck) probing {
	try := func(ctx context.Context) attempt { return r.datagrams(ctx, c) }
	return probing{
		kind: "udp", expect: c.Expect, try: try,
		subject: fmt.Sprintf("UDP from %s to %s", called(schema.Endpoint{VM: c.From.VM, Address: c.From.Address}), called(c.To)),
		explain: func(ctx context.Context, last attempt) explained {
			return r.explainReach(ctx, "udp", c.From, c.To, last.got == "open" || last.got == "closed", try)
		},
	}
}

func (r *runner) datagrams(ctx context.Context, c *schema.PortCheck) attempt {
	session := uuid.NewString()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var sent, seen inside.Answer
	var sendErr, seenErr error
	var wait sync.WaitGroup
	standIn := false
	if receiver, ok := r.tracer().Receiver("udp", c.To); ok {
		standIn = c.Expect == "open"
		wait.Go(func() {
			seen, seenErr = r.machines.Ask(ctx, receiver.Domain, inside.Request{Watch: &inside.Watch{
				Address: receiver.Address, Port: receiver.Port, Session: session, StandIn: standIn, Timeout: udpTime + startTime,
			}})
		})
	}
	sent, sendErr = r.machines.Ask(ctx, c.From.Domain, inside.Request{UDP: &inside.Datagram{
		To: c.To.Address, Port: c.To.Port, Session: session, Patient: standIn, Timeout: udpTime,
	}})
	if sent.State == "open" || sent.State == "closed" {
		cancel()
		wait.Wait()
		return attempt{got: sent.State, detail: map[string]string{"open": "the port answers", "closed": "the port is refused"}[sent.State], err: sendErr}
	}
	wait.Wait()
	switch {
	case sendErr != nil:
		return attempt{err: sendErr}
	case seenErr != nil:
		return attempt{err: seenErr}
	case seen.Arrived:
		return attempt{got: "open", detail: "datagrams arrive, as from " + seen.From}
	}
	return attempt{got: "filtered", detail: fmt.Sprintf("none of %d datagrams arrives", sent.Sent)}
}

// route asks the machine's kernel. What leaves by no gateway goes "direct".
func (r *runner) route(c *schema.RouteCheck) probing {
	return probing{
		kind: "route", expect: "via " + c.ExpectVia, subject: fmt.Sprintf("route from %s to %s", called(schema.Endpoint{VM: c.VM.VM}), c.To),
		try: func(ctx context.Context) attempt {
			answer, err := r.machines.Ask(ctx, c.VM.Domain, inside.Request{Route: &inside.Route{To: c.To}})
			if err != nil {
				return attempt{err: err}
			}
			way := answer.Way
			switch {
			case way == nil || way.Type == "none":
				return attempt{got: "no route", detail: answer.Note}
			case way.Via == "":
				return attempt{got: "direct", detail: fmt.Sprintf("on %s, from %s", way.Interface, way.Source)}
			}
			got := "via " + way.Via
			if net.ParseIP(way.Via).Equal(net.ParseIP(c.ExpectVia)) {
				got = "via " + c.ExpectVia // the same address may be written in two ways
			}
			return attempt{got: got, detail: fmt.Sprintf("on %s, from %s", way.Interface, way.Source)}
		},
	}
}

// throughput fills one TCP connection and measures at the receiver.
func (r *runner) throughput(c *schema.ThroughputCheck) probing {
	expect := enoughBandwidth + bitRate(float64(c.Min))
	return probing{
		kind: "throughput", expect: expect,
		subject: fmt.Sprintf("throughput from %s to %s", called(schema.Endpoint{VM: c.From.VM}), called(schema.Endpoint{VM: c.To.VM, Address: c.To.Address})),
		try: func(ctx context.Context) attempt {
			received, err := r.fill(ctx, c)
			switch {
			case err != nil:
				return attempt{err: err}
			case received.Bits >= float64(c.Min):
				return attempt{got: expect, detail: bitRate(received.Bits)}
			}
			return attempt{got: bitRate(received.Bits)}
		},
	}
}

func (r *runner) fill(ctx context.Context, c *schema.ThroughputCheck) (received inside.Answer, err error) {
	port := c.To.Port
	if port == 0 {
		port = throughputPort
	}
	limit := throughputTime + 2*startTime
	ctx, cancel := context.WithTimeout(ctx, limit+startTime)
	defer cancel()
	var sendErr, receiveErr error
	var wait sync.WaitGroup
	wait.Go(func() {
		received, receiveErr = r.machines.Ask(ctx, c.To.Domain, inside.Request{Receive: &inside.Receive{Port: port, Timeout: limit}})
	})
	_, sendErr = r.machines.Ask(ctx, c.From.Domain, inside.Request{Send: &inside.Send{
		To: c.To.Address, Port: port, For: throughputTime, Timeout: limit,
	}})
	wait.Wait()
	switch {
	case receiveErr != nil:
		return received, receiveErr
	case !received.Arrived && sendErr != nil:
		return received, fmt.Errorf("no connection: %w", sendErr)
	}
	return received, sendErr
}

// bitRate writes bits per second as network people do, in powers of 1000.
func bitRate(bits float64) string {
	for _, unit := range []struct {
		name string
		size float64
	}{{"Gbit/s", 1e9}, {"Mbit/s", 1e6}, {"kbit/s", 1e3}} {
		if bits >= unit.size {
			return fmt.Sprintf("%.3g %s", bits/unit.size, unit.name)
		}
	}
	return fmt.Sprintf("%.0f bit/s", bits)
}
