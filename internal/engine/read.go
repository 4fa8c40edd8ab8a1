package engine

import (
	"context"
	"errors"
	"sync"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// found is an object and where it was read.
type found struct {
	*provider.Object
	source *source
}

// reading is all that one plan read.
type reading struct {
	objects []found
	// blind is, by address, why it could not be read; blindSource is the same for a whole provider.
	blind       map[schema.Addr]error
	blindSource map[*source]error
	errs        []error
}

// why tells the reason for which an address of a source might be there unseen; nil where it was read.
func (r *reading) why(addr schema.Addr, s *source) error {
	if err := r.blind[addr]; err != nil {
		return err
	}
	return r.blindSource[s]
}

// read asks all providers side by side for what is the lab's and for what stands in its way.
func (e *Engine) read(ctx context.Context, lab string, want []schema.Resource) *reading {
	bySource := map[*source][]schema.Resource{}
	for _, w := range want {
		if s := e.byKey[bindingKey{w.Addr.Type(), w.Host}]; s != nil {
			bySource[s] = append(bySource[s], w)
		}
	}
	objects := make([][]provider.Object, len(e.sources))
	errs := make([]error, len(e.sources))
	var wait sync.WaitGroup
	for n, s := range e.sources {
		wait.Go(func() { objects[n], errs[n] = s.provider.Read(ctx, lab, bySource[s]) })
	}
	wait.Wait()
	r := &reading{blind: map[schema.Addr]error{}, blindSource: map[*source]error{}}
	for n, s := range e.sources {
		for i := range objects[n] {
			r.objects = append(r.objects, found{&objects[n][i], s})
		}
		for _, err := range flatten(errs[n]) {
			r.blame(s, err)
		}
	}
	return r
}

func (r *reading) blame(s *source, err error) {
	if told, ok := errors.AsType[*provider.Error](err); ok && told.Addr != (schema.Addr{}) {
		r.blind[told.Addr] = err
		return
	}
	r.blindSource[s] = err
	r.errs = append(r.errs, err)
}

// flatten takes joined errors apart.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var flat []error
		for _, part := range joined.Unwrap() {
			flat = append(flat, flatten(part)...)
		}
		return flat
	}
	return []error{err}
}
