package decode

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/labctl/labctl/schema/diag"
)

// waiting is an expression whose value is not known.
type waiting struct {
	expr hcl.Expression
	ctx  *hcl.EvalContext
}

// Wait notes an expression whose value is not known where it is needed. Mostly something that it needs is in error, and was
// told.
func (r *Reader) Wait(expr hcl.Expression, ctx *hcl.EvalContext) {
	r.waiting = append(r.waiting, waiting{expr, ctx})
}

// Waiting tells of the expressions noted, for where nothing is in error: then they wait for what is known only while a
// machine runs.
func (r *Reader) Waiting() hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, w := range r.waiting {
		what := "The value"
		for _, t := range w.expr.Variables() {
			if v, problems := t.TraverseAbs(w.ctx); !problems.HasErrors() && !v.IsKnown() {
				what = string(hclwrite.TokensForTraversal(t).Bytes())
				break
			}
		}
		diags = append(diags, diag.New(diag.KnownLater, w.expr.Range(), fmt.Sprintf("%s is known only after an apply", what),
			"Addresses that a DHCP server gives, and where screens and terminals are, are known when the machine runs. They are for outputs alone, which are read after the apply."))
	}
	r.waiting = nil
	return diags
}

// state looks once through a value: whether anything in it is marked, whether all of it is known, and whether all is known that
// is no part of a block: machines have attributes that are known later, and can be referred to before. References are to large
// objects, so that it goes through their attributes in no order and with no copies.
func state(v cty.Value) (marked, known, whole bool) {
	if v.IsMarked() {
		marked = true
		v, _ = v.Unmark()
	}
	if !v.IsKnown() || v.IsNull() || v.Type().IsPrimitiveType() {
		return marked, v.IsKnown(), v.IsKnown()
	}
	known, whole = true, true
	look := func(part cty.Value) {
		m, k, w := state(part)
		marked, known, whole = marked || m, known && k, whole && w
	}
	switch ty := v.Type(); {
	case ty.IsObjectType():
		for name := range ty.AttributeTypes() {
			look(v.GetAttr(name))
		}
		whole = whole || isBlock(v)
	case v.CanIterateElements():
		for it := v.ElementIterator(); it.Next(); {
			_, element := it.Element()
			look(element)
		}
	}
	return marked, known, whole
}

// isBlock reports whether an object is a block of the lab.
func isBlock(v cty.Value) bool {
	if !v.Type().HasAttribute("id") {
		return false
	}
	id, _ := v.GetAttr("id").Unmark()
	return id.Type() == cty.String && id.IsKnown() && !id.IsNull()
}
