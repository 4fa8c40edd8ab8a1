package lsp

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/labctl/labctl/schema/table"
)

// spot is what stands at a place of a file. Fields are nil where the place is not in such a thing.
type spot struct {
	top   *hclsyntax.Block // the outermost block
	block *hclsyntax.Block // the innermost
	def   *table.Block     // its definition, or the root's
	kind  bool             // the place is in the block's kind itself
	label int              // index of the label that the place is in, or -1
	attr  *hclsyntax.Attribute
	name  bool // the place is in the argument's name
	call  *hclsyntax.FunctionCallExpr
	ref   hcl.Traversal // the reference, as far as it is written out
}

// locate finds what stands at a byte of a file.
func locate(body hcl.Body, root *table.Block, at int) *spot {
	found := &spot{def: root, label: -1}
	native, ok := body.(*hclsyntax.Body)
	if !ok {
		return found
	}
	for {
		inner := blockAt(native, at)
		if inner == nil {
			break
		}
		found.enter(inner, at)
		native = inner.Body
		if found.kind || found.label >= 0 {
			return found
		}
	}
	for _, attr := range native.Attributes {
		if !contains(attr.SrcRange, at) {
			continue
		}
		found.attr, found.name = attr, contains(attr.NameRange, at)
		if !found.name {
			found.expression(attr.Expr, at)
		}
	}
	return found
}

func blockAt(body *hclsyntax.Body, at int) *hclsyntax.Block {
	for _, b := range body.Blocks {
		if b.TypeRange.Start.Byte <= at && at <= b.CloseBraceRange.End.Byte {
			return b
		}
	}
	return nil
}

// enter makes b the innermost block. A dynamic block stands for the kind that its label names, and content for its body.
func (s *spot) enter(b *hclsyntax.Block, at int) {
	if s.top == nil {
		s.top = b
	}
	s.block = b
	s.kind = contains(b.TypeRange, at)
	for i, r := range b.LabelRanges {
		if contains(r, at) {
			s.label = i
		}
	}
	switch {
	case s.def == nil:
	case b.Type == "dynamic" && len(b.Labels) == 1 && s.def.Block(b.Labels[0]) != nil:
		s.def = &table.Block{Kind: "dynamic", Doc: "Makes a nested block for each element of for_each.", Attrs: []table.Attr{
			{Name: "for_each", Type: table.Any, Required: true, Doc: "The elements: a list, a set or a map."},
			{Name: "iterator", Type: table.Static, Doc: "What an element is called in content; the default is the label."},
			{Name: "labels", Type: table.String, Coll: table.List, Doc: "The labels of each block."},
		}, Blocks: []table.Block{contentOf(s.def.Block(b.Labels[0]))}}
	default:
		s.def = s.def.Block(b.Type)
	}
}

// contentOf is a block as it stands in a dynamic block.
func contentOf(b *table.Block) table.Block {
	content := *b
	content.Kind, content.Labels = "content", nil
	return content
}

// expression finds the reference or the function call at a place in an expression.
func (s *spot) expression(expr hclsyntax.Expression, at int) {
	_ = hclsyntax.VisitAll(expr, func(n hclsyntax.Node) hcl.Diagnostics {
		if !contains(n.Range(), at) {
			return nil
		}
		switch n := n.(type) {
		case *hclsyntax.ScopeTraversalExpr:
			s.ref = n.Traversal
		case *hclsyntax.FunctionCallExpr:
			if contains(n.NameRange, at) {
				s.call = n
			}
		}
		return nil
	})
}

// upTo is the reference from its root to the step at a place: with the cursor on nat of vm.nat.ip, it is vm.nat.
func upTo(t hcl.Traversal, at int) hcl.Traversal {
	for i, step := range t {
		if at < step.SourceRange().End.Byte || i > 0 && at == step.SourceRange().End.Byte {
			return t[:max(i+1, min(2, len(t)))]
		}
	}
	return t
}
