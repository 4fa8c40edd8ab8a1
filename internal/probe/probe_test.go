package probe_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/natflow"
	"github.com/labctl/labctl/internal/probe"
	"github.com/labctl/labctl/internal/probe/inside"
	"github.com/labctl/labctl/schema"
)

// machines is a lab whose machines answer as the test says.
type machines struct {
	ask func(domain string, r inside.Request) (inside.Answer, error)
	run func(domain, command string) (int, string)
}

func (m machines) Ask(ctx context.Context, domain string, r inside.Request) (inside.Answer, error) {
	if err := ctx.Err(); err != nil {
		return inside.Answer{}, err
	}
	return m.ask(domain, r)
}

func (m machines) Run(_ context.Context, domain string, args ...string) (int, string, error) {
	if m.run == nil {
		return 127, "", errors.New("not there")
	}
	exit, output := m.run(domain, strings.Join(args, " "))
	return exit, output, nil
}

func addr(t *testing.T, text string) schema.Addr {
	t.Helper()
	a, err := schema.ParseAddr(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func end(t *testing.T, vm, address string, port int) schema.Endpoint {
	t.Helper()
	return schema.Endpoint{VM: addr(t, "vm."+vm), Domain: "lab-" + vm, Address: address, Port: port}
}

func lab(t *testing.T) *schema.Lab {
	t.Helper()
	guest := func(vm, address string) schema.Resource {
		return schema.Resource{Addr: addr(t, "vm."+vm+".guest"), Body: &schema.Guest{
			Domain: "lab-" + vm, Interfaces: []schema.GuestInterface{{Name: "eth0", Addresses: []string{address}}},
		}}
	}
	return &schema.Lab{Name: "lab", Resources: []schema.Resource{guest("nat_a", "192.0.2.1/24"), guest("nat_b", "198.51.100.1/24")}}
}

func punch(t *testing.T, expect string) schema.Check {
	t.Helper()
	return schema.Check{
		Addr: addr(t, "check.punch"), Pos: schema.Pos{File: "lab.hcl", Line: 7},
		HolePunch: &schema.HolePunchCheck{
			Protocol: "udp", Expect: expect,
			A: schema.PunchPeer{Endpoint: end(t, "a", "192.0.2.100", 23456), Outside: "192.0.2.1"},
			B: schema.PunchPeer{Endpoint: end(t, "b", "198.51.100.100", 55555), Outside: "198.51.100.1"},
		},
	}
}

func TestPunchNeedsBothSides(t *testing.T) {
	for _, test := range []struct {
		a, b   bool
		expect string
		pass   bool
	}{
		{true, true, "success", true},
		{true, true, "failure", false},
		{true, false, "success", false},
		{false, true, "success", false},
		{false, false, "failure", true},
	} {
		m := machines{ask: func(domain string, r inside.Request) (inside.Answer, error) {
			if r.Punch == nil {
				return inside.Answer{}, errors.New("no more is told")
			}
			want := inside.Punch{Protocol: "udp", Name: "a", Port: 23456, To: "198.51.100.1", ToPort: 55555}
			arrived := test.a
			if domain == "lab-b" {
				want, arrived = inside.Punch{Protocol: "udp", Name: "b", Port: 55555, To: "192.0.2.1", ToPort: 23456}, test.b
			}
			got := *r.Punch
			if got.Session == "" || got.Timeout == 0 {
				t.Errorf("no session or time: %+v", got)
			}
			got.Session, got.Timeout = "", 0
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("asked of %s:\n%s", domain, diff)
			}
			return inside.Answer{Arrived: arrived, From: "somewhere", Sent: 3}, nil
		}}
		results := probe.Run(t.Context(), lab(t), m, []schema.Check{punch(t, test.expect)}, probe.Options{})
		if results[0].Pass != test.pass || probe.Failed(results) == test.pass {
			t.Errorf("%+v: got %+v", test, results[0])
		}
	}
}

func TestFailedPunchNamesTheRouterThatChangesPorts(t *testing.T) {
	at := netip.MustParseAddrPort
	flow := func(from, to string, outside uint16) natflow.Entry {
		return natflow.Entry{Protocol: "udp", From: at(from), To: at(to), ReplyFrom: at(to), ReplyTo: netip.AddrPortFrom(at(to).Addr(), outside), SourceNAT: true}
	}
	m := machines{
		ask: func(domain string, r inside.Request) (inside.Answer, error) {
			switch {
			case r.Flows && domain == "lab-nat_a":
				return inside.Answer{Flows: []natflow.Entry{flow("192.0.2.100:23456", "198.51.100.1:55555", 23456)}}, nil
			case r.Flows && domain == "lab-nat_b":
				return inside.Answer{Flows: []natflow.Entry{
					flow("198.51.100.100:55555", "192.0.2.9:1", 2), flow("198.51.100.100:55555", "192.0.2.1:23456", 41234)}}, nil
			case r.Route != nil:
				return inside.Answer{Way: &inside.Way{Type: "none"}}, nil
			}
			return inside.Answer{Sent: 40}, nil
		},
		run: func(string, string) (int, string) { return 1, "" },
	}
	r := probe.Run(t.Context(), lab(t), m, []schema.Check{punch(t, "success")}, probe.Options{})[0]
	var text bytes.Buffer
	probe.Style{}.Write(&text, r)
	for _, want := range []string{
		"✗ check.punch  ",
		"    UDP hole between vm.a (192.0.2.100:23456) and vm.b (198.51.100.100:55555)",
		"declared at lab.hcl:7",
		"expected success, got failure",
		"vm.a heard nothing (sent 40), vm.b heard nothing (sent 40)",
		"vm.nat_a keeps vm.a's port 23456, where vm.b sends to",
		"vm.nat_b sends vm.b's packets from port 41234, and not from 55555, where vm.a sends to",
		"vm.a: it has no route to 198.51.100.1",
		"tried 2 times",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, text.String())
		}
	}
}

