package diag

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// sample is a diagnostic on the expression of a file's only argument, with the file.
func sample(t *testing.T, source string, vars map[string]cty.Value) (hcl.Diagnostics, map[string]*hcl.File) {
	t.Helper()
	file, diags := hclsyntax.ParseConfig([]byte(source), "lab.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		t.Fatalf("the body is a %T", file.Body)
	}
	attr := body.Blocks[0].Body.Attributes["a"]
	d := In(New(Evaluation, attr.Expr.Range(), "It has no value", "Give it one."), attr.SrcRange)
	d.Expression, d.EvalContext = attr.Expr, &hcl.EvalContext{Variables: vars}
	return hcl.Diagnostics{d}, map[string]*hcl.File{"lab.hcl": file}
}

func text(t *testing.T, diags hcl.Diagnostics, files map[string]*hcl.File, color bool, width int) string {
	t.Helper()
	var b bytes.Buffer
	if err := Text(&b, diags, files, color, width); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestText(t *testing.T) {
	secret := cty.StringVal("s3cret").Mark("sensitive")
	diags, files := sample(t, "vm \"ä\" {\n\ta = [var.x, var.secret, var.l, var.b, var.n, var.o]\n}\n", map[string]cty.Value{"var": cty.ObjectVal(map[string]cty.Value{
		"x": cty.StringVal("two\nlines"), "secret": secret, "l": cty.ListVal([]cty.Value{cty.StringVal("1")}), "b": cty.True, "n": cty.NullVal(cty.String),
		"o": cty.ObjectVal(map[string]cty.Value{"id": cty.StringVal("bridge.br0")}),
	})})
	want := "Error: It has no value (LAB0101)\n" +
		"\n  lab.hcl:2:6, in vm \"ä\":\n" +
		"    2 | \ta = [var.x, var.secret, var.l, var.b, var.n, var.o]\n" +
		"      | \t    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n" +
		"      | var.b is true\n" +
		"      | var.l is a list with 1 element\n" +
		"      | var.n is null\n" +
		"      | var.o is the block bridge.br0\n" +
		"      | var.secret is sensitive\n" +
		"      | var.x is \"two\\nlines\"\n" +
		"\n  Give it one.\n"
	if d := cmp.Diff(want, text(t, diags, files, false, 0)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	coloured := text(t, diags, files, true, 0)
	if strings.Count(coloured, "\x1b[") == 0 || strings.Contains(coloured, "s3cret") {
		t.Errorf("in colour: %q", coloured)
	}
}

// Wide characters are one column each under the mark, and a range of several lines is marked on each.
func TestMarks(t *testing.T) {
	diags, files := sample(t, "vm \"x\" {\n  a = \"日本語\"\n}\n", nil)
	if got := text(t, diags, files, false, 0); !strings.Contains(got, "      |       ^^^^^\n") {
		t.Errorf("the mark under wide characters:\n%s", got)
	}
	diags, files = sample(t, "vm \"x\" {\n  a = [\n    1,\n  ]\n}\n", nil)
	got := text(t, diags, files, false, 0)
	if strings.Count(got, "^") != 4 {
		t.Errorf("the marks of a range of three lines:\n%s", got)
	}
}

func TestJSON(t *testing.T) {
	diags, files := sample(t, "vm \"x\" {\n  a = var.x + 1\n}\n", map[string]cty.Value{"var": cty.ObjectVal(map[string]cty.Value{"x": cty.NumberIntVal(7)})})
	At(`vm.x["a"]`, diags)
	got, err := json.Marshal(JSON(diags, files))
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"severity":"error","code":"LAB0101","summary":"It has no value","detail":"Give it one.","address":"vm.x[\"a\"]",` +
		`"range":{"filename":"lab.hcl","start":{"line":2,"column":7,"byte":15},"end":{"line":2,"column":16,"byte":24}},` +
		`"snippet":{"context":"vm \"x\"","code":"  a = var.x + 1","start_line":2,"highlight_start_offset":6,"highlight_end_offset":15,` +
		`"values":[{"traversal":"var.x","statement":"is 7"}]}}]`
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// What is shown stands in the source, whatever the ranges say: files change between reading and showing.
func TestRangesOutsideTheSource(t *testing.T) {
	file := &hcl.File{Bytes: []byte("short")}
	subject := hcl.Range{Filename: "x", Start: hcl.Pos{Line: 9, Column: 9, Byte: 900}, End: hcl.Pos{Line: 9, Column: 10, Byte: 901}}
	diags := hcl.Diagnostics{In(New(Syntax, subject, "s", "d"), subject), New(Syntax, hcl.Range{Filename: "gone"}, "s", "")}
	if got := text(t, diags, map[string]*hcl.File{"x": file}, false, 10); !strings.Contains(got, "x:9:9") {
		t.Errorf("it is shown as\n%s", got)
	}
}

func TestUnique(t *testing.T) {
	at := func(line int) hcl.Range {
		return hcl.Range{Filename: "f", Start: hcl.Pos{Line: line, Column: 1, Byte: line * 10}, End: hcl.Pos{Line: line, Column: 2, Byte: line*10 + 1}}
	}
	first, again, earlier := New(Syntax, at(2), "a", "for x"), New(Syntax, at(2), "a", "for y"), New(Syntax, at(1), "b", "")
	got := Unique(hcl.Diagnostics{first, again, earlier})
	if len(got) != 2 || got[0] != earlier || got[1] != first {
		t.Errorf("it leaves %v", got)
	}
}

func TestRedact(t *testing.T) {
	d := New(Syntax, hcl.Range{}, `"hunter2" is bad`, "not hunter2, ab")
	Redact(hcl.Diagnostics{d}, map[string]bool{"hunter2": true, "ab": true})
	if d.Summary != `"(sensitive)" is bad` || d.Detail != "not (sensitive), ab" {
		t.Errorf("it says %q, %q", d.Summary, d.Detail)
	}
}

func TestCodes(t *testing.T) {
	last := ""
	for _, e := range Codes() {
		if e.Code <= last || len(e.Code) != 7 || !strings.HasPrefix(e.Code, "LAB") {
			t.Errorf("%s comes after %s", e.Code, last)
		}
		if !strings.HasSuffix(e.Text, ".") || e.Title == "" {
			t.Errorf("%s is explained as %q", e.Code, e.Text)
		}
		last = e.Code
	}
	if _, ok := Explain("LAB9999"); ok {
		t.Error("a code that there is not is explained")
	}
}
