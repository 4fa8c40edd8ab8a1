package config

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/decode"
	"github.com/labctl/labctl/schema/diag"
	"github.com/labctl/labctl/schema/source"
)

// scope is one instance of a module: where its expressions find their values.
type scope struct {
	mod    *source.Module
	parent *scope
	path   string // module.site["a"], as in addresses
	number int
	each   instance // of the call, for the inputs
	values map[*source.Decl]cty.Value
	calls  map[*source.Decl][]*scope // instances of the modules that it calls
	kinds  map[*source.Decl]string   // for_each, count or ""
	blocks map[*source.Decl]*made

	dependsOn []schema.Addr // of the calls that lead here
}

func (e *evaluator) newScope(m *source.Module, parent *scope, path string, each instance, number int) *scope {
	s := &scope{
		mod: m, parent: parent, path: path, each: each, number: number,
		values: make(map[*source.Decl]cty.Value, len(m.Ordered)), calls: make(map[*source.Decl][]*scope), kinds: make(map[*source.Decl]string),
	}
	e.scopes[m] = append(e.scopes[m], s)
	return s
}

// instance is one of those that for_each or count ask for.
type instance struct {
	key   string // as in addresses: `"a"`, 0, or "" without for_each and count
	name  string // attribute name under for_each
	each  cty.Value
	index cty.Value
	only  bool // neither for_each nor count
}

// context adds each or count to a scope's context.
func (i instance) context(base *hcl.EvalContext) *hcl.EvalContext {
	if i.only {
		return base
	}
	ctx := base.NewChild()
	ctx.Variables = make(map[string]cty.Value, 1)
	if i.each != cty.NilVal {
		ctx.Variables["each"] = i.each
	} else {
		ctx.Variables["count"] = i.index
	}
	return ctx
}

// maxInstances bounds count and for_each: beyond, a lab is surely a mistake.
const maxInstances = 100_000

// instances finds what for_each or count ask for, and notes where that is not known.
func (e *evaluator) instances(s *decode.Shape, ctx *hcl.EvalContext) (list []instance, meta string, ok bool, diags hcl.Diagnostics) {
	list, meta, ok, diags = instances(s, ctx)
	for _, name := range []string{"for_each", "count"} {
		if attr := s.Attrs[name]; attr != nil && !ok && !diags.HasErrors() {
			e.reader.Wait(attr.Expr, ctx)
		}
	}
	return list, meta, ok, diags
}

// instances finds what for_each or count ask for. Meta is "for_each", "count" or ""; ok is false where it is not known.
func instances(s *decode.Shape, ctx *hcl.EvalContext) (list []instance, meta string, ok bool, diags hcl.Diagnostics) {
	forEach, count := s.Attrs["for_each"], s.Attrs["count"]
	if s.Def.Attr("for_each") == nil || forEach == nil && count == nil {
		return []instance{{only: true}}, "", true, nil
	}
	if forEach != nil && count != nil {
		return nil, "", false, hcl.Diagnostics{diag.In(diag.New(diag.BadInstances, count.NameRange, "count and for_each exclude each other", "Keep one of them."), count.Range)}
	}
	if count != nil {
		list, ok, diags = counted(count, ctx)
		return list, "count", ok, diags
	}
	list, ok, diags = eachOf(forEach, ctx)
	return list, "for_each", ok, diags
}

func badInstances(v decode.Value, ctx *hcl.EvalContext, attr *hcl.Attribute, code, summary, detail string) hcl.Diagnostics {
	d := diag.In(diag.New(code, v.Place(), summary, detail), attr.Range)
	d.Expression, d.EvalContext = attr.Expr, ctx
	return hcl.Diagnostics{d}
}

