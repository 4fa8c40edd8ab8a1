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

// trigger is an instance that replace_triggered_by names, and where.
type trigger struct {
	addr schema.Addr
	at   hcl.Range
}

// missingTriggers tells of instances that are not there, once all are known.
func (e *evaluator) missingTriggers() {
	for _, t := range e.triggers {
		if !e.assembler.Has(t.addr) && t.addr.Key != "" && t.addr.Kind != "" {
			e.diags = append(e.diags, diag.New(diag.UnknownRef, t.at, fmt.Sprintf("%s is not declared", t.addr), "Its block has no instance of that key."))
		}
	}
}

// trigger reads one element of replace_triggered_by: a block, or an argument of one.
func (e *evaluator) trigger(d *source.Decl, expr hcl.Expression, module string, ctx *hcl.EvalContext, out *schema.Lifecycle) hcl.Diagnostics {
	t, diags := traversalOf(expr, ctx)
	if diags.HasErrors() {
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
	if decl != nil && !decl.Shape.Def.Meta {
		return hcl.Diagnostics{diag.New(diag.BadAddress, expr.Range(), "replace_triggered_by takes blocks that make something", "Write KIND.NAME, such as vm.nat, or an argument of one, such as bridge.br0.mac.")}
	}
	e.triggers = append(e.triggers, trigger{target, expr.Range()})
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

// keyedAddress reads an address whose instance keys may be expressions, as in module.site[each.key].vm.a[each.value].
func keyedAddress(expr hcl.Expression, module string, ctx *hcl.EvalContext) (schema.Addr, hcl.Diagnostics) {
	t, diags := traversalOf(expr, ctx)
	if diags.HasErrors() {
		return schema.Addr{}, diags
	}
	return addressOf(t, module)
}

// traversalOf is a reference with the keys in it evaluated.
func traversalOf(expr hcl.Expression, ctx *hcl.EvalContext) (hcl.Traversal, hcl.Diagnostics) {
	if t, diags := hcl.AbsTraversalForExpr(expr); !diags.HasErrors() {
		return t, nil
	}
	switch expr := expr.(type) {
	case *hclsyntax.RelativeTraversalExpr:
		t, diags := traversalOf(expr.Source, ctx)
		return append(slices.Clone(t), expr.Traversal...), diags
	case *hclsyntax.IndexExpr:
		t, diags := traversalOf(expr.Collection, ctx)
		if diags.HasErrors() {
			return nil, diags
		}
		key, diags := decode.Evaluate(expr.Key, ctx)
		if diags.HasErrors() && !known(expr.Key, ctx) {
			return nil, hcl.Diagnostics{diag.New(diag.BadAddress, expr.Key.Range(), "This cannot be an instance's key here", "Write it out, or as each.key, each.value or count.index of the block.")}
		}
		switch {
		case diags.HasErrors():
			return nil, diags
		case !key.IsKnown() || key.IsNull() || key.Sensitive || key.Type() != cty.String && key.Type() != cty.Number:
			return nil, hcl.Diagnostics{diag.New(diag.BadAddress, expr.Key.Range(), "This is not an instance's key", "It is text or a number that is known and no secret.")}
		}
		return append(slices.Clone(t), hcl.TraverseIndex{Key: key.Value, SrcRange: expr.Key.Range()}), nil
	}
	return nil, hcl.Diagnostics{diag.New(diag.BadAddress, expr.Range(), "This is not an address", `Write a reference without quotes, such as vm.nat["a"].`)}
}

// known reports whether all that an expression refers to is in the context.
func known(expr hcl.Expression, ctx *hcl.EvalContext) bool {
	for _, t := range expr.Variables() {
		found := false
		for c := ctx; c != nil && !found; c = c.Parent() {
			_, found = c.Variables[t.RootName()]
		}
		if !found {
			return false
		}
	}
	return true
}
