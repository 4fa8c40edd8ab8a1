package diag

import (
	"fmt"
	"io"
	"strings"

	"github.com/apparentlymart/go-textseg/v15/textseg"
	"github.com/hashicorp/hcl/v2"
	"github.com/mitchellh/go-wordwrap"
)

type palette struct{ err, warn, bold, dim, reset string }

func colours(on bool) palette {
	if !on {
		return palette{}
	}
	return palette{err: "\x1b[31m", warn: "\x1b[33m", bold: "\x1b[1m", dim: "\x1b[2m", reset: "\x1b[0m"}
}

// Text writes diagnostics for people, each like this:
//
//	Error: there is no argument "adresses" in a bridge block (LAB0002)
//
//	  lab.hcl:3:3, in bridge "br0":
//	    3 |   adresses = ["192.0.2.1/24"]
//	      |   ^^^^^^^^
//
//	  Did you mean "addresses"?
//
// Files gives the sources by name. Lines of prose are broken at width columns; 0 breaks none.
func Text(w io.Writer, diags hcl.Diagnostics, files map[string]*hcl.File, color bool, width int) error {
	return Write(w, JSON(diags, files), color, width)
}

// Write is Text for diagnostics that are in the form for programs already.
func Write(w io.Writer, diags []Diagnostic, color bool, width int) error {
	p := colours(color)
	var b strings.Builder
	for i, d := range diags {
		if i > 0 {
			b.WriteByte('\n')
		}
		writeOne(&b, d, p, width)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeOne(b *strings.Builder, d Diagnostic, p palette, width int) {
	word, colour := "Error", p.err
	if d.Severity == "warning" {
		word, colour = "Warning", p.warn
	}
	code := ""
	if d.Code != "" {
		code = fmt.Sprintf(" %s(%s)%s", p.dim, d.Code, p.reset)
	}
	fmt.Fprintf(b, "%s%s%s:%s %s%s%s%s\n", p.bold, colour, word, p.reset, p.bold, d.Summary, p.reset, code)
	if d.Range != nil {
		fmt.Fprintf(b, "\n  %s:%d:%d", d.Range.Filename, d.Range.Start.Line, d.Range.Start.Column)
		switch {
		case d.Snippet != nil && d.Snippet.Context != nil:
			fmt.Fprintf(b, ", in %s:", *d.Snippet.Context)
		case d.Snippet != nil:
			b.WriteByte(':')
		}
		b.WriteByte('\n')
	}
	if d.Snippet != nil {
		writeSource(b, *d.Snippet, colour, p)
	}
	if d.Detail != "" {
		b.WriteByte('\n')
		text := d.Detail
		if width > 20 {
			text = wordwrap.WrapString(text, uint(width-2))
		}
		for line := range strings.SplitSeq(text, "\n") {
			b.WriteString(strings.TrimRight("  "+line, " ") + "\n")
		}
	}
}

// writeSource writes the source lines, the part at fault underlined, and what the parts of the expression stood for.
func writeSource(b *strings.Builder, s Snippet, colour string, p palette) {
	lines := strings.Split(s.Code, "\n")
	gutter := len(fmt.Sprint(s.StartLine + len(lines) - 1))
	offset := 0
	for i, line := range lines {
		text := strings.TrimRight(line, "\r")
		fmt.Fprintf(b, "    %s%*d |%s %s\n", p.dim, gutter, s.StartLine+i, p.reset, text)
		from, to := max(s.HighlightStart-offset, 0), min(s.HighlightEnd-offset, len(text))
		begins := s.HighlightStart >= offset && s.HighlightStart <= offset+len(text)
		if to > from && strings.TrimSpace(text[from:to]) != "" || begins && s.HighlightStart == s.HighlightEnd {
			from += len(text[from:max(to, from)]) - len(strings.TrimLeft(text[from:max(to, from)], " \t"))
			marks := max(columns(text[min(from, len(text)):max(to, min(from, len(text)))]), 1)
			fmt.Fprintf(b, "    %s%*s |%s %s%s%s%s\n", p.dim, gutter, "", p.reset,
				blank(text[:min(from, len(text))]), colour, strings.Repeat("^", marks), p.reset)
		}
		offset += len(line) + 1
	}
	for _, v := range s.Values {
		fmt.Fprintf(b, "    %s%*s |%s %s %s\n", p.dim, gutter, "", p.reset, v.Traversal, v.Statement)
	}
}

func columns(text string) int {
	n, err := textseg.TokenCount([]byte(text), textseg.ScanGraphemeClusters)
	if err != nil {
		return len(text)
	}
	return n
}

// blank is text with all but tabs turned to spaces, to stand under it.
func blank(text string) string {
	var b strings.Builder
	for part := range strings.SplitAfterSeq(text, "\t") {
		b.WriteString(strings.Repeat(" ", columns(strings.TrimSuffix(part, "\t"))))
		if strings.HasSuffix(part, "\t") {
			b.WriteByte('\t')
		}
	}
	return b.String()
}
