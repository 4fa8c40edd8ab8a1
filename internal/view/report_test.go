package view_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/labctl/labctl/internal/engine"
	"github.com/labctl/labctl/internal/plan"
	"github.com/labctl/labctl/internal/view"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// story tells an apply of the second lab, in which one machine fails, to an output. Times are made even.
func story(t *testing.T, out view.Output) *plan.Report {
	t.Helper()
	e, _, p := second(t)
	var events []plan.Event
	report, err := e.Apply(t.Context(), p, engine.ApplyOptions{Parallel: 1, Events: func(event plan.Event) {
		event.Time = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		event.Took = time.Duration(len(events)) * 10 * time.Millisecond
		events = append(events, event)
	}})
	if err != nil {
		t.Fatal(err)
	}
	events = append(events,
		plan.Event{Kind: plan.Started, Addr: parse(t, "vm.x"), Action: provider.Create, Time: events[0].Time},
		plan.Event{Kind: plan.Failed, Addr: parse(t, "vm.x"), Action: provider.Create, Stage: "define", Took: 1234 * time.Millisecond, Time: events[0].Time, Err: errors.New("no such machine type")},
		plan.Event{Kind: plan.Skipped, Addr: parse(t, "vm.x.guest"), Action: provider.Create, Cause: parse(t, "vm.x"), Time: events[0].Time},
		plan.Event{Kind: plan.Skipped, Addr: parse(t, "bridge.x"), Action: provider.Delete, Time: events[0].Time, Err: errors.New("not begun: stopped")})
	for _, event := range events {
		out.Event(event)
	}
	report.Took, report.ReadBack = 1500*time.Millisecond, 20*time.Millisecond
	for n := range report.Outcomes {
		o := &report.Outcomes[n]
		o.Took = time.Duration(n+1) * 100 * time.Millisecond
		for s := range o.Stages {
			o.Stages[s].Took = time.Duration(s+1) * 10 * time.Millisecond
		}
	}
	out.Report(report)
	return report
}

func TestPlainProgressAndReport(t *testing.T) {
	var b bytes.Buffer
	printer := view.New(&b, view.Style{})
	printer.Timings(story(t, printer))
	golden(t, "apply.txt", b.String())
}

func TestStreamTellsTheSameStory(t *testing.T) {
	var b bytes.Buffer
	stream := view.NewStream(&b, "1.0")
	_, _, p := second(t)
	stream.Plan(p)
	stream.Timings(story(t, stream))
	stream.Error(refusal(t), nil)
	text := regexp.MustCompile(`"@timestamp":"[^"]*"`).ReplaceAllString(b.String(), `"@timestamp":"T"`)
	golden(t, "apply.jsonl", text)
	for line := range strings.Lines(b.String()) {
		var l map[string]any
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		for _, key := range []string{"@level", "@message", "@timestamp", "type"} {
			if l[key] == nil || l[key] == "" {
				t.Errorf("%s is missing in %s", key, line)
			}
		}
	}
	if strings.Contains(b.String(), "hunter2") {
		t.Error("a sensitive value is told")
	}
}

func TestFailedAndStoppedReports(t *testing.T) {
	var b bytes.Buffer
	_, _, p := second(t)
	failed := plan.Outcome{Event: plan.Event{Kind: plan.Failed, Addr: parse(t, "vm.x"), Action: provider.Create}}
	skipped := plan.Outcome{Event: plan.Event{Kind: plan.Skipped, Addr: parse(t, "vm.x.guest"), Action: provider.Create}}
	report := &plan.Report{Outcomes: []plan.Outcome{failed, skipped}, Took: time.Second, Remaining: p}
	p.Items = slices.DeleteFunc(p.Items, func(i plan.Item) bool { return i.Addr.Kind != "bridge" })
	view.New(&b, view.Style{}).Report(report)
	report.Stopped, report.Remaining = true, nil
	view.New(&b, view.Style{}).Report(report)
	golden(t, "failed.txt", b.String())
}

