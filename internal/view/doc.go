// Package view renders what people and programs read: plans, progress, reports and errors. Each is first made into one
// structure (Doc, Message); the text printer and the JSON printer both print that, so they never tell two stories.
package view

import (
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"github.com/labctl/labctl/internal/plan"
	"github.com/labctl/labctl/schema"
)

// Output is where a command's story goes: a Printer for people, a Stream for programs.
type Output interface {
	// Plan tells what would be done.
	Plan(p *plan.Plan)
	// Event tells of one moment of an apply; calls must come one at a time.
	Event(e plan.Event)
	// Report tells how an apply went, after its last event.
	Report(r *plan.Report)
	// Error tells what went wrong, each error of a join apart.
	Error(err error, locate Locator)
}

// Locator tells where a resource, or one attribute of it, stands in the lab's files. It may be nil.
type Locator func(addr schema.Addr, path string) Place

// Place is a line of the lab's files.
type Place struct {
	Pos    schema.Pos
	Source string // the line itself
}

// Style is how a Printer writes.
type Style struct {
	Color    bool // with ANSI colours
	Terminal bool // lines may be rewritten: progress moves
	Width    int  // columns of the terminal; 0 is 80
}

// Printer writes for people.
type Printer struct {
	w        io.Writer
	style    Style
	progress atomic.Pointer[progress]
}

// New is a Printer to w.
func New(w io.Writer, style Style) *Printer {
	if style.Width <= 0 {
		style.Width = 80
	}
	return &Printer{w: w, style: style}
}

func (p *Printer) printf(format string, args ...any) { fmt.Fprintf(p.w, format, args...) }

// color is an SGR code (ECMA-48 8.3.117).
type color string

const (
	bold    color = "1"
	dim     color = "2"
	red     color = "31"
	green   color = "32"
	yellow  color = "33"
	magenta color = "35"
	cyan    color = "36"
)

// paint colours text, where colours are wanted.
func (p *Printer) paint(c color, text string) string {
	if !p.style.Color || text == "" {
		return text
	}
	on, off := "\x1b["+string(c)+"m", "\x1b[0m"
	return on + strings.ReplaceAll(text, "\n", off+"\n"+on) + off // a pager knows no line but the one it shows
}

// symbol is a symbol in colour, padded to the width of the widest.
func (p *Printer) symbol(s string) string {
	return strings.Repeat(" ", max(3-len([]rune(s)), 0)) + p.sign(s)
}

// sign is a symbol in colour.
func (p *Printer) sign(s string) string {
	switch s {
	case "+":
		return p.paint(green, s)
	case "-":
		return p.paint(red, s)
	case "~":
		return p.paint(yellow, s)
	case "-/+":
		return p.paint(red, "-") + "/" + p.paint(green, "+")
	case "<=":
		return p.paint(cyan, s)
	}
	return s
}
