package view

import (
	"fmt"

	"github.com/labctl/labctl/internal/plan"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// Doc is a plan as it is shown.
type Doc struct {
	Lab       string        `json:"lab"`
	Changes   []Change      `json:"changes"`
	Summary   plan.Summary  `json:"summary"`
	Unplanned []schema.Addr `json:"unplanned,omitempty"`
	Destroy   bool          `json:"destroy,omitempty"`
	Drift     bool          `json:"refresh_only,omitempty"`
}

// Change is one resource of a plan as it is shown.
type Change struct {
	Addr       schema.Addr     `json:"address"`
	Action     provider.Action `json:"action"`
	Symbol     string          `json:"symbol"`           // "+", "~", "-", "-/+", "<=" or "."
	Phrase     string          `json:"phrase"`           // "will be created"
	Label      string          `json:"label,omitempty"`  // "live", "restart" or "replace"
	Reason     string          `json:"reason,omitempty"` // why it is done, or why it is not live
	ID         string          `json:"id,omitempty"`
	From       schema.Addr     `json:"moved_from,omitzero"`
	ImportID   string          `json:"import_id,omitempty"`
	Host       string          `json:"host,omitempty"`
	Drift      bool            `json:"drift,omitempty"`
	Attributes []Attribute     `json:"attributes,omitempty"`
}

// Attribute is one attribute of a change as it is shown: a value, an old and a new value, or lines of text.
type Attribute struct {
	Symbol string          `json:"symbol,omitempty"` // "+", "-", "~"; "" in a creation
	Path   string          `json:"path"`
	Old    string          `json:"old,omitempty"`
	New    string          `json:"new,omitempty"`
	Lines  []Line          `json:"lines,omitempty"`
	Effect provider.Effect `json:"effect,omitempty"`
	Why    string          `json:"why,omitempty"`

	block bool   // New tells of a whole block, which gets a line of its own
	at    string // Path as provider.Diff writes it, where that is another way
}

// Line is one line of a text, or of the difference of two.
type Line struct {
	Symbol string `json:"symbol,omitempty"` // "+", "-", " " for a line that stays, "…" for lines left out
	Text   string `json:"text"`
}

// Describe makes a plan into what is shown of it.
func Describe(p *plan.Plan) Doc {
	doc := Doc{
		Lab: p.Lab.Name, Summary: p.Summary(), Unplanned: p.Unplanned, Destroy: p.Options.Destroy, Drift: p.Options.RefreshOnly,
		Changes: []Change{},
	}
	d := indexOf(p)
	for n := range p.Items {
		if p.Items[n].Changes() {
			doc.Changes = append(doc.Changes, d.change(&p.Items[n]))
		}
	}
	return doc
}

// index finds what a plan holds of an address.
type index struct {
	seen     map[schema.Addr]plan.Seen
	declared map[schema.Addr]*schema.Resource
}

func indexOf(p *plan.Plan) index {
	d := index{map[schema.Addr]plan.Seen{}, map[schema.Addr]*schema.Resource{}}
	for _, s := range p.Seen {
		d.seen[s.Addr] = s
	}
	for n := range p.Lab.Resources {
		d.declared[p.Lab.Resources[n].Addr] = &p.Lab.Resources[n]
	}
	return d
}

// want is the resource that an item makes: of a saved plan, the lab holds it.
func (d index) want(item *plan.Item) *schema.Resource {
	if item.Want != nil {
		return item.Want
	}
	if declared := d.declared[item.Addr]; declared != nil {
		return declared
	}
	return &schema.Resource{Addr: item.Addr}
}

func (d index) change(item *plan.Item) Change {
	c := Change{
		Addr: item.Addr, Action: item.Action, Reason: item.Why, From: item.From, ImportID: item.ImportID, Host: item.Host,
		Drift: item.Drift, ID: d.seen[item.Addr].ID,
	}
	if item.Have != nil {
		c.ID = item.Have.ID
	} else if c.ID == "" {
		c.ID = item.ImportID
	}
	c.Symbol, c.Phrase, c.Label = words(item)
	switch item.Action {
	case provider.Create:
		c.Attributes = created(d.want(item))
	case provider.Delete, provider.Forget:
	default:
		c.Attributes = attributes(item.Details)
	}
	return c
}

func words(item *plan.Item) (symbol, phrase, label string) {
	switch item.Action {
	case provider.Create:
		return "+", "will be created", ""
	case provider.Update:
		switch {
		case item.ImportID != "":
			return "~", "will be imported", string(provider.Live)
		case item.From != (schema.Addr{}) && len(item.Details) == 1:
			return "~", "will be moved", string(provider.Live)
		}
		return "~", "will be updated in place", string(provider.Live)
	case provider.Restart:
		return "~", "will be updated", string(provider.OnRestart)
	case provider.Replace:
		return "-/+", "must be replaced", string(provider.OnReplace)
	case provider.Delete:
		return "-", "will be destroyed", ""
	case provider.Forget:
		return ".", "will be let go of, untouched", ""
	case provider.Verify:
		return "<=", "will be read again, and mended where it differs", ""
	}
	return "", fmt.Sprintf("will be %s", item.Action), ""
}

// hidden is what stands in place of a sensitive value.
const hidden = "(sensitive value)"

// changed is one detail as it is shown.
func changed(d provider.Detail) Attribute {
	a := Attribute{Symbol: "~", Path: d.Path, Why: d.Why}
	if d.Effect != provider.Live {
		a.Effect = d.Effect
	}
	switch {
	case d.Old == nil:
		a.Symbol = "+"
	case d.New == nil:
		a.Symbol = "-"
	}
	if d.Sensitive {
		a.New = hidden
		return a
	}
	old, oldIsText := d.Old.(string)
	new, newIsText := d.New.(string)
	if (oldIsText || d.Old == nil) && (newIsText || d.New == nil) && (multiline(old) || multiline(new)) {
		a.Lines = diffLines(old, new)
		return a
	}
	if d.Old != nil {
		a.Old = value(d.Path, d.Old)
	}
	if d.New != nil {
		a.New = value(d.Path, d.New)
	}
	return a
}
