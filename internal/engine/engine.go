// Package engine makes plans and carries them out. It reads the live systems through providers, compares them with what
// is declared, orders the changes by a graph, applies them side by side and reads back what came of it. It knows neither
// the lab language nor any one live system.
package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/labctl/labctl/internal/plan"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// Binding says which provider serves a type of resource on a host. One provider may serve several types; it is read once.
type Binding struct {
	Type     string // schema.Addr.Type(): "vm", "vm.guest", "bridge", …
	Host     string // schema.Host.Name, "" for the unlabelled host
	Provider provider.Provider
}

// Options is how an Engine works.
type Options struct {
	Parallel int            // operations at once in an apply; 0 is 16
	Limits   map[string]int // operations at once, by type of resource; a type that is not named has no limit of its own
}

// defaultParallel is wide enough for the waits of guests to overlap; the systems under it queue what they must.
const defaultParallel = 16

// PlanOptions is what a plan is asked for.
type PlanOptions = plan.Options

// Engine plans and applies over a set of providers. It keeps no state between calls and is safe for concurrent use as
// far as its providers are.
type Engine struct {
	opts     Options
	bindings []Binding
	sources  []*source
	byKey    map[bindingKey]*source
}

type bindingKey struct{ typ, host string }

// source is one provider on one host, with the types that it serves.
type source struct {
	host     string
	types    []string
	provider provider.Provider
}

// New is an Engine over the bindings. Providers must be comparable, as pointers are.
func New(bindings []Binding, opts Options) *Engine {
	if opts.Parallel <= 0 {
		opts.Parallel = defaultParallel
	}
	e := &Engine{opts: opts, bindings: bindings, byKey: map[bindingKey]*source{}}
	for _, b := range bindings {
		at := slices.IndexFunc(e.sources, func(s *source) bool { return s.host == b.Host && s.provider == b.Provider })
		if at < 0 {
			at = len(e.sources)
			e.sources = append(e.sources, &source{host: b.Host, provider: b.Provider})
		}
		s := e.sources[at]
		s.types = append(s.types, b.Type)
		e.byKey[bindingKey{b.Type, b.Host}] = s
	}
	return e
}

// source finds who serves an address on a host.
func (e *Engine) source(addr schema.Addr, host string) (*source, error) {
	if s := e.byKey[bindingKey{addr.Type(), host}]; s != nil {
		return s, nil
	}
	if host == "" {
		return nil, &provider.Error{Addr: addr, Err: fmt.Errorf("nothing here makes a %s", addr.Type())}
	}
	return nil, &provider.Error{Addr: addr, Err: fmt.Errorf("nothing makes a %s on host %q", addr.Type(), host)}
}

// Destroy plans the deletion of all that is marked as the lab's, from its bare name.
func (e *Engine) Destroy(ctx context.Context, lab string) (*plan.Plan, error) {
	return e.Plan(ctx, &schema.Lab{Name: lab}, PlanOptions{Destroy: true})
}

// List tells what the hosts hold, whoever owns it, as far as the providers can. Objects come back beside errors.
func (e *Engine) List(ctx context.Context) ([]Listed, error) {
	var listed []Listed
	var errs []error
	for _, s := range e.sources {
		lister, can := s.provider.(provider.Lister)
		if !can {
			continue
		}
		objects, err := lister.List(ctx)
		errs = append(errs, err)
		for _, o := range objects {
			listed = append(listed, Listed{Host: s.host, Types: s.types, Object: o})
		}
	}
	return listed, errors.Join(errs...)
}

// Listed is an object of a host.
type Listed struct {
	Host   string
	Types  []string // what its provider serves; an unmarked object has no address to tell its type
	Object provider.Object
}
