package provider

import (
	"errors"
	"strings"

	"github.com/labctl/labctl/schema"
)

// Causes that the engine and the command line tell apart.
var (
	ErrUnreachable = errors.New("cannot be reached")        // never the same as absent
	ErrForeign     = errors.New("belongs to somebody else") // a wanted name is taken by what this lab does not own
	ErrIncomplete  = errors.New("is not complete yet")      // kept, marked, to be finished by the next apply
)

// Error says what failed on which resource. Its text is one sentence in lower case, with what the system underneath said;
// what to do next is Hint, kept apart from the error itself.
type Error struct {
	Op     string      // "define domain", "load ruleset"
	Addr   schema.Addr // zero where it concerns a whole system
	Path   string      // attribute path, where one attribute is at fault
	Pos    schema.Pos  // where in the lab, when the provider knows it better than Addr and Path do
	Err    error
	Detail string // what the system underneath said at length: a console's last lines, a tool's output
	Hint   string // what to do next
}

func (e *Error) Error() string {
	var b strings.Builder
	if e.Addr != (schema.Addr{}) {
		b.WriteString(e.Addr.String())
		b.WriteString(": ")
	}
	if e.Op != "" {
		b.WriteString(e.Op)
		b.WriteString(": ")
	}
	b.WriteString(e.Err.Error())
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }
