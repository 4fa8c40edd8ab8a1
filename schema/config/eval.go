package config

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	ctyfunction "github.com/zclconf/go-cty/cty/function"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/assemble"
	"github.com/labctl/labctl/schema/decode"
	"github.com/labctl/labctl/schema/source"
)

// evaluator evaluates declarations in order, each once for every instance of its module.
type evaluator struct {
	reader     *decode.Reader
	functions  map[string]ctyfunction.Function
	lab        string
	dir, base  string
	assembler  *assemble.Assembler
	values     *variableValues
	failed     map[*source.Decl]bool
	scopes     map[*source.Module][]*scope
	contexts   map[contextKey]*hcl.EvalContext
	signatures map[*source.Decl]*signature
	secrets    map[string]bool // texts that no message may show
	roots      map[string]bool // those of them that are a variable's value

	description string
	outputs     []schema.Output
	moved       []schema.Moved
	removed     []schema.Removed
	imports     []schema.Import
	triggers    []trigger
	diags       hcl.Diagnostics
}

func (e *evaluator) run(root *source.Module, decls []*source.Decl) {
	order, diags := source.Sorted(decls)
	e.diags = append(e.diags, diags...)
	e.newScope(root, nil, "", instance{only: true}, 0)
	done := lastUses(order)
	for _, d := range order {
		for _, s := range e.scopes[d.Mod] {
			e.evaluate(d, s)
			for _, used := range done[d] {
				if s.blocks[used] != nil { // it can be made again
					delete(s.values, used)
				}
			}
			if d.Name.Kind != "module" { // whose context its inputs see too
				delete(e.contexts, contextKey{d, s})
			}
		}
	}
	e.outputsOf(root)
	e.refactorings(root)
	e.missingTriggers()
}

// lastUses lists for each declaration those of its module that no later one refers to: their values are large, and need not
// be kept.
func lastUses(order []*source.Decl) map[*source.Decl][]*source.Decl {
	last := make(map[*source.Decl]*source.Decl)
	for _, d := range order {
		for _, r := range d.Refs {
			if r.Target != nil {
				last[r.Target] = d
			}
		}
	}
	uses := make(map[*source.Decl][]*source.Decl)
	for used, by := range last {
		if used.Mod == by.Mod {
			uses[by] = append(uses[by], used)
		}
	}
	return uses
}

// evaluate finds one declaration's value in one scope. A value that cannot be found is unknown.
func (e *evaluator) evaluate(d *source.Decl, s *scope) {
	switch d.Name.Kind {
	case "var":
		s.values[d] = e.variable(d, s)
	case "local":
		v, diags := e.value(d.Attr.Expr, e.context(d, s))
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
func (e *evaluator) context(d *source.Decl, s *scope) *hcl.EvalContext {
	key := contextKey{d, s}
	ctx := e.contexts[key]
	if ctx == nil {
		ctx = e.contextOf(d.Refs, s)
		e.contexts[key] = ctx
	}
	return ctx
}

// contextKey is a declaration in a scope.
type contextKey struct {
	decl  *source.Decl
	scope *scope
}

func (e *evaluator) contextOf(refs []source.Ref, s *scope) *hcl.EvalContext {
	roots := make(map[string]map[string]cty.Value)
	vars := make(map[string]cty.Value)
	for _, r := range refs {
		switch {
		case r.Root == "path":
			vars["path"] = e.paths(s.mod)
		case r.Root == "lab":
			vars["lab"] = cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal(e.lab)})
		case r.Root == "each" || r.Root == "count":
			vars[r.Root] = cty.DynamicVal // an instance puts its own before it
		case r.Root == "self":
		case r.Label == "" && r.Target == nil:
			vars[r.Root] = e.whole(r.Root, s)
		case r.Root == "host" && r.Label == "":
			vars["host"] = valueOf(s, r.Target)
		default:
			if roots[r.Root] == nil {
				roots[r.Root] = make(map[string]cty.Value)
			}
			switch {
			case r.Target == nil:
				roots[r.Root][r.Label] = cty.DynamicVal
			case r.Root == "module":
				roots[r.Root][r.Label] = e.moduleValue(r.Target, s, refs)
			default:
				roots[r.Root][r.Label] = valueOf(s, r.Target)
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

func valueOf(s *scope, d *source.Decl) cty.Value {
	if v, ok := s.values[d]; ok && v != cty.NilVal {
		return v
	}
	if m := s.blocks[d]; m != nil {
		s.values[d] = m.value()
		return s.values[d]
	}
	return cty.DynamicVal
}

// whole is an object of all that is declared of a kind. Of a kind that there is not, it is unknown: that was told.
func (e *evaluator) whole(kind string, s *scope) cty.Value {
	names := make(map[string]cty.Value)
	for _, d := range s.mod.Ordered {
		if d.Name.Kind != kind {
			continue
		}
		if kind == "module" {
			names[d.Name.Label] = e.moduleValue(d, s, nil)
		} else {
			names[d.Name.Label] = valueOf(s, d)
		}
	}
	if len(names) == 0 {
		return cty.DynamicVal
	}
	return cty.ObjectVal(names)
}

// moduleValue is an object of a module's outputs, for each of its instances: those that refs name, or all.
func (e *evaluator) moduleValue(call *source.Decl, s *scope, refs []source.Ref) cty.Value {
	if call.Child == nil || e.failed[call] {
		return cty.DynamicVal
	}
	all := refs == nil
	var wanted []string
	for _, r := range refs {
		if r.Target == call {
			all = all || r.Output == ""
			wanted = append(wanted, r.Output)
		}
	}
	var list []instance
	var values []cty.Value
	for _, child := range s.calls[call] {
		outputs := make(map[string]cty.Value)
		for _, d := range call.Child.Ordered {
			if d.Name.Kind == "output" && (all || slices.Contains(wanted, d.Name.Label)) {
				outputs[d.Name.Label] = valueOf(child, d)
			}
		}
		list = append(list, child.each)
		values = append(values, cty.ObjectVal(outputs))
	}
	return gather(list, s.kinds[call], values)
}

func (e *evaluator) paths(m *source.Module) cty.Value {
	rel := relative(e.base, m.Dir)
	return cty.ObjectVal(map[string]cty.Value{
		"module": cty.StringVal(rel), "root": cty.StringVal("."), "cwd": cty.StringVal(e.dir),
	})
}

// fullContext is all that a scope's expressions may refer to.
func (e *evaluator) fullContext(s *scope) *hcl.EvalContext {
	vars := map[string]cty.Value{
		"path": e.paths(s.mod), "lab": cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal(e.lab)}),
	}
	for _, d := range s.mod.Ordered {
		kind := d.Name.Kind
		if _, ok := vars[kind]; ok || kind == "output" || kind == "check" {
			continue
		}
		if host := s.mod.Decls[source.Name{Kind: "host"}]; kind == "host" && host != nil {
			vars[kind] = e.blockValue(host, s)
			continue
		}
		names := make(map[string]cty.Value)
		for _, other := range s.mod.Ordered {
			if other.Name.Kind != kind {
				continue
			}
			switch kind {
			case "var", "local":
				names[other.Name.Label] = valueOf(s, other)
			case "module":
				names[other.Name.Label] = e.moduleValue(other, s, nil)
			default:
				names[other.Name.Label] = e.blockValue(other, s)
			}
		}
		vars[kind] = cty.ObjectVal(names)
	}
	return &hcl.EvalContext{Variables: vars, Functions: e.functions}
}