// refusal is errors of every sort, joined and wrapped as they come.
func refusal(t *testing.T) error {
	t.Helper()
	return fmt.Errorf("apply: %w", errors.Join(
		&provider.Error{
			Op: "load ruleset", Addr: parse(t, `vm.nat["a"].guest`), Path: "nftables", Err: errors.New("nft refuses it"),
			Detail: "lab.hcl:12:3-8: Error: syntax error, unexpected junk\n\tfoo bar\n\t^^^\n", Hint: "see nft(8)", Pos: schema.Pos{File: "lab.hcl", Line: 12, Column: 3},
		},
		fmt.Errorf("read back: %w", &provider.Error{Op: "read", Addr: parse(t, "vm.x.guest"), Err: fmt.Errorf("its agent %w", provider.ErrUnreachable)}),
		&plan.StaleError{Differences: []plan.Difference{
			{Addr: parse(t, "bridge.br0"), What: "it has changed", Details: []provider.Detail{{Path: "mtu", Old: 1500, New: 9000}}},
			{Addr: parse(t, "vm.x"), What: "it is gone"},
		}},
		errors.New("an error of no resource"),
		errors.New("an error of no resource"), // told once
	))
}

func TestErrors(t *testing.T) {
	var b bytes.Buffer
	printer := view.New(&b, view.Style{})
	printer.Error(refusal(t), func(addr schema.Addr, path string) view.Place {
		return view.Place{Pos: schema.Pos{File: "lab.hcl", Line: 40, Column: 1}, Source: "  " + addr.Kind + ` "x" {`}
	})
	printer.Message(view.Message{Severity: "warning", Summary: "the check names a port that the firewall drops", Pos: schema.Pos{File: "lab.hcl", Line: 9}})
	golden(t, "errors.txt", b.String())
}

// screen plays what is written to a terminal: it knows the few controls that progress uses.
type screen struct{ lines []string }

func (s *screen) Write(text []byte) (int, error) {
	up := regexp.MustCompile(`^\x1b\[(\d+)A\r\x1b\[J`)
	rest := string(text)
	if m := up.FindStringSubmatch(rest); m != nil {
		var n int
		if _, err := fmt.Sscan(m[1], &n); err != nil {
			return 0, err
		}
		s.lines = s.lines[:len(s.lines)-n]
		rest = rest[len(m[0]):]
	}
	for line := range strings.Lines(rest) {
		s.lines = append(s.lines, strings.TrimRight(line, "\n"))
	}
	return len(text), nil
}

func TestMissingProgramSaysWhatIsNext(t *testing.T) {
	for text, want := range map[string]bool{
		`nft: exec: "nft": executable file not found in $PATH`: true, "sh: sh: 1: ip: not found": true, "table ip x: not found": false,
	} {
		err := &provider.Error{Op: "list rules", Err: errors.Join(provider.ErrUnreachable, errors.New(text))}
		if hint := view.Messages(err, nil)[0].Hint; strings.Contains(hint, "labctl doctor") != want {
			t.Errorf("%s: the hint is %q", text, hint)
		}
	}
}

func TestTerminalProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &screen{}
		printer := view.New(s, view.Style{Terminal: true, Width: 40})
		a, b := parse(t, "vm.a"), parse(t, "bridge.br0")
		tell := func(kind plan.EventKind, addr schema.Addr, stage string, took time.Duration) {
			printer.Event(plan.Event{Kind: kind, Addr: addr, Action: provider.Create, Stage: stage, Took: took, Time: time.Now()})
		}
		tell(plan.Started, a, "", 0)
		tell(plan.Started, b, "", 0)
		tell(plan.Stage, a, "wait for the agent of a machine with a long name", 0)
		time.Sleep(2050 * time.Millisecond)
		synctest.Wait()
		want := []string{"⠋ vm.a: creating, wait for the agent o…", "⠋ bridge.br0: creating  2s"}
		if !slices.Equal(s.lines, want) {
			t.Errorf("%q", s.lines)
		}
		if !printer.Aside("by the way") || s.lines[0] != "by the way" || len(s.lines) != 3 {
			t.Errorf("%q", s.lines)
		}
		s.lines = s.lines[1:]
		tell(plan.Done, b, "", 2*time.Second)
		if want := []string{"✓ bridge.br0: created in 2s", "⠋ vm.a: creating, wait for the agent o…"}; !slices.Equal(s.lines, want) {
			t.Errorf("%q", s.lines)
		}
		tell(plan.Failed, a, "define", 3*time.Second)
		printer.Close()
		if printer.Aside("too late") {
			t.Error("nothing moves any more")
		}
		printer.Close()
		if want := []string{"✓ bridge.br0: created in 2s", `✗ vm.a: not created, it failed at "define" after 3s`}; !slices.Equal(s.lines, want) {
			t.Errorf("%q", s.lines)
		}
	})
}
