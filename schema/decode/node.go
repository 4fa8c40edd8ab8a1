package decode

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/labctl/labctl/schema/diag"
	"github.com/labctl/labctl/schema/function"
	"github.com/labctl/labctl/schema/table"
)

// Node is one instance of a block with its arguments evaluated, converted and checked.
type Node struct {
	*Shape
	Nodes  []*Node // nested blocks in order
	Failed bool    // something in it was in error, and was told

	values   []argument // that are written or derived; null ones are left out, and those in error have no value
	defaults []argument // of the others: the same list for every block of the kind
	later    []string   // that are known only while the machine runs
}

// argument is a name and its value: a block has few, so a list of them takes less than a map.
type argument struct {
	name  string
	value Value
}

// Value is an argument's value; ok is false where it is not set and has no default.
func (n *Node) Value(name string) (v Value, ok bool) {
	for i := range n.values {
		if n.values[i].name == name {
			v = n.values[i].value
			return v, v.Value != cty.NilVal
		}
	}
	for i := range n.defaults {
		if n.defaults[i].name == name {
			return n.defaults[i].value, true
		}
	}
	return Value{}, false
}

// Argument is an argument's value, or the zero Value.
func (n *Node) Argument(name string) Value {
	v, _ := n.Value(name)
	return v
}

// Value is an argument's value. Marks are taken off; Sensitive says that there was one.
type Value struct {
	cty.Value
	Expr      hcl.Expression // nil for a default and for what labctl derived
	Sensitive bool
	partial   bool      // something in it is not known
	missing   bool      // something in it is not known that is no part of a block
	secrets   *[]string // the texts in it that are sensitive; nil where all are
}

// Place is where the expression stands.
func (v Value) Place() hcl.Range {
	if v.Expr == nil {
		return hcl.Range{}
	}
	return v.Expr.Range()
}

// Each calls f for every nested block of the kind.
func (n *Node) Each(kind string, f func(*Node)) {
	for _, child := range n.Nodes {
		if child.Def.Kind == kind {
			f(child)
		}
	}
}

// Child is the first nested block of the kind, or nil.
func (n *Node) Child(kind string) *Node {
	for _, child := range n.Nodes {
		if child.Def.Kind == kind {
			return child
		}
	}
	return nil
}

// Has reports whether the argument is set.
func (n *Node) Has(name string) bool {
	_, ok := n.Value(name)
	return ok
}

// Text is a string argument, "" where it is not set.
func (n *Node) Text(name string) string {
	v, ok := n.Value(name)
	if !ok || v.Type() != cty.String {
		return ""
	}
	return v.AsString()
}

// Flag is a bool argument, false where it is not set.
func (n *Node) Flag(name string) bool {
	v, ok := n.Value(name)
	return ok && v.Type() == cty.Bool && v.True()
}

// Set gives an argument a value that labctl derived.
func (n *Node) Set(name string, v cty.Value) {
	if !n.Has(name) {
		n.values = append(n.values, argument{name, Value{Value: v}})
	}
}

// Prefer gives an argument that is not written a value that goes before the table's default.
func (n *Node) Prefer(name string, v cty.Value) {
	for i := range n.values {
		if n.values[i].name == name {
			return
		}
	}
	n.values = append(n.values, argument{name, Value{Value: v}})
}

// Later says that an argument gets its value only while the machine runs: for references it is unknown.
func (n *Node) Later(name string) { n.later = append(n.later, name) }

// At is where an argument stands, or the block's header where it is not set.
func (n *Node) At(name string) hcl.Range {
	if attr := n.Attrs[name]; attr != nil {
		return attr.Expr.Range()
	}
	return n.DefRange
}

// metaName reports arguments that are no part of a block's values.
func metaName(name string) bool { return name == "for_each" || name == "count" }

// Node evaluates an expanded shape.
func (r *Reader) Node(s *Shape, ctx *hcl.EvalContext) (*Node, hcl.Diagnostics) {
	n := &Node{Shape: s, values: make([]argument, 0, len(s.Attrs)+derived(s.Def)), defaults: r.defaultsOf(s.Def)}
	var diags hcl.Diagnostics
	for i := range s.Def.Attrs {
		def := &s.Def.Attrs[i]
		if def.Computed || def.Type == table.Static || def.Type == table.TypeExpr || metaName(def.Name) {
			continue
		}
		diags = append(diags, r.argument(n, def, ctx)...)
	}
	for _, child := range s.Blocks {
		if child.Def.Kind == "precondition" || child.Def.Kind == "postcondition" || child.Def.Kind == "validation" {
			continue // evaluated when all else is known
		}
		node, more := r.Node(child, ctx)
		diags = append(diags, more...)
		n.Failed = n.Failed || node.Failed
		if len(node.Labels) < len(child.Def.Labels) {
			continue
		}
		n.Nodes = append(n.Nodes, node)
	}
	diags = append(diags, checkCounts(n)...)
	unlabelled := len(s.Labels) < len(s.Def.Labels) && !s.Def.LabelOptional // told when the shape was read
	n.Failed = n.Failed || unlabelled || diags.HasErrors()
	return n, diags
}

