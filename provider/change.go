package provider

import "github.com/labctl/labctl/schema"

// Action is what a change does to its object.
type Action string

// The actions. Every one but Create says why in Change.Details or Change.Why.
const (
	NoOp    Action = "no-op"
	Create  Action = "create"
	Update  Action = "update"  // live: what runs goes on running
	Restart Action = "restart" // update that stops and starts the machine
	Replace Action = "replace" // delete, then create
	Delete  Action = "delete"
	Forget  Action = "forget" // take the mark off, touch nothing else
	// Verify reads the object again once what it depends on is changed, and converges it if it differs: a guest whose
	// machine is off now cannot be read before the machine is started.
	Verify Action = "verify"
)

// Effect is what one attribute's change costs.
type Effect string

// The effects, least first.
const (
	Live      Effect = "live"
	OnRestart Effect = "restart"
	OnReplace Effect = "replace"
)

// Change is what a plan says of one address.
type Change struct {
	Addr    schema.Addr      `json:"address"`
	Action  Action           `json:"action"`
	Why     string           `json:"why,omitempty"`  // one line, for the action as a whole
	Risk    string           `json:"risk,omitempty"` // how it may cut the host off; it is then not done without asking
	Details []Detail         `json:"details,omitempty"`
	Want    *schema.Resource `json:"want,omitempty"`
	Have    *Object          `json:"-"`
}

// Detail is one attribute of a change.
type Detail struct {
	Path      string `json:"path"`          // attribute path in the language's words: interface.eth0.addresses[0]
	Old       any    `json:"old,omitempty"` // nil: not there
	New       any    `json:"new,omitempty"` // nil: goes
	Effect    Effect `json:"effect,omitempty"`
	Why       string `json:"why,omitempty"` // why it is not live
	Sensitive bool   `json:"sensitive,omitempty"`
}

// Worst is the largest effect among the details.
func Worst(details []Detail) Effect {
	worst := Live
	for _, d := range details {
		if d.Effect == OnReplace || d.Effect == OnRestart && worst == Live {
			worst = d.Effect
		}
	}
	return worst
}
