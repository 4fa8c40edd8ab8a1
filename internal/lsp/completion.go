package lsp

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"go.lsp.dev/protocol"

	"github.com/labctl/labctl/schema/table"
)

// completion offers what may be written at the cursor: blocks and arguments on a new line; values, references and
// functions in an expression; and what a reference has behind a dot.
func (s *Server) completion(p *protocol.CompletionParams) (any, error) {
	path, err := pathOf(p.TextDocument.URI)
	if err != nil {
		return nil, err
	}
	v := s.look(path)
	c := where(v.text[:offset(v.text, p.Position)])
	items := s.offers(v, c)
	for i := range items { // editors sort by name; this keeps the order of what fits best
		items[i].SortText = fmt.Sprintf("%04d", i)
	}
	return &protocol.CompletionList{Items: items}, nil
}

func (s *Server) offers(v *view, c *cursor) []protocol.CompletionItem {
	def := c.definition(s.root)
	var attr *table.Attr
	if def != nil && c.value() {
		attr = def.Attr(c.line[0])
	}
	switch {
	case c.comment:
	case c.quoted && c.value() && attr != nil && attr.Type == table.OS:
		return s.operatingSystems()
	case c.quoted && c.value():
		return enum(attr, false)
	case c.quoted && len(c.line) > 0 && def != nil:
		return labels(def.Block(c.line[0]), len(c.line)-1)
	case c.quoted:
	case c.parent != "" && (c.value() || c.nested):
		return v.members(c)
	case c.value() || c.nested:
		return append(v.values(attr, c), v.names(c)...)
	case len(c.line) <= 1 && def != nil:
		return s.inBlock(def, c)
	}
	return nil
}

// operatingSystems offers the short names of libosinfo's database.
func (s *Server) operatingSystems() []protocol.CompletionItem {
	if s.systems == nil {
		return nil
	}
	names, err := s.systems.Names()
	if err != nil {
		return nil // the diagnostics say so
	}
	return enumerate(names, false)
}

// inBlock offers the arguments and nested blocks of def, without arguments that it has already.
func (s *Server) inBlock(def *table.Block, c *cursor) []protocol.CompletionItem {
	var items []protocol.CompletionItem
	for i := range def.Attrs {
		a := &def.Attrs[i]
		if a.Computed || c.blocks[len(c.blocks)-1].set[a.Name] {
			continue
		}
		item := protocol.CompletionItem{
			Label: a.Name, Kind: protocol.CompletionItemKindProperty, Detail: typeOf(a), InsertText: a.Name + " = ",
			Documentation: protocol.MarkupContent{Kind: protocol.Markdown, Value: describeAttr(a)},
		}
		if a.Required {
			item.Detail += ", required"
		}
		items = append(items, item)
	}
	for i := range def.Blocks {
		b := &def.Blocks[i]
		header := b.Kind
		if !b.LabelOptional {
			header += strings.Repeat(` ""`, len(b.Labels))
		}
		item := protocol.CompletionItem{
			Label: b.Kind, Kind: protocol.CompletionItemKindStruct, Detail: "block", InsertText: header + " {\n}",
			Documentation: protocol.MarkupContent{Kind: protocol.Markdown, Value: b.Doc},
		}
		if s.snippets {
			item.InsertText, item.InsertTextFormat = snippet(b), protocol.InsertTextFormatSnippet
		}
		items = append(items, item)
	}
	return items
}

// snippet is a block to fill in, with its labels and its required arguments.
func snippet(b *table.Block) string {
	text, stop := b.Kind, 1
	if !b.LabelOptional {
		for _, label := range b.Labels {
			text += fmt.Sprintf(` "${%d:%s}"`, stop, label.Name)
			stop++
		}
	}
	text += " {\n"
	for i := range b.Attrs {
		if b.Attrs[i].Required && !b.Attrs[i].Computed {
			text += fmt.Sprintf("  %s = $%d\n", b.Attrs[i].Name, stop)
			stop++
		}
	}
	return text + "  $0\n}"
}

// enum offers the values that an argument may have, where they are few.
func enum(a *table.Attr, quote bool) []protocol.CompletionItem {
	if a == nil {
		return nil
	}
	return enumerate(a.Enum, quote)
}

func enumerate(values []string, quote bool) []protocol.CompletionItem {
	var items []protocol.CompletionItem
	for _, value := range values {
		item := protocol.CompletionItem{Label: value, Kind: protocol.CompletionItemKindEnumMember, InsertText: value}
		if quote {
			item.Label, item.InsertText = `"`+value+`"`, `"`+value+`"`
		}
		items = append(items, item)
	}
	return items
}

func labels(b *table.Block, n int) []protocol.CompletionItem {
	if b == nil || n >= len(b.Labels) {
		return nil
	}
	return enumerate(b.Labels[n].Enum, false)
}