func (r *Reader) argument(n *Node, def *table.Attr, ctx *hcl.EvalContext) hcl.Diagnostics {
	attr := n.Attrs[def.Name]
	if attr == nil {
		if def.Required {
			return hcl.Diagnostics{missing(n, def)}
		}
		return nil
	}
	v, diags := Evaluate(attr.Expr, ctx)
	block := def.Type == table.Ref || def.Type == table.Endpoint
	if !diags.HasErrors() && (v.partial && !block || v.missing) {
		r.Wait(attr.Expr, ctx)
	}
	if diags.HasErrors() || v.partial && !block || v.missing {
		n.fail(def)
		return diags
	}
	if v.IsNull() {
		if def.Required {
			d, at := missing(n, def), v.Place()
			d.Subject, d.Detail = &at, "Its value is null here. "+d.Detail
			d.Expression, d.EvalContext = attr.Expr, ctx
			return append(diags, d)
		}
		return diags
	}
	if def.Type == table.Ref && !def.Contents || def.Type == table.Endpoint {
		// A block that is pointed to may hold secrets of its own. Which one it is, is none.
		v.Sensitive = v.Sensitive && !pointsTo(attr.Expr, ctx)
	}
	v.Sensitive = v.Sensitive || def.Sensitive
	checked, more := r.convert(def, v)
	for _, d := range more {
		d.Expression, d.EvalContext = attr.Expr, ctx
		diag.In(d, attr.Range)
		if v.Sensitive {
			d.Summary, d.Detail = fmt.Sprintf("The value of %q is not accepted", def.Name), "It is sensitive, so it is not shown. "+def.Doc
		}
	}
	diags = append(diags, more...)
	if more.HasErrors() {
		n.fail(def)
		return diags
	}
	v.Value = checked
	n.values = append(n.values, argument{def.Name, v})
	return diags
}

// Evaluate finds an expression's value. Its marks are taken off and told in Sensitive.
func Evaluate(expr hcl.Expression, ctx *hcl.EvalContext) (Value, hcl.Diagnostics) {
	v, diags := expr.Value(ctx)
	clarify(diags)
	marked, known, whole := state(v)
	out := Value{Value: v, Expr: expr, partial: !known, missing: !whole}
	if marked {
		var marks cty.ValueMarks
		out.Value, marks = v.UnmarkDeep()
		if _, out.Sensitive = marks[function.Sensitive]; out.Sensitive {
			texts := function.Secrets(v, false)
			out.secrets = &texts
		}
	}
	return out, diag.Coded(diag.Evaluation, diags)
}

// fail notes an argument in error, for which no default stands in.
func (n *Node) fail(def *table.Attr) {
	n.Failed = true
	n.values = append(n.values, argument{name: def.Name})
}

// defaultsOf are the defaults of a block's arguments.
func (r *Reader) defaultsOf(b *table.Block) []argument {
	list, ok := r.defaults[b]
	if ok {
		return list
	}
	for i := range b.Attrs {
		if def := &b.Attrs[i]; def.Default != "" {
			list = append(list, argument{def.Name, r.defaultOf(def)})
		}
	}
	r.defaults[b] = list
	return list
}

func (r *Reader) defaultOf(def *table.Attr) (v Value) {
	expr, diags := hclsyntax.ParseExpression([]byte(def.Default), "table", hcl.InitialPos)
	if diags.HasErrors() {
		panic("decode: the table's default of " + def.Name + " is no HCL: " + diags.Error())
	}
	v.Value, diags = expr.Value(nil)
	if !diags.HasErrors() {
		v.Value, diags = r.convert(def, v)
	}
	if diags.HasErrors() {
		panic("decode: the table's default of " + def.Name + ": " + diags.Error())
	}
	return v
}

// derived is how many arguments of a block labctl may derive.
func derived(b *table.Block) (n int) {
	for i := range b.Attrs {
		if a := &b.Attrs[i]; a.Computed || a.Derived != "" || a.Name == "name" {
			n++
		}
	}
	return n
}

func missing(n *Node, def *table.Attr) *hcl.Diagnostic {
	return diag.New(diag.MissingArgument, n.DefRange,
		fmt.Sprintf("%s lacks the argument %q", capital(describe(n.Def)), def.Name), def.Doc)
}

func capital(text string) string { return string(text[0]-'a'+'A') + text[1:] }

// checkCounts tells of nested blocks that stand too often or are missing, and of two with the same labels.
func checkCounts(n *Node) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for i := range n.Def.Blocks {
		def := &n.Def.Blocks[i]
		var first *Node
		seen := map[string]*Node{}
		n.Each(def.Kind, func(child *Node) {
			if first != nil && def.Count != table.Many && def.Count != "" {
				diags = append(diags, diag.New(diag.WrongCount, child.DefRange,
					fmt.Sprintf("There is a second %s block", def.Kind),
					fmt.Sprintf("%s holds at most one; the first is at %s:%d.", capital(describe(n.Def)), first.DefRange.Filename, first.DefRange.Start.Line)))
			}
			if first == nil {
				first = child
			}
			key := labelKey(child)
			if twin := seen[key]; twin != nil && key != "" {
				diags = append(diags, diag.New(diag.Duplicate, child.DefRange,
					fmt.Sprintf("The %s %q is declared twice", def.Kind, child.Label()),
					fmt.Sprintf("The first is at %s:%d. Give one of them another label, or make one block of both.", twin.DefRange.Filename, twin.DefRange.Start.Line)))
			}
			seen[key] = child
		})
		if first == nil && def.Count == table.Exactly1 {
			diags = append(diags, diag.New(diag.WrongCount, n.DefRange,
				fmt.Sprintf("%s lacks its %s block", capital(describe(n.Def)), def.Kind), def.Doc))
		}
	}
	return diags
}

// labelKey tells nested blocks of a kind apart. Routes may differ by table alone.
func labelKey(n *Node) string {
	key := ""
	for _, label := range n.Labels {
		key += label.Text + "\x00"
	}
	if n.Def.Kind == "route" {
		for _, name := range []string{"table", "metric"} {
			if v, ok := n.Value(name); ok {
				key += v.AsBigFloat().String()
			}
			key += "\x00"
		}
	}
	return key
}
