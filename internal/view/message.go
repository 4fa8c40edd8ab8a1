package view

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/labctl/labctl/internal/plan"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// Message is one error as it is shown.
type Message struct {
	Severity string            `json:"severity"` // "error" or "warning"
	Summary  string            `json:"summary"`  // what failed, on one line
	Addr     schema.Addr       `json:"address,omitzero"`
	Path     string            `json:"path,omitempty"`
	Pos      schema.Pos        `json:"pos,omitzero"`
	Source   string            `json:"source,omitempty"` // the lab's line
	Detail   string            `json:"detail,omitempty"` // what the system underneath said
	Hint     string            `json:"hint,omitempty"`   // what to do next
	Changes  []plan.Difference `json:"changes,omitempty"`
}

// Messages takes an error apart into what is shown, one for each error of a join.
func Messages(err error, locate Locator) []Message {
	var list []Message
	for _, one := range parts(err) {
		m := message(one, locate)
		// what failed in an apply often fails in the read-back again, with fewer words
		told := slices.ContainsFunc(list, func(earlier Message) bool {
			return earlier.Summary == m.Summary && (m.Addr == schema.Addr{} || m.Addr == earlier.Addr) && m.Changes == nil
		})
		if !told {
			list = append(list, m)
		}
	}
	return list
}

func parts(err error) []error {
	if err == nil {
		return nil
	}
	if _, whole := err.(*provider.Error); whole { //nolint:errorlint // the error itself is meant, not one that it wraps
		return []error{err} // of one thing, also where its cause is a join
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, one := range joined.Unwrap() {
			all = append(all, parts(one)...)
		}
		return all
	}
	if inner := errors.Unwrap(err); inner != nil {
		if several := parts(inner); len(several) > 1 {
			return several // a wrapped join: each speaks for itself
		}
	}
	return []error{err}
}

func message(err error, locate Locator) Message {
	m := Message{Severity: "error", Summary: err.Error()}
	if stale, ok := errors.AsType[*plan.StaleError](err); ok {
		m.Summary, _, _ = strings.Cut(stale.Error(), "\n")
		m.Changes = stale.Differences
		return m
	}
	told, ok := errors.AsType[*provider.Error](err)
	if !ok {
		m.Summary, m.Hint = interrupted(err, m.Summary), AsRoot(err)
		return m
	}
	m.Summary = strings.ReplaceAll(strings.TrimPrefix(told.Error(), told.Addr.String()+": "), "\n", ": ")
	m.Summary = interrupted(err, m.Summary)
	m.Addr, m.Path, m.Pos, m.Detail, m.Hint = told.Addr, told.Path, told.Pos, strings.TrimRight(told.Detail, "\n"), told.Hint
	if locate != nil && (told.Addr != schema.Addr{} || told.Pos != schema.Pos{}) {
		place := locate(told.Addr, told.Path)
		if m.Pos == (schema.Pos{}) {
			m.Pos, m.Source = place.Pos, place.Source
		}
	}
	if m.Hint == "" {
		m.Hint = cmp.Or(AsRoot(err), missingProgram(err))
	}
	if m.Hint == "" && errors.Is(err, provider.ErrUnreachable) {
		m.Hint = "what cannot be reached is taken to be there: nothing was planned for it; -exclude leaves it out"
	}
	return m
}

// noProgram is what Go and shells say of a program that is not there.
var noProgram = regexp.MustCompile(`executable file not found|sh: (\d+: )?\S+: not found|command not found`)

// missingProgram is what to do next where something failed for want of a program, and "" otherwise.
func missingProgram(err error) string {
	if !noProgram.MatchString(err.Error()) {
		return ""
	}
	return "a program is missing there: 'labctl doctor' names the package"
}

// interrupted says in a user's words that the user has stopped something.
func interrupted(err error, text string) string {
	if !errors.Is(err, context.Canceled) {
		return text
	}
	return strings.ReplaceAll(text, context.Canceled.Error(), "interrupted")
}

// AsRoot is what to do next where something is refused to a labctl that does not run as root, and "" otherwise.
func AsRoot(err error) string {
	if os.Geteuid() == 0 {
		return ""
	}
	denied := errors.Is(err, fs.ErrPermission)
	for _, words := range []string{"permission denied", "operation not permitted"} {
		denied = denied || strings.Contains(strings.ToLower(err.Error()), words)
	}
	if !denied {
		return ""
	}
	return "labctl works on the host's own network, which only root may: put sudo before it"
}

// Error implements Output.
func (p *Printer) Error(err error, locate Locator) {
	p.Close()
	for _, m := range Messages(err, locate) {
		p.Message(m)
	}
}

// Message writes one error for people.
func (p *Printer) Message(m Message) {
	c, title := bold+";"+red, "Error:"
	if m.Severity == "warning" {
		c, title = bold+";"+yellow, "Warning:"
	}
	p.printf("%s\n", p.hang(p.paint(c, title)+" "+p.paint(bold, m.Summary), 0, 2))
	if at := where(m); at != "" {
		p.printf("\n  %s\n", at)
	}
	if m.Source != "" {
		p.printf("  %s %s\n", p.paint(dim, fmt.Sprintf("%4d:", m.Pos.Line)), strings.TrimSpace(m.Source))
	}
	if m.Detail != "" {
		p.printf("\n")
		for line := range strings.Lines(m.Detail) {
			p.printf("  %s %s\n", p.paint(dim, "│"), untab(strings.TrimRight(line, "\r\n")))
		}
	}
	for _, d := range m.Changes {
		p.printf("\n  %s: %s\n", p.paint(bold, d.Addr.String()), d.What)
		wide := 0
		for _, detail := range d.Details {
			wide = max(wide, len(detail.Path))
		}
		for _, detail := range d.Details {
			p.attribute(changed(detail), min(wide, 40))
		}
	}
	if m.Hint != "" {
		p.printf("\n  %s\n", p.hang(p.paint(cyan, "Hint:")+" "+m.Hint, 2, 4))
	}
	p.printf("\n")
}

func where(m Message) string {
	var b strings.Builder
	if pos := m.Pos.String(); pos != "" {
		b.WriteString("on " + pos)
	}
	if m.Addr != (schema.Addr{}) {
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString("in " + m.Addr.String())
		if m.Path != "" {
			b.WriteString(", " + m.Path)
		}
	}
	return b.String()
}
