// Package decode turns HCL bodies into checked values as package table says: it finds what does not belong, evaluates
// arguments, converts and checks them, and fills the structs of package schema with them.
package decode

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/dynblock"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/labctl/labctl/schema/diag"
	"github.com/labctl/labctl/schema/table"
)

// Shape is a block as it is written, nothing evaluated.
type Shape struct {
	Def      *table.Block
	Labels   []Label
	DefRange hcl.Range // the block's kind and labels
	Attrs    map[string]*hcl.Attribute
	Blocks   []*Shape
	Body     hcl.Body
	Dynamic  bool // there are dynamic blocks in it, at any depth: Blocks is not all
}

// Label is a label of a block and where it stands.
type Label struct {
	Text  string
	Range hcl.Range
}

// Label is the text of the first label, or "".
func (s *Shape) Label() string {
	if len(s.Labels) == 0 {
		return ""
	}
	return s.Labels[0].Text
}

// Reader reads shapes and nodes. It keeps what it has made of the table, and is for one goroutine.
type Reader struct {
	dir      string
	schemas  map[*table.Block]*hcl.BodySchema
	defaults map[*table.Block][]argument
	fields   fieldCache
	waiting  []waiting
}

// NewReader makes a Reader. Relative paths in arguments are taken from dir.
func NewReader(dir string) *Reader {
	return &Reader{
		dir: dir, schemas: make(map[*table.Block]*hcl.BodySchema),
		defaults: make(map[*table.Block][]argument), fields: make(fieldCache),
	}
}

// Schema is the table's block in HCL's words. Nothing is required: Reader tells what is missing itself.
func (r *Reader) Schema(def *table.Block) *hcl.BodySchema {
	if s := r.schemas[def]; s != nil {
		return s
	}
	s := new(hcl.BodySchema)
	attrs, _ := def.Names()
	for _, name := range attrs {
		s.Attributes = append(s.Attributes, hcl.AttributeSchema{Name: name})
	}
	for i := range def.Blocks {
		block := hcl.BlockHeaderSchema{Type: def.Blocks[i].Kind}
		for _, label := range def.Blocks[i].Labels {
			block.LabelNames = append(block.LabelNames, label.Name)
		}
		s.Blocks = append(s.Blocks, block)
	}
	r.schemas[def] = s
	return s
}

// Shape reads the body of a block of the kind def and tells what does not belong in it.
func (r *Reader) Shape(body hcl.Body, def *table.Block) (*Shape, hcl.Diagnostics) {
	s := &Shape{Def: def, Body: body, Attrs: make(map[string]*hcl.Attribute)}
	if native, ok := body.(*hclsyntax.Body); ok {
		return s, r.native(s, native)
	}
	return s, r.other(s, body)
}

// native reads HCL's own syntax.
func (r *Reader) native(s *Shape, body *hclsyntax.Body) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for name, attr := range body.Attributes {
		if s.Def.Attr(name) == nil && !s.Def.Free {
			diags = append(diags, unknownArgument(s.Def, name, attr.NameRange, attr.SrcRange))
			continue
		}
		s.Attrs[name] = attr.AsHCLAttribute()
	}
	for _, block := range body.Blocks {
		if block.Type == "dynamic" && len(s.Def.Blocks) > 0 {
			s.Dynamic = true
			diags = append(diags, r.dynamic(s.Def, block)...)
			continue
		}
		def := s.Def.Block(block.Type)
		if def == nil {
			diags = append(diags, unknownBlock(s.Def, block))
			continue
		}
		child, more := r.Shape(block.Body, def)
		child.DefRange = block.DefRange()
		for i, text := range block.Labels {
			child.Labels = append(child.Labels, Label{Text: text, Range: block.LabelRanges[i]})
		}
		more = append(more, checkLabels(child, block.OpenBraceRange)...)
		diags = append(diags, more...)
		s.Dynamic = s.Dynamic || child.Dynamic
		s.Blocks = append(s.Blocks, child)
	}
	return diags
}

