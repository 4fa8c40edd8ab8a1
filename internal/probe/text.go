package probe

import (
	"fmt"
	"io"
	"strings"

	"github.com/mitchellh/go-wordwrap"
)

// Style is how results are written.
type Style struct {
	Color bool // with ANSI colours
	Width int  // columns at which lines are broken; 0 breaks none
}

// Write writes a result for a person to read: what was tried and seen, and for a failure what was found on the way.
func (s Style) Write(w io.Writer, r Result) {
	good, bad, dim, off := "\x1b[32m", "\x1b[31m", "\x1b[2m", "\x1b[0m"
	if !s.Color {
		good, bad, dim, off = "", "", "", ""
	}
	took := fmt.Sprintf("%s%.1fs%s", dim, r.Took, off)
	if r.Pass {
		fmt.Fprintf(w, "%s✓%s %s  %s\n", good, off, r.Check, took)
		s.line(w, "    ", r.Subject+": "+r.Got+", as expected")
		if r.Detail != "" && !strings.Contains(r.Detail, "\n") {
			s.line(w, "    ", r.Detail)
		}
		return
	}
	fmt.Fprintf(w, "%s✗%s %s  %s\n", bad, off, r.Check, took)
	s.line(w, "    ", r.Subject)
	if r.Error != "" {
		s.line(w, "    ", bad+"could not be run"+off+": "+r.Error)
	} else {
		s.line(w, "    ", fmt.Sprintf("expected %s, got %s%s%s", r.Expect, bad, r.Got, off))
	}
	if r.Detail != "" {
		s.line(w, "    ", r.Detail)
	}
	for _, line := range r.Why {
		s.line(w, "    • ", line)
	}
	if r.Explanation != nil {
		s.section(w, "the way of the packets", r.Path)
		s.section(w, "the other way", r.Back)
		s.section(w, "what the rules did", r.Rules)
		s.section(w, "counters that rose", r.Rose)
		s.section(w, "tracked connections", r.Flows)
		s.section(w, "it would pass with", r.Mend)
	}
	if r.Tries > 1 {
		s.line(w, "    ", fmt.Sprintf("tried %d times", r.Tries))
	}
	if pos := r.Pos.String(); pos != "" {
		s.line(w, "    ", "declared at "+pos)
	}
}

// section writes lines under a heading, and nothing where there are none.
func (s Style) section(w io.Writer, heading string, lines []string) {
	if len(lines) == 0 {
		return
	}
	if s.Color {
		heading = "\x1b[1m" + heading + "\x1b[0m"
	}
	fmt.Fprintf(w, "    %s:\n", heading)
	for _, line := range lines {
		s.line(w, "      • ", line)
	}
}

// line writes text behind first, further lines of it indented as much.
func (s Style) line(w io.Writer, first, text string) {
	text = strings.TrimSpace(text)
	if room := s.Width - len(first); s.Width > 0 && room > 20 {
		text = wordwrap.WrapString(text, uint(room))
	}
	next := "\n" + strings.Repeat(" ", len([]rune(first)))
	fmt.Fprintf(w, "%s%s\n", first, strings.ReplaceAll(text, "\n", next))
}

// Summary is the last line under the results.
func Summary(results []Result) string {
	if len(results) == 0 {
		return "The lab has no checks."
	}
	passed := 0
	for _, r := range results {
		if r.Pass {
			passed++
		}
	}
	noun := "checks"
	if len(results) == 1 {
		noun = "check"
	}
	return fmt.Sprintf("%d %s: %d passed, %d failed.", len(results), noun, passed, len(results)-passed)
}
