// Package provider is the contract between the engine and the live systems: what a provider reads, plans and applies,
// and the mark by which everything that labctl made is known again.
package provider

import (
	"context"

	"github.com/labctl/labctl/schema"
)

// Provider serves the resources of one live system on one host.
//
// The engine calls Read once for a plan, Plan once for each address in want or read, and Apply side by side from several
// goroutines, each address at most once, dependencies first.
type Provider interface {
	// Read returns every object marked as lab's, and any object, whoever owns it, that a resource in want would
	// collide with (a zero Mark, or another lab's). It changes nothing. What cannot be reached is an *Error wrapping
	// ErrUnreachable, never an absent object; objects that could be read are returned beside such an error.
	Read(ctx context.Context, lab string, want []schema.Resource) ([]Object, error)

	// Plan compares and touches nothing. Nil want deletes, nil have creates. A want whose object is somebody else's is
	// an *Error wrapping ErrForeign.
	Plan(want *schema.Resource, have *Object) (Change, error)

	// Apply makes c so, writes the mark in the same call and reads back, unless nothing can rely on it before the engine
	// reads everything back at the end. It is safe to repeat, and to call on a system
	// on which an earlier Apply of c stopped anywhere. It calls Step before each thing it does.
	Apply(ctx context.Context, lab string, c Change) error
}

// Object is one live thing, as read.
type Object struct {
	Mark Mark          // kept on the object itself; zero: not labctl's
	Addr schema.Addr   // of the mark; for a foreign object, of the resource that collides with it
	Deps []schema.Addr // read off the object: orders deletes with no state file
	ID   string        // what its own system calls it, for messages: a domain's name, a bridge's name
	Body any           // the schema's struct of its type: like is compared with like. Nothing volatile in it: its JSON is fingerprinted
	Aux  any           // the provider's own knowledge for Plan and Apply; never compared, saved or shown
}

// Owned reports whether the object carries lab's mark.
func (o *Object) Owned(lab string) bool { return o != nil && o.Mark.Lab == lab && lab != "" }

// Checker is a Provider that can refuse a declaration for what only the real system knows (`nft --check`), touching
// nothing. Each error is an *Error, with Pos where it is known.
type Checker interface {
	Check(ctx context.Context, want []schema.Resource) []error
}

// Importer is a Provider that can take over a thing that exists: it writes the mark of c.Want on the object named id.
type Importer interface {
	Import(ctx context.Context, lab string, want schema.Resource, id string) error
}

// Forgetter is a Provider that can let go of an object: it takes the mark off and changes nothing else.
type Forgetter interface {
	Forget(ctx context.Context, lab string, have Object) error
}

// Lister is a Provider that can tell what is on the host whoever owns it: for lists of labs and of unmanaged things.
type Lister interface {
	List(ctx context.Context) ([]Object, error)
}
