// Package probe runs the checks of a lab from inside its machines and says what came of each: what was expected, what was
// seen, and, where they differ, what on the way makes it so.
//
// It speaks to the machines through Machines alone, and to nothing else.
package probe

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/labctl/labctl/internal/probe/inside"
	"github.com/labctl/labctl/internal/probe/trail"
	"github.com/labctl/labctl/schema"
)

// Machines carries requests to the helper inside a lab's machines.
type Machines interface {
	// Ask has the helper in the domain carry out one request, and waits for its end. An error means that the request
	// could not be carried out; that a peer does not answer is no error but an Answer.
	Ask(ctx context.Context, domain string, r inside.Request) (inside.Answer, error)
	// Run runs a command in the domain, or on the host where domain is "". A command that exits non-zero is no error.
	Run(ctx context.Context, domain string, args ...string) (exit int, output string, err error)
}

// Options are how checks are run.
type Options struct {
	Parallel int          // checks at once; 0 is 16
	Done     func(Result) // hears of each result as it comes, one at a time; may be nil
}

// Result is how one check went.
type Result struct {
	Check   schema.Addr `json:"check"`
	Pos     schema.Pos  `json:"pos,omitzero"`
	Kind    string      `json:"kind"`
	Subject string      `json:"subject"` // what was tried, in words
	Expect  string      `json:"expect"`
	Got     string      `json:"got,omitempty"` // empty where the check could not be carried out
	Pass    bool        `json:"pass"`
	Tries   int         `json:"tries"`
	Took    float64     `json:"seconds"`
	Detail  string      `json:"detail,omitempty"` // what was seen, in words
	Error   string      `json:"error,omitempty"`  // why the check could not be carried out
	Why     []string    `json:"why,omitempty"`    // of a failed check: what was found

	*trail.Explanation // of a failed check that sends packets: what became of them
}

const (
	defaultParallel = 16
	defaultDeadline = 20 * time.Second
)

// Run runs all checks, side by side where they do not disturb each other, and returns a result for each in their order.
func Run(ctx context.Context, lab *schema.Lab, machines Machines, checks []schema.Check, o Options) []Result {
	if o.Parallel <= 0 {
		o.Parallel = defaultParallel
	}
	r := &runner{lab: lab, machines: machines, turns: newTurns()}
	results := make([]Result, len(checks))
	slots := make(chan struct{}, o.Parallel)
	var wait sync.WaitGroup
	var tell sync.Mutex
	done := func(result Result) {
		if o.Done != nil {
			tell.Lock()
			defer tell.Unlock()
			o.Done(result)
		}
	}
	later := make([]func(), len(checks))
	for n := range checks {
		wait.Go(func() {
			free := r.turns.take(r.uses(&checks[n]))
			slots <- struct{}{}
			results[n], later[n] = r.run(ctx, &checks[n], &results[n])
			<-slots
			free()
			if later[n] == nil {
				done(results[n])
			}
		})
	}
	wait.Wait()
	// What went wrong is looked into when nothing else is under way that would raise counters too.
	for n, explain := range later {
		if explain != nil {
			explain()
			done(results[n])
		}
	}
	return results
}

// Failed reports whether any result is no pass.
func Failed(results []Result) bool {
	return slices.ContainsFunc(results, func(r Result) bool { return !r.Pass })
}

type runner struct {
	lab      *schema.Lab
	machines Machines
	turns    *turns
}

// attempt is one try of a check.
type attempt struct {
	got    string
	detail string
	err    error
}

// probing is a check that is ready to be tried.
type probing struct {
	kind, subject, expect string
	try                   func(context.Context) attempt
	explain               func(context.Context, attempt) explained // nil where there is nothing to add
	errorsToo             bool                                     // also what could not be carried out can be explained
}

