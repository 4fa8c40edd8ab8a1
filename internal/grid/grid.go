// Package grid is what a lab's checks show while variables of the lab take one value after the other: a row or a table for
// each check, written for a terminal, as a picture or as a page.
package grid

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/labctl/labctl/internal/probe"
)

// Axis is a variable and the values that it takes.
type Axis struct {
	Variable string
	Values   []string
}

// Cell is what all checks showed with one value of each variable.
type Cell struct {
	Values  []string       `json:"values"` // of the axes, in their order
	Results []probe.Result `json:"results"`
	Seconds float64        `json:"seconds"` // that changing the lab and checking took
}

// Grid is the cells of one or two axes.
type Grid struct {
	Lab         string
	Description string
	Axes        []Axis // rows; and columns, where there are two
	Cells       []Cell
	Began       time.Time
	Took        time.Duration
	Version     string // of labctl
}

// Combinations lists the values of the cells so that from one to the next a single variable changes: every other row runs
// backwards.
func Combinations(axes []Axis) [][]string {
	if len(axes) == 0 {
		return nil
	}
	var all [][]string
	for row, value := range axes[0].Values {
		if len(axes) == 1 {
			all = append(all, []string{value})
			continue
		}
		columns := axes[1].Values
		for n := range columns {
			column := n
			if row%2 == 1 {
				column = len(columns) - 1 - n
			}
			all = append(all, []string{value, columns[column]})
		}
	}
	return all
}

// table is what one check showed, row by row. A cell that was not reached is nil.
type table struct {
	Check         string
	Subject       string
	Rows, Columns []string // values
	RowVariable   string
	ColumnName    string // variable of the columns, "" where there is one axis
	Cells         [][]*square
}

// square is one cell of a table.
type square struct {
	Text       string // what was seen
	Detail     string
	Good       bool // it got through
	Bad        bool // it did not
	Unexpected bool
	Expect     string
}

// tables are the checks' own, in the order in which the checks first appear.
func (g *Grid) tables() []*table {
	var all []*table
	byCheck := map[string]*table{}
	for _, cell := range g.Cells {
		for _, r := range cell.Results {
			name := r.Check.String()
			t := byCheck[name]
			if t == nil {
				t = g.table(name, r.Subject)
				byCheck[name] = t
				all = append(all, t)
			}
			row, column := g.position(cell.Values)
			t.Cells[row][column] = squareOf(r)
		}
	}
	return all
}

func (g *Grid) table(check, subject string) *table {
	t := &table{Check: check, Subject: subject, Rows: g.Axes[0].Values, RowVariable: g.Axes[0].Variable, Columns: []string{""}}
	if len(g.Axes) > 1 {
		t.Columns, t.ColumnName = g.Axes[1].Values, g.Axes[1].Variable
	}
	t.Cells = make([][]*square, len(t.Rows))
	for n := range t.Cells {
		t.Cells[n] = make([]*square, len(t.Columns))
	}
	return t
}

func (g *Grid) position(values []string) (row, column int) {
	at := func(axis int) int {
		for n, v := range g.Axes[axis].Values {
			if v == values[axis] {
				return n
			}
		}
		return 0
	}
	if len(g.Axes) > 1 {
		return at(0), at(1)
	}
	return at(0), 0
}

func squareOf(r probe.Result) *square {
	s := &square{Text: r.Got, Detail: r.Detail, Unexpected: !r.Pass, Expect: r.Expect}
	switch r.Got {
	case "success", "open":
		s.Good = true
	case "failure", "closed", "filtered":
		s.Bad = true
	case "":
		s.Text, s.Detail = "error", r.Error
	}
	return s
}

// summary is one line on a table: how many cells got through, and whether that was expected.
func (t *table) summary() string {
	words, all, unexpected := map[string]int{}, 0, 0
	var order []string
	for _, row := range t.Cells {
		for _, s := range row {
			if s == nil {
				continue
			}
			if words[s.Text] == 0 {
				order = append(order, s.Text)
			}
			words[s.Text]++
			all++
			if s.Unexpected {
				unexpected++
			}
		}
	}
	var parts []string
	for _, word := range order {
		parts = append(parts, fmt.Sprintf("%d %s", words[word], word))
	}
	text := strings.Join(parts, ", ")
	if wanted := len(t.Rows) * len(t.Columns); all < wanted {
		text = fmt.Sprintf("%d of %d: %s", all, wanted, text)
	}
	if unexpected == 0 {
		return text + "; all as expected"
	}
	return fmt.Sprintf("%s; %d not as expected", text, unexpected)
}

// Failed reports whether a check anywhere showed something else than it was to show, or a cell is missing.
func (g *Grid) Failed() bool {
	for _, cell := range g.Cells {
		if probe.Failed(cell.Results) {
			return true
		}
	}
	return len(g.Cells) < len(Combinations(g.Axes))
}

// Text writes the tables for a terminal.
func (g *Grid) Text(w io.Writer, color bool) {
	paint := func(s *square, text string) string {
		code := "36"
		switch {
		case s == nil || !color:
			return text
		case s.Unexpected:
			code = "1;35"
		case s.Good:
			code = "32"
		case s.Bad:
			code = "31"
		}
		return "\x1b[" + code + "m" + text + "\x1b[0m"
	}
	for n, t := range g.tables() {
		if n > 0 {
			fmt.Fprintln(w)
		}
		first, widths := t.widths()
		fmt.Fprintf(w, "%s\n", t.Check)
		if t.ColumnName != "" {
			fmt.Fprintf(w, "  %-*s  %s\n", first, "", t.ColumnName)
		}
		fmt.Fprintf(w, "  %-*s", first, t.RowVariable)
		for i, c := range t.Columns {
			fmt.Fprintf(w, "  %-*s", widths[i], c)
		}
		fmt.Fprintln(w)
		for i, row := range t.Cells {
			fmt.Fprintf(w, "  %-*s", first, t.Rows[i])
			for j, s := range row {
				fmt.Fprintf(w, "  %s", paint(s, fmt.Sprintf("%-*s", widths[j], s.mark())))
			}
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "  %s.\n", t.summary())
	}
}

// mark is a cell in a word and a sign.
func (s *square) mark() string {
	switch {
	case s == nil:
		return "-"
	case s.Unexpected:
		return "! " + s.Text
	case s.Good:
		return "✓ " + s.Text
	case s.Bad:
		return "✗ " + s.Text
	}
	return s.Text
}

// widths are of the first column, and of the others.
func (t *table) widths() (first int, others []int) {
	first = len(t.RowVariable)
	for _, r := range t.Rows {
		first = max(first, len(r))
	}
	others = make([]int, len(t.Columns))
	for j, c := range t.Columns {
		others[j] = len(c)
		for _, row := range t.Cells {
			others[j] = max(others[j], len([]rune(row[j].mark())))
		}
	}
	return first, others
}
