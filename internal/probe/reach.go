package probe

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/labctl/labctl/internal/probe/inside"
	"github.com/labctl/labctl/schema"
)

const (
	success = "success"
	failure = "failure"
)

// called is how a person knows an end of a probe.
func called(e schema.Endpoint) string {
	name := e.VM.String()
	switch {
	case e.VM == (schema.Addr{}):
		return withPort(e.Address, e.Port)
	case e.Address == "" && e.Port == 0:
		return name
	case e.Address == "":
		return fmt.Sprintf("%s port %d", name, e.Port)
	}
	return fmt.Sprintf("%s (%s)", name, withPort(e.Address, e.Port))
}

func withPort(address string, port int) string {
	if port == 0 {
		return address
	}
	return net.JoinHostPort(address, strconv.Itoa(port))
}

func (r *runner) ping(c *schema.PingCheck) probing {
	count := c.Count
	if count == 0 {
		count = 3
	}
	try := func(ctx context.Context) attempt {
		answer, err := r.machines.Ask(ctx, c.From.Domain, inside.Request{Ping: &inside.Ping{
			To: c.To.Address, Count: count, Timeout: time.Duration(count)*200*time.Millisecond + time.Second,
		}})
		if err != nil {
			return attempt{err: err}
		}
		detail := fmt.Sprintf("%d of %d replies", answer.Received, answer.Sent)
		if answer.Received == 0 {
			return attempt{got: failure, detail: detail}
		}
		return attempt{got: success, detail: fmt.Sprintf("%s, %.1f ms", detail, answer.Seconds*1000)}
	}
	return probing{
		kind: "ping", expect: c.Expect, try: try,
		subject: fmt.Sprintf("ping from %s to %s", called(schema.Endpoint{VM: c.From.VM, Address: c.From.Address}), called(c.To)),
		explain: func(ctx context.Context, last attempt) explained {
			return r.explainReach(ctx, "icmp", c.From, c.To, last.got == success, try)
		},
	}
}

// connectTime is how long one try to connect takes; no answer until then is none.
const connectTime = 3 * time.Second

// tcp connects. Where the port is to be open and nothing in the lab's machine listens on it, the helper there does so
// meanwhile: what is checked is the network.
func (r *runner) tcp(c *schema.PortCheck) probing {
	try := func(ctx context.Context) attempt { return r.connect(ctx, c) }
	return probing{
		kind: "tcp", expect: c.Expect, try: try,
		subject: fmt.Sprintf("TCP from %s to %s", called(schema.Endpoint{VM: c.From.VM, Address: c.From.Address}), called(c.To)),
		explain: func(ctx context.Context, last attempt) explained {
			e := r.explainReach(ctx, "tcp", c.From, c.To, last.got != "filtered", try)
			if last.got == "closed" {
				e.why = append(e.why, fmt.Sprintf("the machine answers, and nothing listens on port %d there (or a rule rejects)", c.To.Port))
			}
			return e
		},
	}
}

func (r *runner) connect(ctx context.Context, c *schema.PortCheck) attempt {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	request := inside.Connect{To: c.To.Address, Port: c.To.Port, Timeout: connectTime}
	var heard inside.Answer
	var wait sync.WaitGroup
	if receiver, ok := r.tracer().Receiver("tcp", c.To); ok && c.Expect == "open" {
		request.Patient = startTime
		wait.Go(func() {
			// What listens there may be no helper's business: then the connection alone tells.
			heard, _ = r.machines.Ask(ctx, receiver.Domain, inside.Request{Listen: &inside.Listen{
				Port: receiver.Port, Timeout: startTime + connectTime,
			}})
		})
	}
	answer, err := r.machines.Ask(ctx, c.From.Domain, inside.Request{TCP: &request})
	if err != nil {
		return attempt{err: err}
	}
	if answer.State != "open" {
		cancel() // nobody need listen on
	}
	wait.Wait()
	meaning := map[string]string{
		"open": "the connection was accepted", "closed": "the connection was refused", "filtered": "no answer came",
	}
	detail := meaning[answer.State]
	if answer.Note != "" {
		detail = "the sender's own kernel says: " + answer.Note
	}
	if heard.Arrived {
		detail += " by labctl's own listener there, as from " + heard.From
	}
	return attempt{got: answer.State, detail: detail}
}

func (r *runner) exec(c *schema.ExecCheck) probing {
	expect := fmt.Sprintf("exit %d", c.ExpectExit)
	if c.ExpectOutput != "" {
		expect += ", output like " + c.ExpectOutput
	}
	return probing{
		kind: "exec", expect: expect, subject: fmt.Sprintf("%s in %s", strings.Join(c.Command, " "), called(c.VM)),
		try: func(ctx context.Context) attempt {
			exit, output, err := r.machines.Run(ctx, c.VM.Domain, c.Command...)
			if err != nil {
				return attempt{err: err}
			}
			like, err := regexp.Compile(c.ExpectOutput)
			if err != nil {
				return attempt{err: fmt.Errorf("expect_output: %w", err)}
			}
			detail := strings.TrimSpace(output)
			if exit == c.ExpectExit && like.MatchString(output) {
				return attempt{got: expect, detail: detail}
			}
			got := fmt.Sprintf("exit %d", exit)
			if exit == c.ExpectExit {
				got += ", other output"
			}
			return attempt{got: got, detail: detail}
		},
	}
}
