package session

import (
	"bytes"
	"strings"
	"testing"
)

func TestPageTakesThePlaceOfTheLast(t *testing.T) {
	var out bytes.Buffer
	p := &Page{Out: &out, Terminal: true, Rows: 4}
	write := func(text string) string {
		t.Helper()
		out.Reset()
		if _, err := p.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := p.Show(true); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if got := write("1\n2\n"); got != "\x1b[H1\x1b[K\n2\x1b[K\n\x1b[J" {
		t.Errorf("%q", got)
	}
	if got := write("1\n2\n3\n4\n5\n"); !strings.Contains(got, "\x1b[H1\x1b[K\n2\x1b[K\n… and 3 lines more") {
		t.Errorf("more than the terminal's rows: %q", got)
	}
	p.Terminal = false
	if got := write("1\n"); got != "1\n\n" {
		t.Errorf("into a file: %q", got)
	}
}
