// Package plan is a plan as data: what is to be done and why, what was read to find that out, how a run of it went, and
// the file in which a plan waits for its apply.
package plan

import (
	"fmt"
	"slices"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// Options is what a plan was asked for.
type Options struct {
	Destroy     bool          `json:"destroy,omitempty"`      // delete everything that is marked as the lab's
	Targets     []schema.Addr `json:"targets,omitempty"`      // only these, and what they need
	Excludes    []schema.Addr `json:"excludes,omitempty"`     // not these, nor what needs them
	Replace     []schema.Addr `json:"replace,omitempty"`      // these are deleted and created again
	RefreshOnly bool          `json:"refresh_only,omitempty"` // only tell what has moved since the last apply
}

// Plan is what has to be done so that the live systems are as declared.
type Plan struct {
	Lab     *schema.Lab `json:"lab"` // as declared; a bare name where everything is deleted with no declaration
	Options Options     `json:"options,omitzero"`
	Items   []Item      `json:"items"` // every address, dependencies first, no-ops too
	Seen    []Seen      `json:"seen"`  // every object that was read, by address
	// Errors says what could not be planned; a plan that has any must not be applied.
	Errors []error `json:"-"`
	// Unplanned is the declared addresses that could not be read, and so are in no item.
	Unplanned []schema.Addr `json:"-"`
	// Saved is true for a plan that comes from a file: its items have no live objects, and Apply reads again.
	Saved bool `json:"-"`
}

// Item is what is done to one address.
type Item struct {
	provider.Change
	Host     string        `json:"host,omitempty"`
	HaveHost string        `json:"have_host,omitempty"` // where the object is that is replaced or deleted
	From     schema.Addr   `json:"moved_from,omitzero"` // address that the object's mark still says
	ImportID string        `json:"import_id,omitempty"` // the existing thing that is taken over first
	Drift    bool          `json:"drift,omitempty"`     // the declaration is the one last applied: the live system moved
	Deps     []schema.Addr `json:"waits_for,omitempty"` // what the address depends on, as declared or as read
}

// Seen is one object as it was read, to know later whether it has moved.
type Seen struct {
	Addr        schema.Addr `json:"address"`
	Host        string      `json:"host,omitempty"`
	Type        string      `json:"type"`
	ID          string      `json:"id,omitempty"`
	Fingerprint string      `json:"fingerprint"` // of mark and body
	// Body is the object as read, sensitive attributes left out; nil where nobody can say what of it is sensitive.
	Body any `json:"body,omitempty"`
}

// Changes reports whether applying the item does anything.
func (i *Item) Changes() bool { return i.Action != provider.NoOp }

// Deletes reports whether the item takes a live object away, also where one is made anew in its place.
func (i *Item) Deletes() bool {
	return i.Action == provider.Delete || i.Action == provider.Replace
}

// Risks are the ways in which carrying the plan out may cut a host off, with the resource before each.
func (p *Plan) Risks() []string {
	var risks []string
	for _, item := range p.Items {
		if item.Changes() && item.Risk != "" {
			risks = append(risks, fmt.Sprintf("%s: %s", item.Addr, item.Risk))
		}
	}
	return risks
}

// Empty reports whether there is nothing to do.
func (p *Plan) Empty() bool {
	return !slices.ContainsFunc(p.Items, func(i Item) bool { return i.Changes() })
}

// Item finds the item of an address; nil where there is none.
func (p *Plan) Item(addr schema.Addr) *Item {
	for n := range p.Items {
		if p.Items[n].Addr == addr {
			return &p.Items[n]
		}
	}
	return nil
}

// Summary is the counts of a plan. A replacement counts as one to add and one to destroy, as Terraform counts.
type Summary struct {
	Import  int `json:"import"`
	Add     int `json:"add"`
	Change  int `json:"change"` // Live and Restart together
	Live    int `json:"live"`
	Restart int `json:"restart"`
	Replace int `json:"replace"` // counted in Add and Remove too
	Remove  int `json:"remove"`
	Forget  int `json:"forget"`
	Move    int `json:"move"`
	Verify  int `json:"verify"`
}

// Summary counts what the plan does.
func (p *Plan) Summary() Summary {
	var s Summary
	for n := range p.Items {
		s.count(&p.Items[n])
	}
	return s
}

func (s *Summary) count(i *Item) {
	if i.ImportID != "" {
		s.Import++
	}
	if i.From != (schema.Addr{}) {
		s.Move++
	}
	switch i.Action {
	case provider.Create:
		s.Add++
	case provider.Update:
		s.Change++
		s.Live++
	case provider.Restart:
		s.Change++
		s.Restart++
	case provider.Replace:
		s.Add++
		s.Remove++
		s.Replace++
	case provider.Delete:
		s.Remove++
	case provider.Forget:
		s.Forget++
	case provider.Verify:
		s.Verify++
	}
}
