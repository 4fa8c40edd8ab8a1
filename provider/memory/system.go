// Package memory is a provider of a live system that is only in memory: the fake for the engine's tests, its benchmarks and
// its demonstrations. It keeps to the contract as the real ones do: it has names that collide, marks, steps between
// which it can be stopped, and objects that change behind labctl's back.
package memory

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// System is a live system: objects by type and name. Its JSON is the whole of it, so that it outlives a process.
// It is safe for concurrent use.
type System struct {
	mu      sync.Mutex
	objects map[string]*Entry
}

// Entry is one object of a System.
type Entry struct {
	Type string        `json:"type"`
	ID   string        `json:"id"`            // its name in the system
	Mark provider.Mark `json:"mark,omitzero"` // zero: not labctl's
	Body any           `json:"body"`
}

func key(typ, id string) string { return typ + "/" + id }

// Put places an object, whoever owns it, in place of what has its name.
func (s *System) Put(e Entry) error {
	body, err := copyBody(e.Type, e.Body)
	if err != nil {
		return err
	}
	e.Body = body
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(&e)
	return nil
}

func (s *System) put(e *Entry) {
	if s.objects == nil {
		s.objects = map[string]*Entry{}
	}
	s.objects[key(e.Type, e.ID)] = e
}

// Entries lists the objects by type and name. They are copies, bodies apart, which must not be changed.
func (s *System) Entries() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Entry, 0, len(s.objects))
	for _, e := range s.objects {
		list = append(list, *e)
	}
	slices.SortFunc(list, func(a, b Entry) int { return strings.Compare(key(a.Type, a.ID), key(b.Type, b.ID)) })
	return list
}

// Change edits the body of a marked object in place, behind labctl's back.
func (s *System) Change(addr schema.Addr, edit func(body any)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.objects {
		if e.Mark.Addr == addr {
			body, err := copyBody(e.Type, e.Body)
			if err != nil {
				return err
			}
			edit(body)
			e.Body = body
			return nil
		}
	}
	return fmt.Errorf("nothing carries the mark of %s", addr)
}

// Lose deletes a marked object behind labctl's back.
func (s *System) Lose(addr schema.Addr) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, e := range s.objects {
		if e.Mark.Addr == addr {
			delete(s.objects, k)
			return nil
		}
	}
	return fmt.Errorf("nothing carries the mark of %s", addr)
}

// MarshalJSON writes all objects.
func (s *System) MarshalJSON() ([]byte, error) { return json.Marshal(s.Entries()) }

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *System) UnmarshalJSON(text []byte) error {
	var list []struct {
		Entry
		Body json.RawMessage `json:"body"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	for _, raw := range list {
		body, err := schema.NewBody(raw.Type)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(raw.Body, body); err != nil {
			return fmt.Errorf("%s %s: %w", raw.Type, raw.ID, err)
		}
		raw.Entry.Body = body
		s.put(&raw.Entry)
	}
	return nil
}

// copyBody is a body that shares nothing with the other.
func copyBody(typ string, body any) (any, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	fresh, err := schema.NewBody(typ)
	if err != nil {
		return nil, err
	}
	return fresh, json.Unmarshal(text, fresh)
}

// name is what a resource is called in the system: the name its body claims, or else its address.
func name(r *schema.Resource) string {
	switch body := r.Body.(type) {
	case *schema.Bridge:
		return body.Name
	case *schema.Domain:
		return body.Name
	case *schema.Network:
		return body.Name
	}
	return r.Addr.String()
}
