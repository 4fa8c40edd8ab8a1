package plan

import (
	"time"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// EventKind is what an Event tells.
type EventKind string

// The kinds of events.
const (
	Started EventKind = "started"
	Stage   EventKind = "stage" // the next step of what is under way
	Done    EventKind = "done"
	Failed  EventKind = "failed"
	Skipped EventKind = "skipped" // not begun: Cause failed, or the apply was stopped
)

// Event is one moment of an apply.
type Event struct {
	Kind   EventKind       `json:"kind"`
	Time   time.Time       `json:"time"`
	Addr   schema.Addr     `json:"address"`
	Action provider.Action `json:"action"` // of a replacement, Delete for its first half and Create for its second
	ID     string          `json:"id,omitempty"`
	Stage  string          `json:"stage,omitempty"` // the step that begins; of a failure, the step that failed
	Took   time.Duration   `json:"took,omitempty"`  // of Done and Failed, since Started; of Stage, since Started too
	Cause  schema.Addr     `json:"cause,omitzero"`  // of Skipped
	Err    error           `json:"-"`               // of Failed, and of Skipped where the apply was stopped
}

// Outcome is how one operation ended. A replacement has two.
type Outcome struct {
	Event
	Stages []Timing `json:"stages,omitempty"`
}

// Timing is how long one stage took.
type Timing struct {
	Stage string        `json:"stage"`
	Took  time.Duration `json:"took"`
}

// Report is how an apply went.
type Report struct {
	Outcomes []Outcome     `json:"outcomes"` // in order of their ends
	Took     time.Duration `json:"took"`     // the walk, without the read-back
	ReadBack time.Duration `json:"read_back"`
	// Remaining is the plan made after the apply; nil where the apply was stopped hard and nothing was read back.
	Remaining *Plan `json:"-"`
	// Converged is true where everything planned was done and the plan made afterwards is empty.
	Converged bool `json:"converged"`
	Stopped   bool `json:"stopped,omitempty"` // told to stop before its end
}

// Summary counts what was really done.
func (r *Report) Summary() Summary {
	var s Summary
	for _, o := range r.Outcomes {
		if o.Kind == Done {
			s.count(&Item{Change: provider.Change{Action: o.Action}})
		}
	}
	return s
}

// Failures lists the operations that failed.
func (r *Report) Failures() []Outcome { return r.of(Failed) }

// Skipped lists the operations that were not begun.
func (r *Report) Skipped() []Outcome { return r.of(Skipped) }

func (r *Report) of(kind EventKind) []Outcome {
	var list []Outcome
	for _, o := range r.Outcomes {
		if o.Kind == kind {
			list = append(list, o)
		}
	}
	return list
}
