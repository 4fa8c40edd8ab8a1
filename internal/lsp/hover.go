package lsp

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"go.lsp.dev/protocol"

	"github.com/labctl/labctl/schema/source"
	"github.com/labctl/labctl/schema/table"
)

// longest is how many lines of a value are shown.
const longest = 30

// hover tells what the word under the cursor means: an argument or a block in the words of the reference, a function's
// parameters, or a reference's value.
func (s *Server) hover(p *protocol.HoverParams) (any, error) {
	path, err := pathOf(p.TextDocument.URI)
	if err != nil {
		return nil, err
	}
	v := s.look(path)
	at := offset(v.text, p.Position)
	text, where := v.describe(locate(v.body, s.root, at), at)
	if text == "" {
		return nil, nil
	}
	shown := rangeOf(v.text, where)
	return &protocol.Hover{Contents: protocol.MarkupContent{Kind: protocol.Markdown, Value: text}, Range: &shown}, nil
}

func (v *view) describe(found *spot, at int) (string, hcl.Range) {
	switch {
	case found.ref != nil:
		ref := upTo(found.ref, at)
		return v.describeRef(ref, found.top), ref.SourceRange()
	case found.call != nil:
		return v.describeFunction(found.call.Name), found.call.NameRange
	case found.attr != nil && found.name && found.def != nil:
		if a := found.def.Attr(found.attr.Name); a != nil {
			return describeAttr(a), found.attr.NameRange
		}
		return v.describeInput(found), found.attr.NameRange
	case found.block != nil && found.kind && found.def != nil:
		return "**" + found.def.Kind + "**\n\n" + found.def.Doc, found.block.TypeRange
	case found.block != nil && found.label >= 0 && found.def != nil && found.label < len(found.def.Labels):
		label := found.def.Labels[found.label]
		return "**" + label.Name + "**\n\n" + label.Doc, found.block.LabelRanges[found.label]
	}
	return "", hcl.Range{}
}

// describeAttr is an argument's entry in the reference.
func describeAttr(a *table.Attr) string {
	var b strings.Builder
	fmt.Fprintf(&b, "**%s** · %s", a.Name, typeOf(a))
	switch {
	case a.Required:
		b.WriteString(" · required")
	case a.Default != "":
		fmt.Fprintf(&b, " · default `%s`", a.Default)
	case a.Derived != "":
		fmt.Fprintf(&b, " · default: %s", a.Derived)
	}
	fmt.Fprintf(&b, "\n\n%s", a.Doc)
	if len(a.Enum) > 0 {
		fmt.Fprintf(&b, "\n\nOne of `%s`.", strings.Join(a.Enum, "`, `"))
	}
	return b.String()
}

func typeOf(a *table.Attr) string {
	name := string(a.Type)
	if a.Type == table.Ref {
		name = a.Ref
	}
	if a.Unit != "" {
		name += " (" + a.Unit + ")"
	}
	if a.Coll != table.One {
		name = string(a.Coll) + " of " + name
	}
	return name
}

// describeInput is the variable behind an argument of a module block.
func (v *view) describeInput(found *spot) string {
	if d := v.input(found); d != nil {
		return describeDecl(d)
	}
	if found.block != nil && found.block.Type == "locals" {
		return v.describeRef(hcl.Traversal{hcl.TraverseRoot{Name: "local"}, hcl.TraverseAttr{Name: found.attr.Name}}, nil)
	}
	return ""
}

// input is the module's variable that an argument of a module block gives a value to.
func (v *view) input(found *spot) *source.Decl {
	if found.block == nil || found.block.Type != "module" || len(found.block.Labels) != 1 {
		return nil
	}
	call := v.declaration("module", found.block.Labels[0])
	if call == nil || call.Child == nil {
		return nil
	}
	return call.Child.Decls[source.Name{Kind: "var", Label: found.attr.Name}]
}

func (v *view) describeFunction(name string) string {
	if v.context == nil {
		return ""
	}
	f, ok := v.context.Functions[name]
	if !ok {
		return ""
	}
	return "```hcl\n" + signature(name, f) + "\n```\n\n" + f.Description()
}

func signature(name string, f function.Function) string {
	var params []string
	for _, p := range f.Params() {
		params = append(params, p.Name)
	}
	if p := f.VarParam(); p != nil {
		params = append(params, p.Name+"...")
	}
	return name + "(" + strings.Join(params, ", ") + ")"
}

// describeRef is a reference with the value that it has in the block top, and what its declaration says of it.
func (v *view) describeRef(ref hcl.Traversal, top *hclsyntax.Block) string {
	var b strings.Builder
	kind := ref.RootName()
	if value, ok := v.evaluate(ref, top); ok {
		fmt.Fprintf(&b, "```hcl\n%s = %s\n```\n", spell(ref), show(value))
	}
	label := ""
	if len(ref) > 1 {
		if step, ok := ref[1].(hcl.TraverseAttr); ok {
			label = step.Name
		}
	}
	if d := v.declaration(kind, label); d != nil && len(ref) == 2 {
		if text := describeDecl(d); text != "" {
			fmt.Fprintf(&b, "\n%s", text)
		}
	}
	return b.String()
}

// evaluate is the value of a reference as far as it is known.
func (v *view) evaluate(ref hcl.Traversal, top *hclsyntax.Block) (cty.Value, bool) {
	ctx := v.context
	if top != nil && len(top.Labels) > 0 {
		ctx = v.inBlock(top.Type, top.Labels[0])
	}
	if ctx == nil {
		return cty.NilVal, false
	}
	value, diags := ref.TraverseAbs(ctx)
	return value, !diags.HasErrors()
}

// describeDecl is the description that a variable or an output was given.
func describeDecl(d *source.Decl) string {
	if d.Shape == nil {
		return ""
	}
	attr := d.Shape.Attrs["description"]
	if attr == nil {
		return ""
	}
	value, diags := attr.Expr.Value(nil)
	if diags.HasErrors() || value.IsNull() || !value.IsKnown() || value.Type() != cty.String {
		return ""
	}
	return value.AsString()
}

// spell writes a reference as it stands in a lab.
func spell(ref hcl.Traversal) string {
	var b strings.Builder
	for _, step := range ref {
		switch step := step.(type) {
		case hcl.TraverseRoot:
			b.WriteString(step.Name)
		case hcl.TraverseAttr:
			b.WriteString("." + step.Name)
		case hcl.TraverseIndex:
			if !step.Key.IsWhollyKnown() { // it is being typed
				b.WriteString("[…]")
				continue
			}
			fmt.Fprintf(&b, "[%s]", hclwrite.TokensForValue(step.Key).Bytes())
		}
	}
	return b.String()
}

// show writes a value for people; never a sensitive one.
func show(value cty.Value) string {
	switch {
	case value.ContainsMarked():
		return "(sensitive value)"
	case !value.IsWhollyKnown():
		return "(not known)"
	}
	text := string(hclwrite.Format(hclwrite.TokensForValue(value).Bytes()))
	lines := strings.Split(text, "\n")
	if len(lines) > longest {
		lines = append(lines[:longest], "…")
	}
	return strings.Join(lines, "\n")
}
