package probe

import (
	"fmt"
	"io"
	"strings"
)

// Write writes a result for a person to read: one line for a pass, and what was found for a failure.
func Write(w io.Writer, r Result, color bool) {
	good, bad, off := "\x1b[32m", "\x1b[31m", "\x1b[0m"
	if !color {
		good, bad, off = "", "", ""
	}
	if r.Pass {
		fmt.Fprintf(w, "%s✓%s %s: %s: %s, as expected", good, off, r.Check, r.Subject, r.Got)
		if r.Detail != "" && !strings.Contains(r.Detail, "\n") {
			fmt.Fprintf(w, " (%s)", r.Detail)
		}
		fmt.Fprintf(w, "  %.1fs\n", r.Took)
		return
	}
	fmt.Fprintf(w, "%s✗%s %s: %s  %.1fs\n", bad, off, r.Check, r.Subject, r.Took)
	if pos := r.Pos.String(); pos != "" {
		fmt.Fprintf(w, "    declared at %s\n", pos)
	}
	if r.Error != "" {
		fmt.Fprintf(w, "    %scould not be run%s: %s\n", bad, off, indent(r.Error))
		return
	}
	fmt.Fprintf(w, "    expected %s, got %s%s%s\n", r.Expect, bad, r.Got, off)
	if r.Detail != "" {
		fmt.Fprintf(w, "    %s\n", indent(r.Detail))
	}
	for _, line := range r.Why {
		fmt.Fprintf(w, "    • %s\n", indent(line))
	}
	if r.Tries > 1 {
		fmt.Fprintf(w, "    tried %d times\n", r.Tries)
	}
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

func indent(text string) string { return strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n      ") }
