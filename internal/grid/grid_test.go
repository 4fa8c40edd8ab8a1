package grid

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/probe"
	"github.com/labctl/labctl/schema"
)

func sample(t *testing.T) *Grid {
	t.Helper()
	check, err := schema.ParseAddr("check.punch")
	if err != nil {
		t.Fatal(err)
	}
	g := &Grid{
		Lab: "lab", Description: "a <b>", Version: "1.0", Began: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Took: 61 * time.Second,
		Axes: []Axis{{"nat_a", []string{"cone", "symmetric"}}, {"nat_b", []string{"cone", "address_restricted_cone"}}},
	}
	for n, values := range Combinations(g.Axes) {
		r := probe.Result{Check: check, Subject: "hole", Expect: "success", Got: "success", Pass: true, Detail: "one, two"}
		if n == 3 {
			r.Got, r.Pass = "failure", false
		}
		g.Cells = append(g.Cells, Cell{Values: values, Results: []probe.Result{r}})
	}
	return g
}

func TestOneVariableChangesFromCellToCell(t *testing.T) {
	axes := []Axis{{"a", []string{"1", "2", "3"}}, {"b", []string{"x", "y"}}}
	if got := fmt.Sprint(Combinations(axes)); got != "[[1 x] [1 y] [2 y] [2 x] [3 x] [3 y]]" {
		t.Error(got)
	}
	if got := fmt.Sprint(Combinations(axes[:1])); got != "[[1] [2] [3]]" {
		t.Error(got)
	}
}

func TestText(t *testing.T) {
	g := sample(t)
	var out strings.Builder
	g.Text(&out, false)
	want := `check.punch
             nat_b
  nat_a      cone       address_restricted_cone
  cone       ✓ success  ✓ success              
  symmetric  ! failure  ✓ success              
  3 success, 1 failure; 1 not as expected.
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	if !g.Failed() {
		t.Error("an unexpected cell is no failure")
	}
	g.Cells = g.Cells[:3]
	out.Reset()
	if g.Text(&out, false); !strings.Contains(out.String(), "  symmetric  -          ✓ success") || !strings.Contains(out.String(), "3 of 4: 3 success; all as expected") {
		t.Errorf("with a cell missing:\n%s", out.String())
	}
	if !g.Failed() {
		t.Error("a missing cell is no failure")
	}
}

// TestPicturesAreWellFormed reads both as XML: the page is written so that it is that, too, but for its head.
func TestPicturesAreWellFormed(t *testing.T) {
	var svg, page strings.Builder
	if err := errors.Join(sample(t).SVG(&svg), sample(t).HTML(&page)); err != nil {
		t.Fatal(err)
	}
	rects, texts := 0, 0
	for decoder := xml.NewDecoder(strings.NewReader(svg.String())); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v:\n%s", err, svg.String())
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "rect" {
			rects++
		} else if ok && start.Name.Local == "text" {
			texts++
		}
	}
	if rects != 5 || texts < 12 {
		t.Errorf("%d rectangles and %d texts", rects, texts)
	}
	for _, want := range []string{"a &lt;b&gt;", "restricted cone", alarm, "expected success"} {
		if !strings.Contains(svg.String(), want) {
			t.Errorf("%q is not in the picture", want)
		}
	}
	for _, want := range []string{"a &lt;b&gt;", `class="bad unexpected"`, "<small>one</small><small>two</small>", "3 success, 1 failure", "Measured by labctl 1.0 on 2 January 2026 03:04 in 61 s"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("%q is not in the page", want)
		}
	}
}
