package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/assemble"
	"github.com/labctl/labctl/schema/decode"
	"github.com/labctl/labctl/schema/diag"
	"github.com/labctl/labctl/schema/source"
)

// relative is a module's folder as seen from the lab's.
func relative(base, dir string) string {
	rel, err := filepath.Rel(base, dir)
	if err != nil {
		return dir
	}
	return filepath.ToSlash(rel)
}

// made is what became of a block in one scope: kept for references that come later, as those of `labctl eval`.
type made struct {
	list  []instance
	meta  string
	nodes []*decode.Node
}

// block decodes all instances of a block in one scope.
func (e *evaluator) block(d *source.Decl, s *scope) {
	base := e.context(d, s)
	list, meta, ok, diags := e.instances(d.Shape, base)
	e.diags = append(e.diags, diags...)
	if !ok {
		e.failed[d] = true
		return
	}
	m := &made{list: list, meta: meta}
	dependsOn := e.dependencies(d, s)
	for i, inst := range list {
		addr := schema.Addr{Module: s.path, Kind: d.Name.Kind, Name: d.Name.Label, Key: inst.key}
		node := e.instance(d, inst.context(base), assemble.Instance{
			Addr: addr, Order: assemble.Order{Block: d.Order, Module: s.number, Instance: i}, DependsOn: dependsOn,
		})
		m.nodes = append(m.nodes, node)
	}
	for i := range list {
		list[i].each = cty.NilVal // it was for the instance alone, and may be large
	}
	s.made(d, m)
}

func (s *scope) made(d *source.Decl, m *made) {
	if s.blocks == nil {
		s.blocks = make(map[*source.Decl]*made)
	}
	s.blocks[d] = m
}

// value is what a reference to the block gives. An instance in error is unknown, so that nothing more is said about it.
func (m *made) value() cty.Value {
	values := make([]cty.Value, len(m.nodes))
	var objects decode.Objects
	for i, node := range m.nodes {
		values[i] = cty.DynamicVal
		if !node.Failed {
			values[i] = objects.Of(node)
		}
	}
	return gather(m.list, m.meta, values)
}

func (e *evaluator) blockValue(d *source.Decl, s *scope) cty.Value {
	if m := s.blocks[d]; m != nil {
		return m.value()
	}
	return cty.DynamicVal
}

// instance decodes one instance of a block and hands it on.
func (e *evaluator) instance(d *source.Decl, ctx *hcl.EvalContext, in assemble.Instance) *decode.Node {
	shape, diags := e.reader.Expand(d.Shape, ctx)
	node, more := e.reader.Node(shape, ctx)
	diags = append(diags, more...)
	diags = append(diags, changesNothing(node)...)
	node.Failed = node.Failed || diags.HasErrors()
	in.Node = node
	var cycle *decode.Shape
	for _, child := range shape.Blocks {
		if child.Def.Kind == "lifecycle" {
			cycle = child
		}
	}
	if cycle != nil {
		in.Lifecycle, more = e.lifecycle(d, node, cycle, in.Addr, ctx)
		diags = append(diags, more...)
		diags = append(diags, e.conditions(cycle, "precondition", ctx)...)
	}
	diags = append(diags, e.assembler.Block(in)...)
	if cycle != nil && !node.Failed {
		self := ctx.NewChild()
		self.Variables = map[string]cty.Value{"self": decode.Object(node)}
		diags = append(diags, e.conditions(cycle, "postcondition", self)...)
	}
	e.diags = append(e.diags, diag.At(in.Addr.String(), diags)...)
	node.Secrets(e.secrets)
	return node
}

// changesNothing refuses, of a block that makes nothing by itself, what is said of how it is made and changed.
func changesNothing(node *decode.Node) hcl.Diagnostics {
	var diags hcl.Diagnostics
	refuse := func(shape *decode.Shape, names ...string) {
		for _, name := range names {
			if attr := shape.Attrs[name]; attr != nil {
				diags = append(diags, diag.In(diag.New(diag.Conflict, attr.NameRange, fmt.Sprintf("%s has no meaning here", name),
					"The block makes nothing by itself, so there is nothing to wait for, to keep or to replace. Write it in the blocks that refer to this one."), attr.Range))
			}
		}
	}
	if kind := node.Def.Kind; kind != "nftables" && !(kind == "network" && node.Flag("existing")) {
		return nil
	}
	refuse(node.Shape, "depends_on")
	for _, child := range node.Blocks {
		if child.Def.Kind == "lifecycle" {
			refuse(child, "prevent_destroy", "ignore_changes", "replace_triggered_by")
		}
	}
	return diags
}

// conditions evaluates the conditions of a kind in a block.
func (e *evaluator) conditions(parent *decode.Shape, kind string, ctx *hcl.EvalContext) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, s := range parent.Blocks {
		if s.Def.Kind != kind {
			continue
		}
		diags = append(diags, e.condition(s, ctx, diag.Condition, "The "+kind+" does not hold", hcl.Range{})...)
	}
	return diags
}