// run tries a check. Where it fails, explain adds to the result at in why.
func (r *runner) run(ctx context.Context, c *schema.Check, in *Result) (result Result, explain func()) {
	began := time.Now()
	deadline := defaultDeadline
	if c.Deadline > 0 {
		deadline = time.Duration(c.Deadline * float64(time.Second))
	}
	p := r.prepare(c)
	result = Result{Check: c.Addr, Pos: c.Pos, Kind: p.kind, Subject: p.subject, Expect: p.expect}
	if p.try == nil {
		result.Error = "this labctl cannot run a check of this kind"
		return result, nil
	}
	limited, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	var last attempt
	retries := c.Retries
	if retries == 0 && (p.expect == success || p.expect == "open") {
		retries = 1 // one lost packet, as while a bridge learns, is no failure
	}
	for result.Tries <= retries {
		result.Tries++
		last = p.try(limited)
		if last.err == nil && last.got == p.expect || limited.Err() != nil {
			break
		}
	}
	result.Got, result.Detail = last.got, last.detail
	result.Pass = last.err == nil && last.got == p.expect
	if last.err != nil {
		result.Error = last.err.Error()
		if limited.Err() != nil && ctx.Err() == nil {
			result.Error = fmt.Sprintf("no answer within %v: %v", deadline, last.err)
		}
	}
	result.Took = time.Since(began).Seconds()
	if result.Pass || p.explain == nil || last.err != nil && !p.errorsToo || ctx.Err() != nil {
		return result, nil
	}
	return result, func() {
		e := p.explain(ctx, last)
		in.Why, in.Explanation = e.why, e.trail
	}
}

func (r *runner) prepare(c *schema.Check) probing {
	switch {
	case c.Ping != nil:
		return r.ping(c.Ping)
	case c.TCP != nil:
		return r.tcp(c.TCP)
	case c.HolePunch != nil:
		return r.holePunch(c.HolePunch)
	case c.Exec != nil:
		return r.exec(c.Exec)
	case c.UDP != nil:
		return r.udp(c.UDP)
	case c.NAT != nil:
		return r.nat(c.NAT)
	case c.Route != nil:
		return r.route(c.Route)
	case c.Throughput != nil:
		return r.throughput(c.Throughput)
	}
	return probing{kind: "empty"}
}

// turns lets checks that would disturb each other run one after the other: two hole punches in one machine share its
// conntrack entries, and ports.
type turns struct {
	mu    sync.Mutex
	freed *sync.Cond
	taken map[string]bool
}

func newTurns() *turns {
	t := &turns{taken: map[string]bool{}}
	t.freed = sync.NewCond(&t.mu)
	return t
}

// take waits until none of names is taken, and takes them all at once.
func (t *turns) take(names []string) (free func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for slices.ContainsFunc(names, func(name string) bool { return t.taken[name] }) {
		t.freed.Wait()
	}
	for _, name := range names {
		t.taken[name] = true
	}
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		for _, name := range names {
			delete(t.taken, name)
		}
		t.freed.Broadcast()
	}
}

// uses names the machines that the check must have for itself: where it takes ports, or measures.
func (r *runner) uses(c *schema.Check) []string {
	switch {
	case c.HolePunch != nil:
		names := []string{c.HolePunch.A.Domain, c.HolePunch.B.Domain}
		if c.HolePunch.Via != nil {
			names = append(names, c.HolePunch.Via.Domain)
		}
		return names // one server and one protocol's ports at a time
	case c.NAT != nil:
		parts, err := r.natParts(c.NAT)
		if err != nil {
			return nil // it says so itself
		}
		return []string{parts.client.Domain, parts.server.Domain, c.NAT.Router.Domain}
	case c.Throughput != nil:
		return []string{c.Throughput.From.Domain, c.Throughput.To.Domain}
	case c.TCP != nil:
		return r.port("tcp", c.TCP)
	case c.UDP != nil:
		return r.port("udp", c.UDP)
	}
	return nil
}

// port names the port on which the helper may have to listen.
func (r *runner) port(protocol string, c *schema.PortCheck) []string {
	if receiver, ok := r.tracer().Receiver(protocol, c.To); ok {
		return []string{fmt.Sprintf("%s %s %d", receiver.Domain, protocol, receiver.Port)}
	}
	return nil
}
