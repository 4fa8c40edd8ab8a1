// Package parcel is what a command needs of a lab on a machine that does not have the lab's files: what became of them, where each
// thing stands in them, and those that machines are made of. What is not in the parcel the command asks for while it runs.
package parcel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/labctl/labctl/internal/plan"
	"github.com/labctl/labctl/internal/view"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// Lab is a lab that was read elsewhere.
type Lab struct {
	Lab    *schema.Lab `json:"lab,omitempty"` // nil where the folder holds none
	Places Places      `json:"places,omitempty"`
	Hide   []string    `json:"hide,omitempty"`  // texts that must not be shown
	Files  []File      `json:"files,omitempty"` // that the lab needs here
}

// Parcel goes along with a command.
type Parcel struct {
	Lab
	Dir    string      `json:"dir"`
	Source plan.Source `json:"source"`         // for a plan that is saved
	Plan   []byte      `json:"plan,omitempty"` // the saved plan that is to be applied
}

// Question is what a command asks of the machine that has the lab's files: what they come to with more variables, or with what is
// known of machines that run. The answer is a Lab.
type Question struct {
	Vars  []string                      `json:"vars,omitempty"`
	Facts map[schema.Addr]*schema.Facts `json:"facts,omitempty"`

	File string `json:"file,omitempty"` // or a part of one of its Files, as it is
	From int64  `json:"from,omitempty"` // bytes from its beginning
}

// Asker has a question answered by the machine that has the lab's files.
type Asker func(question []byte) (answer []byte, err error)

func (ask Asker) put(q Question) ([]byte, error) {
	text, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	return ask(text)
}

// Read has the lab's files read again.
func (ask Asker) Read(q Question) (Lab, error) {
	var l Lab
	text, err := ask.put(q)
	if err != nil {
		return l, err
	}
	return l, decode(text, &l, &l.Lab)
}

// Open opens a parcel.
func Open(text []byte) (*Parcel, error) {
	p := new(Parcel)
	return p, decode(text, p, &p.Lab.Lab)
}

func decode(text []byte, into any, lab **schema.Lab) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber() // an output's number stays as it was written
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("what the lab's files came to: %w", err)
	}
	if *lab != nil {
		(*lab).Link()
	}
	return nil
}

// Places tell where the resources and checks of a lab stand in its files, by address.
type Places map[string]list

// list is where a resource ("") and the attributes of it stand that stand elsewhere than what they are within.
type list map[string]view.Place

// in is the place of a path, or of what it is within.
func (l list) in(path string) view.Place {
	for {
		if place, ok := l[path]; ok || path == "" {
			return place
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
}

// NewPlaces lists where everything stands that errors may name.
func NewPlaces(lab *schema.Lab, locate view.Locator) Places {
	all := make(Places)
	for _, r := range lab.Resources {
		places := list{"": locate(r.Addr, "")}
		for _, path := range provider.Paths(r.Body) {
			if place := locate(r.Addr, path); place != places.in(path) {
				places[path] = place
			}
		}
		all[r.Addr.String()] = places
	}
	for _, c := range lab.Checks {
		all[c.Addr.String()] = list{"": locate(c.Addr, "")}
	}
	return all
}

// Locate is a view.Locator.
func (p Places) Locate(addr schema.Addr, path string) view.Place {
	places, known := p[addr.String()]
	if !known {
		places = p[addr.Whole().String()]
	}
	return places.in(path)
}
