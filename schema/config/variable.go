package config

import (
	"fmt"
	"maps"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/labctl/labctl/schema/decode"
	"github.com/labctl/labctl/schema/diag"
	"github.com/labctl/labctl/schema/function"
	"github.com/labctl/labctl/schema/source"
)

// Variable is a declared input of the lab, for prompts, completion and documentation.
type Variable struct {
	Name        string    `json:"name"`
	Type        string    `json:"type"`
	Description string    `json:"description,omitempty"`
	Required    bool      `json:"required"`
	Sensitive   bool      `json:"sensitive,omitempty"`
	Range       hcl.Range `json:"-"`
}

// signature is what a variable block says of its values.
type signature struct {
	ty        cty.Type
	defaults  *typeexpr.Defaults
	fallback  cty.Value // cty.NilVal where it has no default
	sensitive bool
	nullable  bool
	text      string // description
	failed    bool
}

// signature reads a variable's type and default.
func (e *evaluator) signature(d *source.Decl) (signature, hcl.Diagnostics) {
	sig := signature{ty: cty.DynamicPseudoType, nullable: true}
	node, diags := e.reader.Node(without(d.Shape, "default"), nil)
	if node.Has("nullable") {
		sig.nullable = node.Flag("nullable")
	}
	sig.sensitive, sig.text = node.Flag("sensitive"), node.Text("description")
	if attr := d.Shape.Attrs["type"]; attr != nil {
		ty, defaults, more := typeexpr.TypeConstraintWithDefaults(attr.Expr)
		diags = append(diags, diag.Coded(diag.BadDefinition, more)...)
		if !more.HasErrors() {
			sig.ty, sig.defaults = ty, defaults
		}
	}
	if attr := d.Shape.Attrs["default"]; attr != nil {
		v, more := attr.Expr.Value(nil)
		if !more.HasErrors() && v.IsNull() && !sig.nullable {
			more = hcl.Diagnostics{diag.New(diag.BadDefinition, attr.Expr.Range(), fmt.Sprintf("The default of var.%s is null", d.Name.Label), "With nullable = false null is no value of it.")}
		}
		diags = append(diags, diag.Coded(diag.NotStatic, more)...)
		if !more.HasErrors() {
			fits, err := sig.convert(v)
			if err != nil {
				diags = append(diags, diag.In(diag.New(diag.BadDefinition, attr.Expr.Range(), fmt.Sprintf("The default of var.%s does not fit its type", d.Name.Label),
					capitalized(err.Error())), attr.Range))
				fits = cty.DynamicVal
			}
			sig.fallback = fits
		} else {
			sig.fallback = cty.DynamicVal
		}
	}
	sig.failed = diags.HasErrors()
	return sig, diags
}

// convert makes a value of the variable's type, with the defaults of optional attributes.
func (s *signature) convert(v cty.Value) (cty.Value, error) {
	if s.defaults != nil && !v.IsNull() {
		v = s.defaults.Apply(v)
	}
	out, err := convert.Convert(v, s.ty)
	if err != nil {
		return cty.DynamicVal, fmt.Errorf("it is to be %s: %w", typeexpr.TypeString(s.ty), err)
	}
	return out, nil
}

func capitalized(text string) string {
	if text == "" || text[0] < 'a' || text[0] > 'z' {
		return text
	}
	return string(text[0]-'a'+'A') + text[1:] + "."
}

// variable finds a variable's value in one scope: what the call or the user gives, or the default.
func (e *evaluator) variable(d *source.Decl, s *scope) cty.Value {
	sig := e.signatures[d]
	if sig == nil { // it is the same in all instances of the module
		read, diags := e.signature(d)
		e.diags = append(e.diags, diags...)
		sig = &read
		e.signatures[d] = sig
	}
	v, at, given := e.given(d, s, sig)
	switch {
	case given && v.IsNull() && !sig.nullable && sig.fallback != cty.NilVal:
		given = false
	case given && v.IsNull() && !sig.nullable:
		e.diags = append(e.diags, diag.New(diag.NoValue, at, fmt.Sprintf("var.%s may not be null", d.Name.Label), "It is declared with nullable = false and without a default."))
		return cty.DynamicVal
	}
	if !given {
		v = sig.fallback
	}
	if v == cty.NilVal {
		if s.parent == nil && !sig.failed {
			e.diags = append(e.diags, diag.New(diag.NoValue, d.At, fmt.Sprintf("The variable %q has no value", d.Name.Label),
				fmt.Sprintf("Give it one with -var %s=…, in labctl.hclvars, or as LABCTL_VAR_%s; or give it a default here.", d.Name.Label, d.Name.Label)))
		}
		return cty.DynamicVal
	}
	if sig.sensitive {
		decode.Secrets(v, e.roots)
		maps.Copy(e.secrets, e.roots)
		v = v.Mark(function.Sensitive)
	}
	e.validate(d, s, v, at, given)
	return v
}

