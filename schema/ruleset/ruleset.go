// Package ruleset makes nft's own syntax of nftables blocks, and keeps for each line where in the lab it comes from.
package ruleset

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/decode"
	"github.com/labctl/labctl/schema/diag"
)

// identifier is nft's form of a name.
var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_/.\\-]*$`)

// Pos is a range's beginning.
func Pos(r hcl.Range) schema.Pos {
	return schema.Pos{File: r.Filename, Line: r.Start.Line, Column: r.Start.Column}
}

// Join puts rulesets one after the other; nil where there are none.
func Join(sets ...*schema.Ruleset) *schema.Ruleset {
	var out *schema.Ruleset
	for _, set := range sets {
		if set == nil || set.Text == "" {
			continue
		}
		if out == nil {
			out = new(schema.Ruleset)
		}
		out.Text += set.Text
		out.Lines = append(out.Lines, set.Lines...)
	}
	return out
}

// Text is a ruleset of which every line comes from one place.
func Text(text string, pos schema.Pos) *schema.Ruleset {
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	set := &schema.Ruleset{Text: text}
	for range strings.Count(text, "\n") {
		set.Lines = append(set.Lines, pos)
	}
	return set
}

// Compile makes the ruleset of an nftables block. Dir is the lab's folder as it stands in file names.
func Compile(n *decode.Node, dir string) (*schema.Ruleset, hcl.Diagnostics) {
	if n.Has("ruleset") {
		if child := n.Child("table"); child != nil {
			return nil, hcl.Diagnostics{diag.New(diag.Conflict, child.DefRange, "There are both ruleset and table blocks",
				"Move the tables into the ruleset's text, or declare two nftables blocks and attach both.")}
		}
		return written(n, dir), nil
	}
	if n.Child("table") == nil {
		return nil, hcl.Diagnostics{diag.New(diag.MissingArgument, n.DefRange, "The nftables block has no rules",
			"Give it table blocks, or ruleset = file(\"NAME.nft\").")}
	}
	w := new(writer)
	n.Each("table", w.table)
	return &schema.Ruleset{Text: w.b.String(), Lines: w.lines}, w.diags
}

// written is a ruleset in nft's own syntax.
func written(n *decode.Node, dir string) *schema.Ruleset {
	v := n.Argument("ruleset")
	set := Text(v.AsString(), Pos(v.Place()))
	file, first := origin(v, dir)
	if file == "" {
		return set
	}
	for i := range set.Lines {
		set.Lines[i] = schema.Pos{File: file, Line: first + i}
	}
	return set
}

// origin is where a text's first line stands: in a file that is named in the lab, or in a heredoc.
func origin(v decode.Value, dir string) (file string, line int) {
	expr := v.Expr
	for {
		wrapped, ok := expr.(interface{ UnwrapExpression() hcl.Expression })
		if !ok {
			break
		}
		expr = wrapped.UnwrapExpression()
	}
	switch expr := expr.(type) {
	case *hclsyntax.FunctionCallExpr:
		if expr.Name != "file" || len(expr.Args) != 1 {
			return "", 0
		}
		name, diags := expr.Args[0].Value(nil)
		if diags.HasErrors() || name.Type() != cty.String || name.IsNull() {
			return "", 0
		}
		if filepath.IsAbs(name.AsString()) {
			return name.AsString(), 1
		}
		return filepath.Join(dir, name.AsString()), 1
	case *hclsyntax.TemplateExpr:
		// A heredoc's parts are lines; it begins on the line after its << mark.
		lines := strings.Count(v.AsString(), "\n")
		if r := expr.SrcRange; len(expr.Parts) > 0 && r.End.Line-r.Start.Line >= lines && lines > 1 {
			return r.Filename, expr.Parts[0].Range().Start.Line
		}
	}
	return "", 0
}

type writer struct {
	b     strings.Builder
	lines []schema.Pos
	depth int
	diags hcl.Diagnostics
}

func (w *writer) line(at hcl.Range, format string, args ...any) {
	w.b.WriteString(strings.Repeat("\t", w.depth))
	fmt.Fprintf(&w.b, format+"\n", args...)
	w.lines = append(w.lines, Pos(at))
}

func (w *writer) block(at hcl.Range, header string, body func()) {
	w.line(at, "%s {", header)
	w.depth++
	body()
	w.depth--
	w.line(at, "}")
}

// name checks a label that nft reads as an identifier.
func (w *writer) name(n *decode.Node, i int) string {
	label := n.Labels[i]
	if !identifier.MatchString(label.Text) {
		w.diags = append(w.diags, diag.In(diag.New(diag.BadName, label.Range, fmt.Sprintf("nft takes no %s of the name %q", n.Def.Kind, label.Text),
			"Names begin with a letter or _ and go on with letters, digits, _, - and dots."), n.DefRange))
	}
	return label.Text
}

func (w *writer) comment(n *decode.Node) {
	if !n.Has("comment") {
		return
	}
	text := n.Text("comment")
	if strings.ContainsAny(text, "\"\n") || len(text) > 128 {
		w.diags = append(w.diags, diag.New(diag.Malformed, n.At("comment"), "nft does not take this comment",
			"A comment has at most 128 bytes, no double quotes and one line."))
	}
	w.line(n.At("comment"), "comment %q", text)
}

func (w *writer) table(n *decode.Node) {
	if len(n.Labels) < 2 {
		return // told already
	}
	w.block(n.DefRange, "table "+n.Label()+" "+w.name(n, 1), func() {
		w.comment(n)
		for _, child := range n.Nodes {
			if len(child.Labels) > 0 {
				w.object(child)
			}
		}
	})
}

func (w *writer) object(n *decode.Node) {
	w.block(n.DefRange, n.Def.Kind+" "+w.name(n, 0), func() {
		w.comment(n)
		switch n.Def.Kind {
		case "chain":
			w.chain(n)
		case "set", "map":
			w.set(n)
		case "flowtable":
			w.line(n.At("hook"), "hook %s priority %s", n.Text("hook"), n.Text("priority"))
			w.line(n.At("devices"), "devices = { %s }", strings.Join(quoted(texts(n, "devices")), ", "))
			if n.Flag("counter") {
				w.line(n.At("counter"), "counter")
			}
		case "quota":
			w.line(n.At("amount"), "%s", n.Text("amount"))
		case "limit":
			w.line(n.At("rate"), "rate %s", strings.TrimPrefix(n.Text("rate"), "rate "))
		}
	})
}

func texts(n *decode.Node, name string) []string {
	v, ok := n.Value(name)
	if !ok || v.LengthInt() == 0 {
		return nil
	}
	var out []string
	for _, element := range v.AsValueSlice() {
		out = append(out, element.AsString())
	}
	return out
}

func quoted(names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = strconv.Quote(name)
	}
	return out
}
