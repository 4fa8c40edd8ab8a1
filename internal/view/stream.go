package view

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/labctl/labctl/internal/plan"
)

// StreamVersion is the version of the form in which a Stream writes.
const StreamVersion = "1.0"

// Stream writes one JSON object a line, in the manner of Terraform's machine-readable output: "@level", "@message",
// "@timestamp" and "type" in each, and the structure that the text is rendered from beside them.
type Stream struct {
	mu  sync.Mutex
	enc *json.Encoder
	now func() time.Time
}

// NewStream is a Stream to w. Its first line tells the versions.
func NewStream(w io.Writer, labctl string) *Stream {
	s := Continue(w)
	s.write(line{Type: "version", Message: "labctl " + labctl, Labctl: labctl, UI: StreamVersion})
	return s
}

// Continue is a Stream to w that goes on where another labctl began it.
func Continue(w io.Writer) *Stream {
	s := &Stream{enc: json.NewEncoder(w), now: time.Now}
	s.enc.SetEscapeHTML(false)
	return s
}

// line is one line; the fields beside the first four depend on its type.
type line struct {
	Level   string    `json:"@level"` // "info", "warn" or "error"
	Message string    `json:"@message"`
	Time    time.Time `json:"@timestamp"`
	Type    string    `json:"type"`
	Labctl  string    `json:"labctl,omitempty"`     // version
	UI      string    `json:"ui,omitempty"`         // version
	Change  *Change   `json:"change,omitempty"`     // planned_change, resource_drift
	Counts  *counts   `json:"changes,omitempty"`    // change_summary
	Hook    *hook     `json:"hook,omitempty"`       // apply_*
	Problem *Message  `json:"diagnostic,omitempty"` // diagnostic
	Left    *Doc      `json:"remaining,omitempty"`  // read_back
	Took    *Timing   `json:"timing,omitempty"`     // timing
	Done    *bool     `json:"converged,omitempty"`  // read_back
}

type counts struct {
	plan.Summary
	Operation string `json:"operation"` // "plan", "apply" or "destroy"
}

type hook struct {
	plan.Event
	Seconds float64 `json:"elapsed_seconds,omitempty"`
	Error   string  `json:"error,omitempty"`
}

func (s *Stream) write(l line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.Level == "" {
		l.Level = "info"
	}
	l.Time = s.now().UTC()
	_ = s.enc.Encode(l) // a reader that has gone away misses the rest; the work goes on
}

// Plan implements Output.
func (s *Stream) Plan(p *plan.Plan) {
	doc := Describe(p)
	for n := range doc.Changes {
		c := &doc.Changes[n]
		typ := "planned_change"
		if c.Drift {
			typ = "resource_drift"
		}
		s.write(line{Type: typ, Message: c.Addr.String() + " " + c.Phrase, Change: c})
	}
	s.write(line{Type: "change_summary", Message: "Plan: " + SummaryLine(doc.Summary), Counts: &counts{doc.Summary, "plan"}})
}

// Event implements Output.
func (s *Stream) Event(e plan.Event) {
	types := map[plan.EventKind]string{
		plan.Started: "apply_start", plan.Stage: "apply_progress", plan.Done: "apply_complete",
		plan.Failed: "apply_errored", plan.Skipped: "apply_skipped",
	}
	l := line{Type: types[e.Kind], Hook: &hook{Event: e, Seconds: e.Took.Seconds()}}
	switch e.Kind {
	case plan.Started:
		l.Message = fmt.Sprintf("%s: %s", e.Addr, doing(e.Action))
	case plan.Stage:
		l.Message = fmt.Sprintf("%s: %s, %s", e.Addr, doing(e.Action), e.Stage)
	default:
		l.Message = New(nil, Style{}).ended(e)
	}
	if e.Err != nil {
		l.Level, l.Hook.Error = "error", e.Err.Error()
	}
	s.write(l)
}

// Report implements Output.
func (s *Stream) Report(r *plan.Report) {
	sum := r.Summary()
	s.write(line{
		Type: "change_summary", Counts: &counts{sum, "apply"},
		Message: fmt.Sprintf("Apply: %d added, %d changed, %d destroyed", sum.Add, sum.Change, sum.Remove),
	})
	if r.Remaining == nil {
		return
	}
	doc := Describe(r.Remaining)
	l := line{Type: "read_back", Message: "the live systems are as the plan said", Done: &r.Converged, Left: &doc}
	if !r.Converged {
		l.Level, l.Message = "warn", "left: "+SummaryLine(doc.Summary)
	}
	s.write(l)
}

// Timings writes a line for each operation of an apply.
func (s *Stream) Timings(r *plan.Report) {
	for _, t := range Timings(r) {
		s.write(line{Type: "timing", Message: fmt.Sprintf("%s: %s %s", t.Addr, t.Action, took(t.Took)), Took: &t})
	}
}

// Error implements Output.
func (s *Stream) Error(err error, locate Locator) {
	for _, m := range Messages(err, locate) {
		s.Message(m)
	}
}

// Message writes one error or warning.
func (s *Stream) Message(m Message) {
	level := "error"
	if m.Severity == "warning" {
		level = "warn"
	}
	s.write(line{Level: level, Type: "diagnostic", Message: m.Summary, Problem: &m})
}
