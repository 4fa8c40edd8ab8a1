package diag

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hcled"
	"github.com/zclconf/go-cty/cty"
)

// Diagnostic is the form for programs. Its fields are those of `terraform validate -json`, with code added.
type Diagnostic struct {
	Severity string   `json:"severity"` // "error" or "warning"
	Code     string   `json:"code,omitempty"`
	Summary  string   `json:"summary"`
	Detail   string   `json:"detail,omitempty"`
	Address  string   `json:"address,omitempty"`
	Range    *Range   `json:"range,omitempty"`
	Snippet  *Snippet `json:"snippet,omitempty"`
}

// Range is where it is: Start is the first character, End the one after the last.
type Range struct {
	Filename string `json:"filename"`
	Start    Pos    `json:"start"`
	End      Pos    `json:"end"`
}

// Pos is a place in a file. Line and Column count from 1, Byte from 0.
type Pos struct {
	Line   int `json:"line"`
	Column int `json:"column"`
	Byte   int `json:"byte"`
}

// Snippet is the source around it.
type Snippet struct {
	Context        *string `json:"context"` // the block that it is in: vm "client"
	Code           string  `json:"code"`    // whole lines
	StartLine      int     `json:"start_line"`
	HighlightStart int     `json:"highlight_start_offset"` // byte in Code
	HighlightEnd   int     `json:"highlight_end_offset"`
	Values         []Value `json:"values"`
}

// Value is what a part of the expression at fault stood for.
type Value struct {
	Traversal string `json:"traversal"`
	Statement string `json:"statement"` // what completes the sentence "local.x …"
}

// JSON is the form for programs of all diagnostics. Files gives the sources by name, for the snippets.
func JSON(diags hcl.Diagnostics, files map[string]*hcl.File) []Diagnostic {
	out := make([]Diagnostic, 0, len(diags))
	for _, d := range diags {
		j := Diagnostic{Severity: "error", Code: CodeOf(d), Summary: d.Summary, Detail: d.Detail, Address: AddressOf(d)}
		if d.Severity == hcl.DiagWarning {
			j.Severity = "warning"
		}
		if d.Subject != nil {
			subject := *d.Subject
			j.Range = &Range{Filename: subject.Filename, Start: pos(subject.Start), End: pos(subject.End)}
			if file := files[subject.Filename]; file != nil {
				j.Snippet = snippet(d, file)
			}
		}
		out = append(out, j)
	}
	return out
}

func pos(p hcl.Pos) Pos { return Pos{Line: p.Line, Column: p.Column, Byte: p.Byte} }

// maxLines is how many source lines a snippet shows at most.
const maxLines = 12

func snippet(d *hcl.Diagnostic, file *hcl.File) *Snippet {
	source, subject := file.Bytes, *d.Subject
	start, end := min(subject.Start.Byte, len(source)), min(max(subject.End.Byte, subject.Start.Byte), len(source))
	from, to := start, end
	if d.Context != nil && d.Context.End.Line-d.Context.Start.Line < maxLines {
		from, to = min(d.Context.Start.Byte, start), min(max(d.Context.End.Byte, end), len(source))
	}
	from = bytes.LastIndexByte(source[:from], '\n') + 1
	if n := bytes.IndexByte(source[to:], '\n'); n >= 0 {
		to += n
	} else {
		to = len(source)
	}
	s := &Snippet{
		Code: string(source[from:to]), StartLine: 1 + bytes.Count(source[:from], []byte("\n")),
		HighlightStart: start - from, HighlightEnd: end - from, Values: values(d),
	}
	if lines := strings.SplitAfter(s.Code, "\n"); len(lines) > maxLines {
		s.Code = strings.TrimSuffix(strings.Join(lines[:maxLines], ""), "\n")
		s.HighlightEnd = min(s.HighlightEnd, len(s.Code))
	}
	if context := hcled.ContextString(file, subject.Start.Byte); context != "" {
		s.Context = &context
	}
	return s
}

// values says what the variables in the expression at fault stood for.
func values(d *hcl.Diagnostic) []Value {
	out := []Value{}
	if d.Expression == nil || d.EvalContext == nil {
		return out
	}
	seen := make(map[string]bool)
	for _, traversal := range d.Expression.Variables() {
		for len(traversal) > 1 {
			name := traversalText(traversal)
			value, diags := traversal.TraverseAbs(d.EvalContext)
			if diags.HasErrors() { // the fault may lie in the last step: say what the steps before it gave
				traversal = traversal[:len(traversal)-1]
				continue
			}
			if statement := statement(value); statement != "" && !seen[name] {
				seen[name] = true
				out = append(out, Value{Traversal: name, Statement: statement})
			}
			break
		}
	}
	slices.SortFunc(out, func(a, b Value) int { return strings.Compare(a.Traversal, b.Traversal) })
	return out
}

// maxText is how much of a text value is shown.
const maxText = 120

func statement(v cty.Value) string {
	switch {
	case v.ContainsMarked():
		return "is sensitive"
	case !v.IsKnown():
		return ""
	case v.IsNull():
		return "is null"
	}
	ty := v.Type()
	switch {
	case ty == cty.Bool:
		return fmt.Sprintf("is %t", v.True())
	case ty == cty.Number:
		return "is " + v.AsBigFloat().Text('f', -1)
	case ty == cty.String:
		text := v.AsString()
		if len(text) > maxText {
			text = strings.ToValidUTF8(text[:maxText], "") + "…"
		}
		return fmt.Sprintf("is %q", text)
	case ty.IsObjectType():
		return objectStatement(v)
	case ty.IsTupleType(), ty.IsListType(), ty.IsSetType(), ty.IsMapType():
		what := "is a " + strings.SplitN(ty.FriendlyName(), " ", 2)[0]
		return fmt.Sprintf("%s with %s", what, counted(v.LengthInt(), "element"))
	}
	return "is a " + ty.FriendlyName()
}

func objectStatement(v cty.Value) string {
	if v.Type().HasAttribute("id") {
		if id := v.GetAttr("id"); id.Type() == cty.String && id.IsKnown() && !id.IsNull() && !id.IsMarked() {
			return "is the block " + id.AsString()
		}
	}
	names := make([]string, 0, len(v.Type().AttributeTypes()))
	for name := range v.Type().AttributeTypes() {
		names = append(names, name)
	}
	slices.Sort(names)
	if len(names) > 8 {
		return "is an object with " + counted(len(names), "attribute")
	}
	return "is an object { " + strings.Join(names, ", ") + " }"
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func traversalText(t hcl.Traversal) string {
	var b strings.Builder
	for _, step := range t {
		switch step := step.(type) {
		case hcl.TraverseRoot:
			b.WriteString(step.Name)
		case hcl.TraverseAttr:
			b.WriteString("." + step.Name)
		case hcl.TraverseIndex:
			if step.Key.Type() == cty.String {
				fmt.Fprintf(&b, "[%q]", step.Key.AsString())
			} else if step.Key.Type() == cty.Number {
				b.WriteString("[" + step.Key.AsBigFloat().Text('f', -1) + "]")
			}
		}
	}
	return b.String()
}
