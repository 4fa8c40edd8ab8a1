package grid

import (
	"fmt"
	"html"
	"io"
	"strings"
)

// Sizes of the picture, pixels.
const (
	cellWidth, cellHeight = 118, 46
	headWidth, headHeight = 196, 78
	margin                = 24
	gapBetween            = 40
	titleHeight           = 78
	footHeight            = 58
)

// Colours of cells: fill and text. They differ in lightness too, for those who do not tell red from green.
const (
	goodFill, goodInk   = "#c9ecd0", "#0b5523"
	badFill, badInk     = "#f3b8b0", "#7a1207"
	otherFill, otherInk = "#dde6f2", "#1d3a5f"
	ink, faint, alarm   = "#1c2430", "#5b6675", "#a000a0"
)

// SVG writes the tables as one picture, one beside the other.
func (g *Grid) SVG(w io.Writer) error {
	tables := g.tables()
	var b strings.Builder
	width, height := margin, 0
	for _, t := range tables {
		width += headWidth + len(t.Columns)*cellWidth + gapBetween
		height = max(height, headHeight+len(t.Rows)*cellHeight)
	}
	width = max(width-gapBetween+margin, 420)
	height += titleHeight + footHeight + margin
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img" font-family="system-ui, 'DejaVu Sans', sans-serif" font-size="13">`+"\n", width, height)
	fmt.Fprintf(&b, "<title>%s</title>\n", html.EscapeString(g.title()))
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	text(&b, margin, 36, `font-size="19" font-weight="600" fill="`+ink+`"`, g.title())
	if g.Description != "" {
		text(&b, margin, 56, `fill="`+faint+`"`, g.Description)
	}
	left := margin
	for _, t := range tables {
		t.svg(&b, left, titleHeight)
		left += headWidth + len(t.Columns)*cellWidth + gapBetween
	}
	text(&b, margin, height-16, `font-size="11" fill="`+faint+`"`, g.caption())
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (g *Grid) title() string {
	title := g.Lab + ": " + g.Axes[0].Variable
	if len(g.Axes) > 1 {
		title += " × " + g.Axes[1].Variable
	}
	return title
}

func (g *Grid) caption() string {
	return fmt.Sprintf("Measured by labctl %s on %s in %.0f s, in one lab that was changed while it ran.", g.Version, g.Began.Format("2 January 2006 15:04"), g.Took.Seconds())
}

// text writes one line. Values are escaped; attributes are ours.
func text(b *strings.Builder, x, y int, attributes, value string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" %s>%s</text>`+"\n", x, y, attributes, html.EscapeString(value))
}

// svg draws one table with its upper left corner at a point.
func (t *table) svg(b *strings.Builder, left, top int) {
	text(b, left, top+18, `font-size="15" font-weight="600" fill="`+ink+`"`, strings.TrimPrefix(t.Check, "check."))
	text(b, left, top+headHeight-8, `fill="`+faint+`"`, t.RowVariable)
	if t.ColumnName != "" {
		text(b, left+headWidth, top+headHeight-44, `fill="`+faint+`"`, t.ColumnName)
	}
	for j, c := range t.Columns {
		for n, line := range wrapped(spaced(c)) {
			text(b, left+headWidth+j*cellWidth+cellWidth/2, top+headHeight-8-n*16, `text-anchor="middle" font-weight="600" fill="`+ink+`"`+squeeze(line, cellWidth-8), line)
		}
	}
	for i, row := range t.Cells {
		y := top + headHeight + i*cellHeight
		text(b, left, y+cellHeight/2+4, `font-weight="600" fill="`+ink+`"`, spaced(t.Rows[i]))
		for j, s := range row {
			s.svg(b, left+headWidth+j*cellWidth, y)
		}
	}
	bottom := top + headHeight + len(t.Rows)*cellHeight + 20
	text(b, left, bottom, `font-size="12" fill="`+faint+`"`, t.summary())
}

// spaced is a value of the language as words.
func spaced(value string) string { return strings.ReplaceAll(value, "_", " ") }

// wrapped is a column's head in one line or two, the last one first.
func wrapped(value string) []string {
	words := strings.Fields(value)
	if squeeze(value, cellWidth-8) == "" || len(words) < 2 {
		return []string{value}
	}
	longer := func(at int) int { return max(len(strings.Join(words[:at], " ")), len(strings.Join(words[at:], " "))) }
	last := 1
	for at := range len(words) - 1 {
		if longer(at+1) < longer(last) {
			last = at + 1
		}
	}
	return []string{strings.Join(words[last:], " "), strings.Join(words[:last], " ")}
}

// squeeze makes a text narrower that would not fit.
func squeeze(value string, room int) string {
	const widest = 8 // of a bold letter at this size, about
	if len(value)*widest <= room {
		return ""
	}
	return fmt.Sprintf(` textLength="%d" lengthAdjust="spacingAndGlyphs"`, room)
}

func (s *square) svg(b *strings.Builder, x, y int) {
	fill, color := otherFill, otherInk
	switch {
	case s == nil:
		fill = "#f2f2f2"
	case s.Good:
		fill, color = goodFill, goodInk
	case s.Bad:
		fill, color = badFill, badInk
	}
	border := `stroke="#ffffff" stroke-width="2"`
	if s != nil && s.Unexpected {
		border = `stroke="` + alarm + `" stroke-width="4"`
	}
	b.WriteString("<g>")
	if s != nil {
		fmt.Fprintf(b, "<title>%s</title>", html.EscapeString(s.tip()))
	}
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" rx="5" fill="%s" %s/>`, x+2, y+2, cellWidth-4, cellHeight-4, fill, border)
	if s != nil {
		text(b, x+cellWidth/2, y+cellHeight/2+5, `text-anchor="middle" fill="`+color+`"`+squeeze(s.mark(), cellWidth-12), s.mark())
	}
	b.WriteString("</g>\n")
}

func (s *square) tip() string {
	tip := s.Detail
	if s.Unexpected {
		tip = "expected " + s.Expect + ". " + tip
	}
	return tip
}
