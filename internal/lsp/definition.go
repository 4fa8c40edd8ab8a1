package lsp

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"go.lsp.dev/protocol"
	"go.lsp.dev/uri"

	"github.com/labctl/labctl/schema/source"
)

// definition is where the thing under the cursor is declared: a variable, a local value, a block, a nested block of it, a
// module's output or variable, or a module's folder.
func (s *Server) definition(p *protocol.DefinitionParams) (any, error) {
	path, err := pathOf(p.TextDocument.URI)
	if err != nil {
		return nil, err
	}
	v := s.look(path)
	at := offset(v.text, p.Position)
	found := locate(v.body, s.root, at)
	target, ok := v.target(found, at)
	if !ok || target.Filename == "" {
		return []protocol.Location{}, nil
	}
	return []protocol.Location{{URI: uri.File(target.Filename), Range: rangeOf(s.text(target.Filename), target)}}, nil
}

func (v *view) target(found *spot, at int) (hcl.Range, bool) {
	switch {
	case found.ref != nil:
		return v.declared(upTo(found.ref, at))
	case found.attr == nil || found.block == nil:
	case found.name:
		if d := v.input(found); d != nil {
			return d.At, true
		}
	case found.block.Type == "module" && found.attr.Name == "source" && len(found.block.Labels) == 1:
		if call := v.declaration("module", found.block.Labels[0]); call != nil && call.Child != nil && len(call.Child.Ordered) > 0 {
			first := call.Child.Ordered[0].At
			return hcl.Range{Filename: first.Filename, Start: hcl.InitialPos, End: hcl.InitialPos}, true
		}
	}
	return hcl.Range{}, false
}

// declared is the place of the declaration that a reference leads to.
func (v *view) declared(ref hcl.Traversal) (hcl.Range, bool) {
	steps := words(ref)
	if len(steps) < 2 {
		d := v.declaration(ref.RootName(), "") // the unlabelled host
		if d == nil {
			return hcl.Range{}, false
		}
		return d.At, true
	}
	d := v.declaration(steps[0], steps[1])
	switch {
	case d == nil:
		return hcl.Range{}, false
	case d.Name.Kind == "module" && d.Child != nil && len(steps) > 2:
		if output := d.Child.Decls[source.Name{Kind: "output", Label: steps[2]}]; output != nil {
			return output.At, true
		}
	case d.Shape != nil && len(steps) > 2:
		return inside(d, steps[2:]), true
	}
	return d.At, true
}

// inside is the argument or nested block that further steps lead to, or the declaration where there is none.
func inside(d *source.Decl, steps []string) hcl.Range {
	if attr := d.Shape.Attrs[steps[0]]; attr != nil {
		return attr.NameRange
	}
	for _, block := range d.Shape.Blocks {
		if block.Def.Kind == steps[0] && (len(steps) == 1 || block.Label() == steps[1]) {
			return block.DefRange
		}
	}
	return d.At
}

// words are the names in a reference, instance keys left out.
func words(ref hcl.Traversal) []string {
	var out []string
	for _, step := range ref {
		switch step := step.(type) {
		case hcl.TraverseRoot:
			out = append(out, step.Name)
		case hcl.TraverseAttr:
			out = append(out, step.Name)
		case hcl.TraverseIndex:
			if len(out) == 1 && step.Key.Type() == cty.String { // var["x"]
				out = append(out, step.Key.AsString())
			}
		}
	}
	return out
}
