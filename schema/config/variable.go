package config

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/labctl/labctl/schema/decode"
	"github.com/labctl/labctl/schema/diag"
	"github.com/labctl/labctl/schema/function"
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
func (e *evaluator) signature(d *decl) (signature, hcl.Diagnostics) {
	sig := signature{ty: cty.DynamicPseudoType, nullable: true}
	node, diags := e.reader.Node(without(d.shape, "default"), nil)
	if node.Has("nullable") {
		sig.nullable = node.Flag("nullable")
	}
	sig.sensitive, sig.text = node.Flag("sensitive"), node.Text("description")
	if attr := d.shape.Attrs["type"]; attr != nil {
		ty, defaults, more := typeexpr.TypeConstraintWithDefaults(attr.Expr)
		diags = append(diags, diag.Coded(diag.BadDefinition, more)...)
		if !more.HasErrors() {
			sig.ty, sig.defaults = ty, defaults
		}
	}
	if attr := d.shape.Attrs["default"]; attr != nil {
		v, more := attr.Expr.Value(nil)
		diags = append(diags, diag.Coded(diag.NotStatic, more)...)
		if !more.HasErrors() {
			fits, err := sig.convert(v)
			if err != nil {
				diags = append(diags, diag.In(diag.New(diag.BadDefinition, attr.Expr.Range(), fmt.Sprintf("The default of var.%s does not fit its type", d.name.label),
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
func (e *evaluator) variable(d *decl, s *scope) cty.Value {
	sig, diags := e.signature(d)
	e.diags = append(e.diags, diags...)
	v, at, given := e.given(d, s, &sig)
	switch {
	case given && v.IsNull() && !sig.nullable && sig.fallback != cty.NilVal:
		given = false
	case given && v.IsNull() && !sig.nullable:
		e.diags = append(e.diags, diag.New(diag.NoValue, at, fmt.Sprintf("var.%s may not be null", d.name.label), "It is declared with nullable = false and without a default."))
		return cty.DynamicVal
	}
	if !given {
		v = sig.fallback
	}
	if v == cty.NilVal {
		if s.parent == nil {
			e.diags = append(e.diags, diag.New(diag.NoValue, d.at, fmt.Sprintf("The variable %q has no value", d.name.label),
				fmt.Sprintf("Give it one with -var %s=…, in labctl.hclvars, or as LABCTL_VAR_%s; or give it a default here.", d.name.label, d.name.label)))
		}
		return cty.DynamicVal
	}
	if sig.sensitive {
		decode.Secrets(v, e.secrets)
		v = v.Mark(function.Sensitive)
	}
	e.validate(d, s, v, at, given)
	return v
}

// given is the value that is set from outside, converted; ok is false where there is none.
func (e *evaluator) given(d *decl, s *scope, sig *signature) (v cty.Value, at hcl.Range, ok bool) {
	if s.parent == nil {
		return e.values.of(e, d, sig)
	}
	attr := d.mod.call.shape.Attrs[d.name.label]
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
func (e *evaluator) inputContext(d *decl, caller *scope) *hcl.EvalContext {
	if ctx := d.contexts[caller]; ctx != nil {
		return ctx
	}
	if d.contexts == nil {
		d.contexts = make(map[*scope]*hcl.EvalContext)
	}
	d.contexts[caller] = e.contextOf(refsWithin(d.refs, caller.mod), caller)
	return d.contexts[caller]
}

// refsWithin are the references to what a module declares itself.
func refsWithin(refs []ref, mod *module) []ref {
	var out []ref
	for _, r := range refs {
		if r.target == nil || r.target.mod == mod {
			out = append(out, r)
		}
	}
	return out
}

// fit converts a given value; it is unknown where that fails.
func (e *evaluator) fit(d *decl, sig *signature, raw cty.Value, at hcl.Range, expr hcl.Expression) cty.Value {
	v, err := sig.convert(raw)
	if err == nil || sig.failed {
		return v
	}
	problem := diag.New(diag.BadValue, at, fmt.Sprintf("The value of var.%s does not fit its type", d.name.label), capitalized(err.Error()))
	if at.Filename == "" || sig.sensitive { // the source line would show the secret
		problem.Subject, problem.Context = &d.at, nil
	}
	problem.Expression = expr
	e.diags = append(e.diags, problem)
	return cty.DynamicVal
}

// validate evaluates the variable's validations, which may refer to it and to all else that is known by then.
func (e *evaluator) validate(d *decl, s *scope, v cty.Value, at hcl.Range, given bool) {
	if !v.IsWhollyKnown() {
		return
	}
	var validations []*decode.Shape
	for _, child := range d.shape.Blocks {
		if child.Def.Kind == "validation" {
			validations = append(validations, child)
		}
	}
	if len(validations) == 0 {
		return
	}
	s.values[d] = v
	ctx := e.contextOf(append(refsWithin(d.refs, d.mod), ref{root: "var", label: d.name.label, target: d}), s)
	for _, child := range validations {
		subject := d.at
		if given && at.Filename != "" && !v.IsMarked() { // where it is secret, its source line would show it
			subject = at
		}
		e.diags = append(e.diags, e.condition(child, ctx, diag.Validation, fmt.Sprintf("The value of var.%s is refused", d.name.label), subject)...)
	}
}

// variables lists what the root module declares.
func (e *evaluator) variables(root *module) []Variable {
	var out []Variable
	for _, d := range root.ordered {
		if d.name.kind != "var" {
			continue
		}
		sig, _ := e.signature(d)
		out = append(out, Variable{
			Name: d.name.label, Type: typeexpr.TypeString(sig.ty), Description: sig.text,
			Required: sig.fallback == cty.NilVal, Sensitive: sig.sensitive, Range: d.at,
		})
	}
	return out
}