func counted(attr *hcl.Attribute, ctx *hcl.EvalContext) ([]instance, bool, hcl.Diagnostics) {
	v, diags := decode.Evaluate(attr.Expr, ctx)
	if diags.HasErrors() || !v.IsKnown() {
		return nil, false, diags
	}
	if v.Sensitive {
		return nil, false, badInstances(v, ctx, attr, diag.SensitiveKey, "count may not be sensitive",
			"How many instances there are is shown. Use nonsensitive(…) where the number is no secret.")
	}
	number, err := convert.Convert(v.Value, cty.Number) // of text too, as -var gives it to a variable without a type
	if err != nil || number.IsNull() || !number.AsBigFloat().IsInt() || number.AsBigFloat().Sign() < 0 {
		return nil, false, badInstances(v, ctx, attr, diag.BadInstances, "count takes a whole number from 0", "")
	}
	n, _ := number.AsBigFloat().Int64()
	if n > maxInstances {
		return nil, false, badInstances(v, ctx, attr, diag.BadInstances, "count is too large", fmt.Sprintf("At most %d instances can be made.", maxInstances))
	}
	list := make([]instance, n)
	for i := range list {
		index := cty.NumberIntVal(int64(i))
		list[i] = instance{key: fmt.Sprint(i), index: cty.ObjectVal(map[string]cty.Value{"index": index})}
	}
	return list, true, diags
}

func eachOf(attr *hcl.Attribute, ctx *hcl.EvalContext) ([]instance, bool, hcl.Diagnostics) {
	raw, diags := attr.Expr.Value(ctx)
	if diags.HasErrors() {
		_, diags = decode.Evaluate(attr.Expr, ctx)
		return nil, false, diags
	}
	if raw.IsMarked() {
		return nil, false, badInstances(decode.Value{Expr: attr.Expr}, ctx, attr, diag.SensitiveKey, "for_each may not be sensitive",
			"Its keys are parts of addresses, which are shown. Use keys that are no secret, and look the secret up by them.")
	}
	if !raw.IsKnown() {
		return nil, false, nil
	}
	v := decode.Value{Value: raw, Expr: attr.Expr}
	ty := raw.Type()
	switch {
	case raw.IsNull():
		return nil, false, badInstances(v, ctx, attr, diag.BadInstances, "for_each is null", "Use {} for no instances.")
	case ty.IsTupleType() || ty.IsListType():
		return nil, false, badInstances(v, ctx, attr, diag.BadInstances, "for_each takes no list", "Make a set of it: for_each = toset(…). Its elements then are the keys.")
	case ty.IsSetType() && ty.ElementType() != cty.String && raw.LengthInt() > 0:
		return nil, false, badInstances(v, ctx, attr, diag.BadInstances, "for_each takes a set of text", "Its elements become keys, so they are text. Use a map for anything else.")
	case !ty.IsSetType() && !ty.IsObjectType() && !ty.IsMapType():
		return nil, false, badInstances(v, ctx, attr, diag.BadInstances, "for_each takes a map, an object or a set of text", "")
	case raw.LengthInt() > maxInstances:
		return nil, false, badInstances(v, ctx, attr, diag.BadInstances, "for_each is too large", fmt.Sprintf("At most %d instances can be made.", maxInstances))
	}
	var list []instance
	for it := raw.ElementIterator(); it.Next(); {
		key, value := it.Element()
		switch {
		case ty.IsSetType() && !value.IsKnown():
			return nil, false, nil
		case ty.IsSetType() && value.IsNull():
			return nil, false, badInstances(v, ctx, attr, diag.BadInstances, "for_each holds null", "Its elements become keys, so they are text. compact([…]) leaves null and empty text out.")
		case ty.IsSetType():
			key = value
		}
		list = append(list, instance{
			key: fmt.Sprintf("%q", key.AsString()), name: key.AsString(),
			each: cty.ObjectVal(map[string]cty.Value{"key": key, "value": value}),
		})
	}
	return list, true, diags
}

// gather makes what a reference to a block or module gives of the values of its instances.
func gather(list []instance, meta string, values []cty.Value) cty.Value {
	switch meta {
	case "for_each":
		attrs := make(map[string]cty.Value, len(values))
		for i, v := range values {
			attrs[list[i].name] = v
		}
		return cty.ObjectVal(attrs)
	case "count":
		return cty.TupleVal(values)
	}
	if len(values) == 1 {
		return values[0]
	}
	return cty.DynamicVal
}
