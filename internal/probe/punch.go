package probe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/labctl/labctl/internal/probe/inside"
	"github.com/labctl/labctl/schema"
)

// punchTime is how long both sides try. It has to outlast the difference between the moments at which the agents of the
// two machines start them.
const punchTime = 4 * time.Second

// metPunchTime is enough over UDP where a server has brought both sides together at one moment. Over TCP it is not: a SYN
// that met a closed filter is sent again after a second, and then after two more.
const metPunchTime = 2 * time.Second

func (r *runner) holePunch(c *schema.HolePunchCheck) probing {
	return probing{
		kind: "hole_punch", expect: c.Expect,
		subject: fmt.Sprintf("%s hole between %s and %s", strings.ToUpper(c.Protocol), called(c.A.Endpoint), called(c.B.Endpoint)),
		try: func(ctx context.Context) attempt {
			return r.punch(ctx, c, uuid.NewString())
		},
		explain: func(ctx context.Context, last attempt) explained {
			return r.explainPunch(ctx, c, last, func(ctx context.Context) attempt { return r.punch(ctx, c, uuid.NewString()) })
		},
	}
}

// punch lets both sides begin at once and counts a hole as punched when both have heard the other.
func (r *runner) punch(ctx context.Context, c *schema.HolePunchCheck, session string) attempt {
	if c.Via != nil {
		return r.punchVia(ctx, c, session)
	}
	return r.punchSides(ctx, c, session, "")
}

// rendezvousPort is where the server of `via` listens when no port is declared.
const rendezvousPort = 3480

// punchVia has the helper in the machine of `via` introduce both sides to each other.
func (r *runner) punchVia(ctx context.Context, c *schema.HolePunchCheck, session string) (a attempt) {
	port := c.Via.Port
	if port == 0 {
		port = rendezvousPort
	}
	if c.Via.Domain == "" {
		return attempt{err: errors.New("via must be a machine of the lab: labctl starts the server in it")}
	}
	at := withPort(c.Via.Address, port)
	server := inside.Server{Rendezvous: at, Session: session, Clients: 2, Timeout: 3 * punchTime}
	err := r.withServer(ctx, c.Via.Domain, server, func() error {
		a = r.punchSides(ctx, c, session, at)
		return a.err
	})
	if err != nil {
		return attempt{err: err}
	}
	return a
}

func (r *runner) punchSides(ctx context.Context, c *schema.HolePunchCheck, session, via string) attempt {
	peers := [2]schema.PunchPeer{c.A, c.B}
	patience := punchTime
	if via != "" && c.Protocol == "udp" {
		patience = metPunchTime
	}
	var answers [2]inside.Answer
	var errs [2]error
	var wait sync.WaitGroup
	for n, self := range peers {
		other := peers[1-n]
		wait.Go(func() {
			answers[n], errs[n] = r.machines.Ask(ctx, self.Domain, inside.Request{Punch: &inside.Punch{
				Protocol: c.Protocol, Session: session, Name: string("ab"[n]), Port: self.Port,
				To: outside(other), ToPort: other.Port, Via: via, Timeout: patience,
			}})
		})
	}
	wait.Wait()
	for n, err := range errs {
		if err != nil {
			return attempt{err: fmt.Errorf("%s: %w", peers[n].VM, err)}
		}
	}
	detail := fmt.Sprintf("%s %s, %s %s", peers[0].VM, heard(answers[0]), peers[1].VM, heard(answers[1]))
	if answers[0].Arrived && answers[1].Arrived {
		return attempt{got: success, detail: detail}
	}
	return attempt{got: failure, detail: detail}
}

// outside is where a peer is reached: its router's address where it is behind one, else its own.
func outside(p schema.PunchPeer) string {
	if p.Outside != "" {
		return p.Outside
	}
	return p.Address
}

func heard(a inside.Answer) string {
	if !a.Arrived {
		return fmt.Sprintf("heard nothing (sent %d)", a.Sent)
	}
	return "heard from " + a.From
}

// holder finds the machine of the lab that has the address.
func (r *runner) holder(address string) (vm schema.Addr, domain string) {
	if address == "" {
		return schema.Addr{}, ""
	}
	for _, resource := range r.lab.Resources {
		guest, ok := resource.Body.(*schema.Guest)
		if !ok {
			continue
		}
		for _, i := range guest.Interfaces {
			for _, a := range i.Addresses {
				if bare, _, _ := strings.Cut(a, "/"); bare == address {
					return resource.Addr.Whole(), guest.Domain
				}
			}
		}
	}
	return schema.Addr{}, ""
}
