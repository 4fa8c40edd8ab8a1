package session

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/labctl/labctl/schema"
)

// question is what a command on another machine asks of the one that has the lab's files: what they come to with more variables,
// or with what is known of machines that run.
type question struct {
	Vars  []string                      `json:"vars,omitempty"`
	Facts map[schema.Addr]*schema.Facts `json:"facts,omitempty"`
}

// answer is what they come to.
type answer struct {
	Lab    *schema.Lab          `json:"lab"`
	Places map[string]placeList `json:"places"`
	Hide   []string             `json:"hide,omitempty"`
}

// With are the options with further variables, which override the others.
func (o *Options) With(vars ...string) *Options {
	with := *o
	with.Vars = slices.Concat(o.Vars, vars)
	with.VarsAfter = slices.Clone(o.VarsAfter)
	for n := range with.VarsAfter {
		with.VarsAfter[n] += len(vars)
	}
	return &with
}

// answer answers a question of the command that was sent away.
func (s *Session) answer(text []byte) ([]byte, error) {
	var q question
	if err := json.Unmarshal(text, &q); err != nil {
		return nil, err
	}
	result, diags, err := s.Options.With(q.Vars...).read(s.Dir, q.Facts)
	if err != nil {
		return nil, err
	}
	if diags.HasErrors() || result.Lab == nil {
		return nil, fmt.Errorf("read the lab again: %w", diags)
	}
	from := source{result: result}
	return json.Marshal(answer{Lab: result.Lab, Places: from.places(), Hide: result.Secrets()})
}

// ask has the lab's files read again where they are.
func (o *Options) ask(q question) (answer, error) {
	var a answer
	text, err := json.Marshal(q)
	if err != nil {
		return a, err
	}
	if text, err = o.inbox.Ask(text); err != nil {
		return a, err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber() // an output's number stays as it was written
	if err := dec.Decode(&a); err != nil {
		return a, fmt.Errorf("the lab's files: %w", err)
	}
	a.Lab.Link()
	o.veil.hide(a.Hide)
	return a, nil
}