// dynamic checks the content of a dynamic block, as if it stood there.
func (r *Reader) dynamic(parent *table.Block, block *hclsyntax.Block) hcl.Diagnostics {
	if len(block.Labels) != 1 {
		return hcl.Diagnostics{diag.New(diag.WrongLabels, block.DefRange(), "A dynamic block has one label",
			`It is the kind of block to make: dynamic "interface" { … }.`)}
	}
	def, diags := dynamicKind(parent, block.Labels[0], block.LabelRanges[0])
	if def == nil {
		return diags
	}
	for _, content := range block.Body.Blocks {
		if content.Type == "content" {
			_, more := r.Shape(content.Body, def)
			diags = append(diags, more...)
		}
	}
	return diags
}

// dynamicKind is the kind of block that a dynamic block makes.
func dynamicKind(parent *table.Block, kind string, at hcl.Range) (*table.Block, hcl.Diagnostics) {
	if def := parent.Block(kind); def != nil {
		return def, nil
	}
	_, kinds := parent.Names()
	return nil, hcl.Diagnostics{diag.New(diag.UnknownBlock, at, fmt.Sprintf("There is no %q block in %s", kind, describe(parent)), suggest(kind, kinds))}
}

// dynamicOther checks the content of a dynamic block in HCL's JSON syntax.
func (r *Reader) dynamicOther(parent *table.Block, block *hcl.Block) hcl.Diagnostics {
	def, diags := dynamicKind(parent, block.Labels[0], block.LabelRanges[0])
	if def == nil {
		return diags
	}
	// What else is wrong with it is told when it is carried out.
	body, _, _ := block.Body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "content"}}})
	for _, content := range body.Blocks {
		_, more := r.Shape(content.Body, def)
		diags = append(diags, more...)
	}
	return diags
}

// other reads bodies of HCL's JSON syntax, and those in which dynamic blocks are carried out.
func (r *Reader) other(s *Shape, body hcl.Body) hcl.Diagnostics {
	schema := *r.Schema(s.Def)
	schema.Blocks = append(slices.Clone(schema.Blocks), hcl.BlockHeaderSchema{Type: "dynamic", LabelNames: []string{"type"}})
	for i := range s.Def.Blocks {
		if def := &s.Def.Blocks[i]; def.LabelOptional && unlabelled(body, def) {
			schema.Blocks[i].LabelNames = nil
		}
	}
	content, rest, diags := body.PartialContent(&schema)
	diag.Coded(diag.WrongLabels, diags)
	if content == nil {
		return diags
	}
	s.Attrs = content.Attributes
	if s.Attrs == nil {
		s.Attrs = make(map[string]*hcl.Attribute)
	}
	if _, expanded := body.(interface{ UnknownBody() bool }); !expanded && rest != nil {
		extra, more := rest.JustAttributes()
		for name, attr := range extra {
			if s.Def.Free {
				s.Attrs[name] = attr
			} else if name != "//" {
				diags = append(diags, unknownArgument(s.Def, name, attr.NameRange, attr.Range))
			}
		}
		if s.Def.Kind == "locals" || s.Def.Kind == "module" {
			diags = append(diags, more...)
		}
	}
	for _, block := range content.Blocks {
		if block.Type == "dynamic" {
			s.Dynamic = true
			diags = append(diags, r.dynamicOther(s.Def, block)...)
			continue
		}
		child, more := r.Shape(block.Body, s.Def.Block(block.Type))
		child.DefRange = block.DefRange
		for i, text := range block.Labels {
			child.Labels = append(child.Labels, Label{Text: text, Range: block.LabelRanges[i]})
		}
		diags = append(diags, more...)
		diags = append(diags, checkLabels(child, block.DefRange)...)
		s.Dynamic = s.Dynamic || child.Dynamic
		s.Blocks = append(s.Blocks, child)
	}
	return diags
}