func TestUnreachableMachineIsNoFinding(t *testing.T) {
	m := machines{ask: func(string, inside.Request) (inside.Answer, error) {
		return inside.Answer{}, errors.New("agent is silent")
	}}
	r := probe.Run(t.Context(), lab(t), m, []schema.Check{punch(t, "failure")}, probe.Options{})[0]
	if r.Pass || !strings.Contains(r.Error, "agent is silent") || !strings.Contains(r.Error, "vm.a") {
		t.Errorf("a failure was expected to be reported, and this is: %+v", r)
	}
}

func TestUnknownKindFails(t *testing.T) {
	r := probe.Run(t.Context(), lab(t), machines{}, []schema.Check{{Addr: addr(t, "check.x")}}, probe.Options{})[0]
	if r.Pass || r.Error == "" || r.Kind != "empty" {
		t.Errorf("got %+v", r)
	}
}

func TestPunchesInOneMachineTakeTurns(t *testing.T) {
	var now, most atomic.Int32
	m := machines{ask: func(domain string, _ inside.Request) (inside.Answer, error) {
		if domain == "lab-a" {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(5 * time.Millisecond)
			now.Add(-1)
		}
		return inside.Answer{Arrived: true}, nil
	}}
	var checks []schema.Check
	for n := range 5 {
		c := punch(t, "success")
		c.HolePunch.B.Domain = fmt.Sprintf("lab-b%d", n)
		checks = append(checks, c)
	}
	if results := probe.Run(t.Context(), lab(t), m, checks, probe.Options{}); probe.Failed(results) {
		t.Errorf("got %+v", results)
	}
	if most.Load() != 1 {
		t.Errorf("%d punches at once in one machine", most.Load())
	}
}

func TestPingsRunSideBySideAndAreReported(t *testing.T) {
	var together sync.WaitGroup
	together.Add(3)
	m := machines{ask: func(_ string, r inside.Request) (inside.Answer, error) {
		together.Done()
		together.Wait() // deadlocks unless all three are under way
		if r.Ping.To == "192.0.2.3" {
			return inside.Answer{Sent: 3}, nil
		}
		return inside.Answer{Sent: 3, Received: 2, Seconds: 0.001}, nil
	}}
	var checks []schema.Check
	for n := range 3 {
		checks = append(checks, schema.Check{Addr: addr(t, fmt.Sprintf("check.p%d", n)), Ping: &schema.PingCheck{
			From: end(t, "a", "", 0), To: schema.Endpoint{Address: fmt.Sprintf("192.0.2.%d", n+1)}, Expect: "success",
		}})
	}
	checks[2].Ping.Expect = "failure"
	var told []string
	results := probe.Run(t.Context(), lab(t), m, checks, probe.Options{Done: func(r probe.Result) { told = append(told, r.Check.String()) }})
	if probe.Failed(results) || len(told) != 3 {
		t.Errorf("got %+v, told %v", results, told)
	}
	if results[0].Detail != "2 of 3 replies, 1.0 ms" {
		t.Errorf("got %q", results[0].Detail)
	}
}

func TestDeadlineEndsACheck(t *testing.T) {
	m := machines{ask: func(string, inside.Request) (inside.Answer, error) {
		time.Sleep(20 * time.Millisecond)
		return inside.Answer{State: "filtered"}, nil
	}}
	c := schema.Check{Addr: addr(t, "check.t"), Deadline: 1, Retries: 1_000_000, TCP: &schema.PortCheck{
		From: end(t, "a", "", 0), To: end(t, "b", "192.0.2.3", 22), Expect: "open",
	}}
	began := time.Now()
	r := probe.Run(t.Context(), lab(t), m, []schema.Check{c}, probe.Options{})[0]
	if r.Pass || r.Tries < 2 || time.Since(began) > 30*time.Second {
		t.Errorf("got %+v after %v", r, time.Since(began))
	}
}

func TestExecComparesExitAndOutput(t *testing.T) {
	m := machines{run: func(_, command string) (int, string) { return 3, command + " ran\n" }}
	check := func(exit int, output string) schema.Check {
		return schema.Check{Addr: addr(t, "check.e"), Exec: &schema.ExecCheck{
			VM: end(t, "a", "", 0), Command: []string{"uname", "-r"}, ExpectExit: exit, ExpectOutput: output,
		}}
	}
	results := probe.Run(t.Context(), lab(t), m, []schema.Check{check(3, ""), check(3, "^uname.*ran"), check(0, ""), check(3, "walked")}, probe.Options{})
	for n, want := range []bool{true, true, false, false} {
		if results[n].Pass != want {
			t.Errorf("%d: got %+v", n, results[n])
		}
	}
	if got := probe.Summary(results); got != "4 checks: 2 passed, 2 failed." {
		t.Errorf("got %q", got)
	}
}

func TestLinesAreBrokenAtTheWidth(t *testing.T) {
	var text bytes.Buffer
	probe.Style{Width: 40}.Write(&text, probe.Result{
		Check: addr(t, "check.x"), Subject: "ping from vm.a to vm.b", Expect: "success", Got: "failure", Took: 1.26,
		Why: []string{"one two three four five six seven eight nine ten"},
	})
	want := "✗ check.x  1.3s\n    ping from vm.a to vm.b\n    expected success, got failure\n" +
		"    • one two three four five six\n      seven eight nine ten\n"
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Error(diff)
	}
}
