package config

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/decode"
	"github.com/labctl/labctl/schema/diag"
	"github.com/labctl/labctl/schema/source"
)

// trigger reads one element of replace_triggered_by: a block, or an argument of one.
func (e *evaluator) trigger(d *source.Decl, expr hcl.Expression, module string, out *schema.Lifecycle) hcl.Diagnostics {
	t, diags := hcl.AbsTraversalForExpr(expr)
	if diags.HasErrors() {
		_, diags = address(expr, module) // for its message
		return diags
	}
	head, rest := headOf(t)
	target, diags := addressOf(head, module)
	if diags.HasErrors() {
		return diags
	}
	decl := d.Mod.Decls[source.Name{Kind: target.Kind, Label: target.Name}]
	if target.Module == module && decl == nil {
		return hcl.Diagnostics{diag.New(diag.UnknownRef, expr.Range(), fmt.Sprintf("There is no %s %q", target.Kind, target.Name), "replace_triggered_by names blocks of this folder.")}
	}
	if len(rest) == 0 {
		out.ReplaceOn = append(out.ReplaceOn, target)
		return nil
	}
	attrs, blocks := decl.Shape.Def.Names()
	names := append(attrs, blocks...)
	first, ok := rest[0].(hcl.TraverseAttr)
	if !ok || !slices.Contains(names, first.Name) {
		return hcl.Diagnostics{diag.New(diag.UnknownArgument, rest.SourceRange(), fmt.Sprintf("The %s block has no argument %q", target.Kind, first.Name), source.Nearest(first.Name, names, ""))}
	}
	out.ReplaceOnArgument = append(out.ReplaceOnArgument, schema.Argument{Addr: target, Path: pathOf(rest)})
	return nil
}

// headOf splits a reference into the address of a block and what follows: vm.a["x"] and memory.
func headOf(t hcl.Traversal) (head, rest hcl.Traversal) {
	if t.RootName() == "module" {
		return t, nil
	}
	n := min(2, len(t))
	if len(t) > n {
		if _, ok := t[n].(hcl.TraverseIndex); ok {
			n++
		}
	}
	return t[:n], t[n:]
}

// keyedAddress reads an address whose instance key may be an expression, as in vm.a[each.key].
func keyedAddress(expr hcl.Expression, module string, ctx *hcl.EvalContext) (schema.Addr, hcl.Diagnostics) {
	index, ok := expr.(*hclsyntax.IndexExpr)
	if !ok {
		return address(expr, module)
	}
	t, diags := hcl.AbsTraversalForExpr(index.Collection)
	if diags.HasErrors() {
		return address(expr, module)
	}
	key, diags := decode.Evaluate(index.Key, ctx)
	switch {
	case diags.HasErrors():
		return schema.Addr{}, diags
	case !key.IsKnown() || key.IsNull() || key.Sensitive || key.Type() != cty.String && key.Type() != cty.Number:
		return schema.Addr{}, hcl.Diagnostics{diag.New(diag.BadAddress, index.Key.Range(), "This is not an instance's key", "It is text or a number that is known and no secret.")}
	}
	return addressOf(append(slices.Clone(t), hcl.TraverseIndex{Key: key.Value, SrcRange: index.Key.Range()}), module)
}