// unlabelled reports whether a block that may go without its label does so in JSON: its object has arguments, and not
// further objects by label.
func unlabelled(body hcl.Body, def *table.Block) bool {
	content, _, _ := body.PartialContent(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: def.Kind}}})
	attr := content.Attributes[def.Kind]
	if attr == nil {
		return false
	}
	expr := attr.Expr
	if list, diags := hcl.ExprList(expr); !diags.HasErrors() && len(list) > 0 {
		expr = list[0]
	}
	pairs, diags := hcl.ExprMap(expr)
	for _, pair := range pairs {
		key, keyDiags := pair.Key.Value(nil)
		if keyDiags.HasErrors() || key.Type() != cty.String || def.Attr(key.AsString()) != nil {
			return true
		}
	}
	return !diags.HasErrors() && len(pairs) == 0
}

// Expand is s with its dynamic blocks carried out.
func (r *Reader) Expand(s *Shape, ctx *hcl.EvalContext) (*Shape, hcl.Diagnostics) {
	if !s.Dynamic {
		return s, nil
	}
	return r.expanded(s, dynblock.Expand(s.Body, ctx))
}

func (r *Reader) expanded(like *Shape, body hcl.Body) (*Shape, hcl.Diagnostics) {
	// What does not belong was told when the shape was read, so the rest is let go.
	content, _, diags := body.PartialContent(r.Schema(like.Def))
	s := &Shape{Def: like.Def, Labels: like.Labels, DefRange: like.DefRange, Body: body, Attrs: content.Attributes}
	for _, block := range content.Blocks {
		child := &Shape{Def: like.Def.Block(block.Type), DefRange: block.DefRange}
		for i, text := range block.Labels {
			label := Label{Text: text, Range: block.DefRange}
			if i < len(block.LabelRanges) {
				label.Range = block.LabelRanges[i]
			}
			child.Labels = append(child.Labels, label)
		}
		child, more := r.expanded(child, block.Body)
		diags = append(diags, more...)
		s.Blocks = append(s.Blocks, child)
	}
	return s, diag.Coded(diag.Evaluation, diags)
}

func checkLabels(s *Shape, brace hcl.Range) hcl.Diagnostics {
	want, have := s.Def.Labels, s.Labels
	var diags hcl.Diagnostics
	switch {
	case len(have) > len(want):
		detail := "Take it away."
		if len(want) > 0 {
			detail = fmt.Sprintf("A block of this kind has %s: %s.", countLabels(len(want)), header(s.Def))
		}
		diags = append(diags, diag.In(diag.New(diag.WrongLabels, have[len(want)].Range,
			fmt.Sprintf("A %s block takes no label here", s.Def.Kind), detail), s.DefRange))
	case len(have) < len(want) && !(s.Def.LabelOptional && len(have) == 0):
		diags = append(diags, diag.In(diag.New(diag.WrongLabels, brace,
			fmt.Sprintf("The %s block lacks its %s", s.Def.Kind, want[len(have)].Name),
			fmt.Sprintf("Write %s. %s", header(s.Def), want[len(have)].Doc)), s.DefRange))
	}
	for i := range min(len(want), len(have)) {
		if enum := want[i].Enum; len(enum) > 0 && !slices.Contains(enum, have[i].Text) {
			diags = append(diags, diag.In(diag.New(diag.WrongLabels, have[i].Range,
				fmt.Sprintf("%q is no %s of a %s", have[i].Text, want[i].Name, s.Def.Kind),
				oneOf(have[i].Text, enum)), s.DefRange))
		}
	}
	return diags
}

func countLabels(n int) string {
	if n == 1 {
		return "one label"
	}
	return fmt.Sprintf("%d labels", n)
}

func header(def *table.Block) string {
	var b strings.Builder
	b.WriteString(def.Kind)
	for _, label := range def.Labels {
		fmt.Fprintf(&b, " %q", strings.ToUpper(label.Name))
	}
	b.WriteString(" { … }")
	return b.String()
}

// Dir is the folder from which relative paths are taken.
func (r *Reader) Dir() string { return r.dir }