// condition evaluates one condition. Subject is where the complaint goes; the condition itself where it is empty.
func (e *evaluator) condition(s *decode.Shape, ctx *hcl.EvalContext, code, summary string, subject hcl.Range) hcl.Diagnostics {
	node, diags := e.reader.Node(s, ctx)
	if node.Failed || node.Flag("condition") {
		return diags
	}
	at := node.Argument("condition").Place()
	message := node.Text("error_message")
	if node.Argument("error_message").Sensitive {
		message = "The message holds a sensitive value, so it is not shown."
	}
	d := diag.New(code, at, summary, message)
	if !subject.Empty() {
		d.Subject = &subject
		d.Detail += fmt.Sprintf("\n\nThis is what the condition at %s:%d says.", at.Filename, at.Start.Line)
		return append(diags, d)
	}
	d.Expression, d.EvalContext = s.Attrs["condition"].Expr, ctx
	return append(diags, diag.In(d, s.DefRange))
}

// lifecycle reads how a resource may change.
func (e *evaluator) lifecycle(d *source.Decl, node *decode.Node, s *decode.Shape, addr schema.Addr, ctx *hcl.EvalContext) (schema.Lifecycle, hcl.Diagnostics) {
	var out schema.Lifecycle
	var diags hcl.Diagnostics
	if child := node.Child("lifecycle"); child != nil {
		out.PreventDestroy = child.Flag("prevent_destroy")
	}
	if attr := s.Attrs["ignore_changes"]; attr != nil {
		out.IgnoreChanges, diags = ignored(attr, node)
	}
	if attr := s.Attrs["replace_triggered_by"]; attr != nil {
		exprs, more := hcl.ExprList(attr.Expr)
		diags = append(diags, diag.Coded(diag.BadAddress, more)...)
		for _, expr := range exprs {
			diags = append(diags, e.trigger(d, expr, addr.Module, ctx, &out)...)
		}
	}
	return out, diags
}

// ignored reads ignore_changes: paths of arguments, or all.
func ignored(attr *hcl.Attribute, node *decode.Node) ([]string, hcl.Diagnostics) {
	if hcl.ExprAsKeyword(attr.Expr) == "all" {
		return []string{"all"}, nil
	}
	exprs, diags := hcl.ExprList(attr.Expr)
	diags = diag.Coded(diag.BadAddress, diags)
	attrs, blocks := node.Def.Names()
	names := append(attrs, blocks...)
	var out []string
	for _, expr := range exprs {
		t, more := hcl.RelTraversalForExpr(expr)
		if more.HasErrors() {
			diags = append(diags, diag.New(diag.BadAddress, expr.Range(), "This is not an argument's name", "Write it without quotes, such as memory or interface.eth0.mac."))
			continue
		}
		path := pathOf(t)
		first, _, _ := strings.Cut(strings.SplitN(path, "[", 2)[0], ".")
		if !slices.Contains(names, first) {
			diags = append(diags, diag.New(diag.UnknownArgument, expr.Range(), fmt.Sprintf("There is no argument %q in a %s block", first, node.Def.Kind), source.Nearest(first, names, "")))
			continue
		}
		out = append(out, path)
	}
	return out, diags
}

// pathOf writes a traversal as provider.Diff writes paths.
func pathOf(t hcl.Traversal) string {
	var b strings.Builder
	for i, step := range t {
		name, index := "", -1
		switch step := step.(type) {
		case hcl.TraverseRoot:
			name = step.Name
		case hcl.TraverseAttr:
			name = step.Name
		case hcl.TraverseIndex:
			if step.Key.Type() == cty.String {
				name = step.Key.AsString()
			} else if step.Key.Type() == cty.Number {
				n, _ := step.Key.AsBigFloat().Int64()
				index = int(n)
			}
		}
		switch {
		case index >= 0:
			fmt.Fprintf(&b, "[%d]", index)
		case i == 0:
			b.WriteString(name)
		default:
			b.WriteString(decode.Step(name))
		}
	}
	return b.String()
}

// addressOf makes an address of a reference, and puts the module that it stands in before it.
func addressOf(t hcl.Traversal, module string) (schema.Addr, hcl.Diagnostics) {
	var b strings.Builder
	if module != "" {
		b.WriteString(module + ".")
	}
	for i, step := range t {
		switch step := step.(type) {
		case hcl.TraverseRoot:
			b.WriteString(step.Name)
		case hcl.TraverseAttr:
			if i > 0 {
				b.WriteByte('.')
			}
			b.WriteString(step.Name)
		case hcl.TraverseIndex:
			switch {
			case step.Key.IsNull() || !step.Key.IsKnown() || step.Key.Type() != cty.String && step.Key.Type() != cty.Number:
				return schema.Addr{}, hcl.Diagnostics{diag.New(diag.BadAddress, step.SourceRange(), "This is not an instance's key", "It is text or a number.")}
			case step.Key.Type() == cty.String:
				b.WriteString("[" + strconv.Quote(step.Key.AsString()) + "]")
			default:
				b.WriteString("[" + step.Key.AsBigFloat().Text('f', -1) + "]")
			}
		}
	}
	addr, err := schema.ParseAddr(b.String())
	if err != nil {
		return addr, hcl.Diagnostics{diag.New(diag.BadAddress, t.SourceRange(), "This is not an address", err.Error())}
	}
	return addr, nil
}

// dependencies is what a block's depends_on names, and that of the modules around it.
func (e *evaluator) dependencies(d *source.Decl, s *scope) []schema.Addr {
	out := slices.Clone(s.dependsOn)
	for _, t := range d.DependsOn {
		addr, diags := addressOf(t, s.path)
		e.diags = append(e.diags, diags...)
		if !diags.HasErrors() {
			out = append(out, addr)
		}
	}
	return out
}
