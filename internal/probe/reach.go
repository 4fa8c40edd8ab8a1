package probe

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
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
	return probing{
		kind: "ping", expect: c.Expect,
		subject: fmt.Sprintf("ping from %s to %s", called(schema.Endpoint{VM: c.From.VM, Address: c.From.Address}), called(c.To)),
		try: func(ctx context.Context) attempt {
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
		},
		explain: func(ctx context.Context, _ attempt) []string { return r.explainReach(ctx, c.From, c.To) },
	}
}

func (r *runner) tcp(c *schema.PortCheck) probing {
	return probing{
		kind: "tcp", expect: c.Expect,
		subject: fmt.Sprintf("TCP from %s to %s", called(schema.Endpoint{VM: c.From.VM, Address: c.From.Address}), called(c.To)),
		try: func(ctx context.Context) attempt {
			answer, err := r.machines.Ask(ctx, c.From.Domain, inside.Request{TCP: &inside.Connect{
				To: c.To.Address, Port: c.To.Port, Timeout: 3 * time.Second,
			}})
			if err != nil {
				return attempt{err: err}
			}
			meaning := map[string]string{
				"open": "the connection was accepted", "closed": "the connection was refused", "filtered": "no answer came",
			}
			return attempt{got: answer.State, detail: meaning[answer.State]}
		},
		explain: func(ctx context.Context, last attempt) []string {
			why := r.explainReach(ctx, c.From, c.To)
			if last.got == "closed" {
				why = append(why, fmt.Sprintf("the machine answers, and nothing listens on port %d there (or a rule rejects)", c.To.Port))
			}
			return why
		},
	}
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

// explainReach tells which way the sender's kernel sends, and which of the receiver's rules may stand in the way.
func (r *runner) explainReach(ctx context.Context, from, to schema.Endpoint) (why []string) {
	if _, route, err := r.machines.Run(ctx, from.Domain, "ip", "route", "get", to.Address); err == nil {
		if line, _, _ := strings.Cut(strings.TrimSpace(route), "\n"); line != "" {
			why = append(why, fmt.Sprintf("%s sends it so: %s", from.VM, strings.TrimSpace(line)))
		}
	}
	if _, table, err := r.machines.Run(ctx, from.Domain, "ip", "neigh", "show"); err == nil {
		for line := range strings.Lines(table) {
			if strings.Contains(line, "FAILED") || strings.Contains(line, "INCOMPLETE") {
				why = append(why, fmt.Sprintf("%s gets no ARP answer from its neighbour: %s", from.VM, strings.TrimSpace(line)))
			}
		}
	}
	if text, err := r.sysctl(ctx, "net.ipv4.ip_forward"); err == nil && text == "0" && r.crosses(ctx, from, to) {
		why = append(why, "this host forwards nothing between its bridges (net.ipv4.ip_forward is 0): declare host { forwarding = true }")
	}
	if to.Domain == "" {
		return why
	}
	if _, rules, err := r.machines.Run(ctx, to.Domain, "nft", "list", "ruleset"); err == nil && dropsInput(rules) {
		why = append(why, fmt.Sprintf("%s drops what its input chain does not accept (policy drop)", to.VM))
	}
	return why
}

// sysctl reads a kernel setting of the host.
func (r *runner) sysctl(ctx context.Context, key string) (string, error) {
	_, text, err := r.machines.Run(ctx, "", "sysctl", "-n", key)
	return strings.TrimSpace(text), err
}

// crosses reports whether the way from one end to the other leads through the host: over the address of a bridge.
func (r *runner) crosses(ctx context.Context, from, to schema.Endpoint) bool {
	_, route, err := r.machines.Run(ctx, from.Domain, "ip", "route", "get", to.Address)
	if err != nil {
		return false
	}
	gateway := gatewayIn.FindStringSubmatch(route)
	if gateway == nil {
		return false
	}
	for _, resource := range r.lab.Resources {
		bridge, ok := resource.Body.(*schema.Bridge)
		if ok && slices.ContainsFunc(bridge.Addresses, func(a string) bool { return strings.HasPrefix(a, gateway[1]+"/") }) {
			return true
		}
	}
	return false
}

var (
	gatewayIn  = regexp.MustCompile(`\bvia (\S+)`)
	inputChain = regexp.MustCompile(`hook input[^;]*; policy drop;`)
)

// dropsInput reports whether nft's list shows an input chain that drops by default.
func dropsInput(rules string) bool { return inputChain.MatchString(rules) }
