package config

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	ctyfunction "github.com/zclconf/go-cty/cty/function"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/assemble"
	"github.com/labctl/labctl/schema/decode"
)

// evaluator evaluates declarations in order, each once for every instance of its module.
type evaluator struct {
	reader    *decode.Reader
	functions map[string]ctyfunction.Function
	lab       string
	dir, base string
	assembler *assemble.Assembler
	values    *variableValues
	failed    map[*decl]bool
	secrets   map[string]bool // texts that no message may show

	description string
	outputs     []schema.Output
	moved       []schema.Moved
	removed     []schema.Removed
	imports     []schema.Import
	diags       hcl.Diagnostics
}

func (e *evaluator) run(root *module, decls []*decl) {
	order, diags := sorted(decls)
	e.diags = append(e.diags, diags...)
	newScope(root, nil, "", instance{only: true}, 0)
	for _, d := range order {
		for _, s := range d.mod.scopes {
			e.evaluate(d, s)
		}
	}
	e.outputsOf(root)
	e.refactorings(root)
}

// evaluate finds one declaration's value in one scope. A value that cannot be found is unknown.
func (e *evaluator) evaluate(d *decl, s *scope) {
	switch d.name.kind {
	case "var":
		s.values[d] = e.variable(d, s)
	case "local":
		v, diags := e.value(d.attr.Expr, e.context(d, s))
		e.diags = append(e.diags, diags...)
		s.values[d] = v
	case "output":
		s.values[d] = e.output(d, s)
	case "module":
		e.call(d, s)
	default:
		e.block(d, s)
	}
}

// value evaluates an expression, marks kept; it is unknown where that fails.
func (e *evaluator) value(expr hcl.Expression, ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	v, diags := expr.Value(ctx)
	if !diags.HasErrors() {
		return v, diags
	}
	_, diags = decode.Evaluate(expr, ctx) // again, for its better messages
	return cty.DynamicVal, diags
}

// context is what a declaration's expressions see: just what they refer to.
func (e *evaluator) context(d *decl, s *scope) *hcl.EvalContext {
	if ctx := d.contexts[s]; ctx != nil {
		return ctx
	}
	ctx := e.contextOf(d.refs, s)
	if d.contexts == nil {
		d.contexts = make(map[*scope]*hcl.EvalContext)
	}
	d.contexts[s] = ctx
	return ctx
}

func (e *evaluator) contextOf(refs []ref, s *scope) *hcl.EvalContext {
	roots := make(map[string]map[string]cty.Value)
	vars := make(map[string]cty.Value)
	for _, r := range refs {
		switch {
		case r.root == "path":
			vars["path"] = e.paths(s.mod)
		case r.root == "lab":
			vars["lab"] = cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal(e.lab)})
		case r.root == "each" || r.root == "count":
			vars[r.root] = cty.DynamicVal // an instance puts its own before it
		case r.root == "self":
		case r.label == "" && r.target == nil:
			vars[r.root] = e.whole(r.root, s)
		case r.root == "host" && r.label == "":
			vars["host"] = valueOf(s, r.target)
		default:
			if roots[r.root] == nil {
				roots[r.root] = make(map[string]cty.Value)
			}
			switch {
			case r.target == nil:
				roots[r.root][r.label] = cty.DynamicVal
			case r.root == "module":
				roots[r.root][r.label] = e.moduleValue(r.target, s, refs)
			default:
				roots[r.root][r.label] = valueOf(s, r.target)
			}
		}
	}
	for root, names := range roots {
		if _, ok := vars[root]; !ok {
			vars[root] = cty.ObjectVal(names)
		}
	}
	return &hcl.EvalContext{Variables: vars, Functions: e.functions}
}

func valueOf(s *scope, d *decl) cty.Value {
	if v, ok := s.values[d]; ok && v != cty.NilVal {
		return v
	}
	return cty.DynamicVal
}

// whole is an object of all that is declared of a kind. Of a kind that there is not, it is unknown: that was told.
func (e *evaluator) whole(kind string, s *scope) cty.Value {
	names := make(map[string]cty.Value)
	for _, d := range s.mod.ordered {
		if d.name.kind != kind {
			continue
		}
		if kind == "module" {
			names[d.name.label] = e.moduleValue(d, s, nil)
		} else {
			names[d.name.label] = valueOf(s, d)
		}
	}
	if len(names) == 0 {
		return cty.DynamicVal
	}
	return cty.ObjectVal(names)
}

// moduleValue is an object of a module's outputs, for each of its instances: those that refs name, or all.
func (e *evaluator) moduleValue(call *decl, s *scope, refs []ref) cty.Value {
	if call.child == nil || e.failed[call] {
		return cty.DynamicVal
	}
	all := refs == nil
	var wanted []string
	for _, r := range refs {
		if r.target == call {
			all = all || r.output == ""
			wanted = append(wanted, r.output)
		}
	}
	var list []instance
	var values []cty.Value
	for _, child := range s.calls[call] {
		outputs := make(map[string]cty.Value)
		for _, d := range call.child.ordered {
			if d.name.kind == "output" && (all || slices.Contains(wanted, d.name.label)) {
				outputs[d.name.label] = valueOf(child, d)
			}
		}
		list = append(list, child.each)
		values = append(values, cty.ObjectVal(outputs))
	}
	return gather(list, s.kinds[call], values)
}

func (e *evaluator) paths(m *module) cty.Value {
	rel := relative(e.base, m.dir)
	return cty.ObjectVal(map[string]cty.Value{
		"module": cty.StringVal(rel), "root": cty.StringVal("."), "cwd": cty.StringVal(e.dir),
	})
}

// fullContext is all that a scope's expressions may refer to.
func (e *evaluator) fullContext(s *scope) *hcl.EvalContext {
	vars := map[string]cty.Value{
		"path": e.paths(s.mod), "lab": cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal(e.lab)}),
	}
	for _, d := range s.mod.ordered {
		kind := d.name.kind
		if _, ok := vars[kind]; ok || kind == "output" || kind == "check" {
			continue
		}
		if host := s.mod.decls[name{"host", ""}]; kind == "host" && host != nil {
			vars[kind] = e.blockValue(host, s)
			continue
		}
		names := make(map[string]cty.Value)
		for _, other := range s.mod.ordered {
			if other.name.kind != kind {
				continue
			}
			switch kind {
			case "var", "local":
				names[other.name.label] = valueOf(s, other)
			case "module":
				names[other.name.label] = e.moduleValue(other, s, nil)
			default:
				names[other.name.label] = e.blockValue(other, s)
			}
		}
		vars[kind] = cty.ObjectVal(names)
	}
	return &hcl.EvalContext{Variables: vars, Functions: e.functions}
}