// given is the value that is set from outside, converted; ok is false where there is none.
func (e *evaluator) given(d *source.Decl, s *scope, sig *signature) (v cty.Value, at hcl.Range, ok bool) {
	if s.parent == nil {
		return e.values.of(e, d, sig)
	}
	attr := d.Mod.Call.Shape.Attrs[d.Name.Label]
	if attr == nil {
		return cty.NilVal, hcl.Range{}, false
	}
	at = attr.Expr.Range()
	raw, diags := e.value(attr.Expr, s.each.context(e.inputContext(d, s.parent)))
	e.diags = append(e.diags, diags...)
	if diags.HasErrors() {
		return cty.DynamicVal, at, true
	}
	return e.fit(d, sig, raw, at, attr.Expr), at, true
}

// inputContext is what a module call's argument sees: the names of the folder that the call stands in, not the module's own.
func (e *evaluator) inputContext(d *source.Decl, caller *scope) *hcl.EvalContext {
	key := contextKey{d, caller}
	ctx := e.contexts[key]
	if ctx == nil {
		ctx = e.contextOf(refsWithin(d.Refs, caller.mod), caller)
		e.contexts[key] = ctx
	}
	return ctx
}

// refsWithin are the references to what a module declares itself.
func refsWithin(refs []source.Ref, mod *source.Module) []source.Ref {
	var out []source.Ref
	for _, r := range refs {
		if r.Target == nil || r.Target.Mod == mod {
			out = append(out, r)
		}
	}
	return out
}

// fit converts a given value; it is unknown where that fails.
func (e *evaluator) fit(d *source.Decl, sig *signature, raw cty.Value, at hcl.Range, expr hcl.Expression) cty.Value {
	v, err := sig.convert(raw)
	if err == nil || sig.failed {
		return v
	}
	problem := diag.New(diag.BadValue, at, fmt.Sprintf("The value of var.%s does not fit its type", d.Name.Label), capitalized(err.Error()))
	if at.Filename == "" || sig.sensitive { // the source line would show the secret
		problem.Subject, problem.Context = &d.At, nil
	}
	problem.Expression = expr
	e.diags = append(e.diags, problem)
	return cty.DynamicVal
}

// validate evaluates the variable's validations, which may refer to it and to all else that is known by then.
func (e *evaluator) validate(d *source.Decl, s *scope, v cty.Value, at hcl.Range, given bool) {
	if !v.IsWhollyKnown() {
		return
	}
	var validations []*decode.Shape
	for _, child := range d.Shape.Blocks {
		if child.Def.Kind == "validation" {
			validations = append(validations, child)
		}
	}
	if len(validations) == 0 {
		return
	}
	s.values[d] = v
	ctx := e.contextOf(append(refsWithin(d.Refs, d.Mod), source.Ref{Root: "var", Label: d.Name.Label, Target: d}), s)
	for _, child := range validations {
		subject := d.At
		if given && at.Filename != "" && !v.IsMarked() { // where it is secret, its source line would show it
			subject = at
		}
		e.diags = append(e.diags, e.condition(child, ctx, diag.Validation, fmt.Sprintf("The value of var.%s is refused", d.Name.Label), subject)...)
	}
}

// variables lists what the root module declares.
func (e *evaluator) variables(root *source.Module) []Variable {
	var out []Variable
	for _, d := range root.Ordered {
		if d.Name.Kind != "var" {
			continue
		}
		sig, _ := e.signature(d)
		out = append(out, Variable{
			Name: d.Name.Label, Type: typeexpr.TypeString(sig.ty), Description: sig.text,
			Required: sig.fallback == cty.NilVal, Sensitive: sig.sensitive, Range: d.At,
		})
	}
	return out
}