// values offers what fits an argument: its few values, true and false, or the blocks that it refers to.
func (v *view) values(a *table.Attr, c *cursor) []protocol.CompletionItem {
	if a == nil {
		return nil
	}
	items := enum(a, true)
	kind := ""
	switch a.Type {
	case table.Bool:
		if !c.nested {
			items = append(items, protocol.CompletionItem{Label: "true", Kind: protocol.CompletionItemKindValue},
				protocol.CompletionItem{Label: "false", Kind: protocol.CompletionItemKindValue})
		}
	case table.Ref:
		kind = a.Ref
	case table.Endpoint:
		kind = "vm"
	}
	if kind == "" {
		return items
	}
	for _, m := range v.modules {
		for _, d := range m.Ordered {
			if text := kind + "." + d.Name.Label; d.Name.Kind == kind && d.Name.Label != "" && !offered(items, text) {
				items = append(items, protocol.CompletionItem{Label: text, Kind: protocol.CompletionItemKindReference, Documentation: describeDecl(d)})
			}
		}
	}
	return items
}

func offered(items []protocol.CompletionItem, label string) bool {
	return slices.ContainsFunc(items, func(i protocol.CompletionItem) bool { return i.Label == label })
}

// names offers what a reference may begin with, and functions.
func (v *view) names(c *cursor) []protocol.CompletionItem {
	ctx := v.inBlock(c.top())
	if ctx == nil {
		return nil
	}
	var items []protocol.CompletionItem
	roots := map[string]bool{}
	for at := ctx; at != nil; at = at.Parent() {
		for name := range at.Variables {
			roots[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(roots)) {
		items = append(items, protocol.CompletionItem{Label: name, Kind: protocol.CompletionItemKindVariable})
	}
	for _, name := range slices.Sorted(maps.Keys(v.context.Functions)) {
		f := v.context.Functions[name]
		items = append(items, protocol.CompletionItem{
			Label: name, Kind: protocol.CompletionItemKindFunction, Detail: signature(name, f), InsertText: name + "(", Documentation: f.Description(),
		})
	}
	return items
}

// top is the kind and label of the outermost block around the cursor.
func (c *cursor) top() (kind, label string) {
	if len(c.blocks) < 2 {
		return "", ""
	}
	words := c.blocks[1].words
	if len(words) > 1 {
		label = words[1]
	}
	return words[0], label
}

// members offers what the reference before the dot has.
func (v *view) members(c *cursor) []protocol.CompletionItem {
	ctx := v.inBlock(c.top())
	expression, diags := hclsyntax.ParseExpression([]byte(c.parent), "", hcl.InitialPos)
	if diags.HasErrors() || ctx == nil {
		return nil
	}
	value, diags := expression.Value(ctx)
	if diags.HasErrors() {
		return nil
	}
	value, marks := value.Unmark()
	var items []protocol.CompletionItem
	if !value.IsKnown() || value.IsNull() || !value.Type().IsObjectType() && !value.Type().IsMapType() {
		return nil
	}
	for name, element := range value.AsValueMap() {
		if !hclsyntax.ValidIdentifier(name) {
			continue
		}
		item := protocol.CompletionItem{Label: name, Kind: protocol.CompletionItemKindField, Detail: brief(element.WithMarks(marks))}
		if d := v.declaration(c.parent, name); d != nil {
			item.Documentation = describeDecl(d)
		}
		items = append(items, item)
	}
	slices.SortFunc(items, func(a, b protocol.CompletionItem) int { return strings.Compare(a.Label, b.Label) })
	return items
}

// brief is a value on one line.
func brief(value cty.Value) string {
	text := show(value)
	if first, _, more := strings.Cut(text, "\n"); more {
		return first + "…"
	}
	return text
}

// inBlock is what expressions in a block see: with for_each, each is its first element.
func (v *view) inBlock(kind, label string) *hcl.EvalContext {
	d := v.declaration(kind, label)
	if v.context == nil || d == nil || d.Shape == nil {
		return v.context
	}
	variables := map[string]cty.Value{}
	if attr := d.Shape.Attrs["for_each"]; attr != nil {
		variables["each"] = cty.ObjectVal(map[string]cty.Value{"key": cty.DynamicVal, "value": cty.DynamicVal})
		if all, diags := attr.Expr.Value(v.context); !diags.HasErrors() && !all.IsMarked() && all.CanIterateElements() && all.LengthInt() > 0 {
			it := all.ElementIterator()
			it.Next()
			key, value := it.Element()
			if all.Type().IsSetType() {
				key = value
			}
			variables["each"] = cty.ObjectVal(map[string]cty.Value{"key": key, "value": value})
		}
	}
	if d.Shape.Attrs["count"] != nil {
		variables["count"] = cty.ObjectVal(map[string]cty.Value{"index": cty.Zero})
	}
	if len(variables) == 0 {
		return v.context
	}
	ctx := v.context.NewChild()
	ctx.Variables = variables
	return ctx
}
