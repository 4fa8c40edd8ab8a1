package session

import (
	"bytes"
	"fmt"
	"io"
)

// Page collects what one look at something shows, so that a terminal gets it at once, in the place of the last.
type Page struct {
	Out      io.Writer
	Terminal bool
	Rows     int // of the terminal; 0: as many as it takes

	text bytes.Buffer
}

// Write adds to the page.
func (p *Page) Write(text []byte) (int, error) { return p.text.Write(text) }

// Show writes the page and begins another. Where there are to be more, a terminal is cleared first, line by line so that it
// does not flicker; anything else gets an empty line between two.
func (p *Page) Show(more bool) error {
	defer p.text.Reset()
	text := p.text.Bytes()
	if more && p.Terminal {
		if lines := bytes.SplitAfter(text, []byte("\n")); p.Rows > 1 && len(lines) > p.Rows {
			text = append(bytes.Join(lines[:p.Rows-2], nil), fmt.Sprintf("… and %d lines more\n", len(lines)-p.Rows+1)...)
		}
		const home, restOfLine, restOfScreen = "\x1b[H", "\x1b[K\n", "\x1b[J" // ECMA-48: CUP, EL, ED
		text = append([]byte(home), bytes.ReplaceAll(text, []byte("\n"), []byte(restOfLine))...)
		text = append(text, restOfScreen...)
	} else if more {
		text = append(text, '\n')
	}
	_, err := p.Out.Write(text)
	return err
}
