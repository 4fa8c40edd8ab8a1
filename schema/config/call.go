package config

import (
	"encoding/json"
	"fmt"

	goversion "github.com/hashicorp/go-version"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/decode"
	"github.com/labctl/labctl/schema/diag"
	"github.com/labctl/labctl/schema/function"
	"github.com/labctl/labctl/schema/source"
)

// call makes the scopes of a module's instances.
func (e *evaluator) call(d *source.Decl, s *scope) {
	if d.Child == nil {
		e.failed[d] = true
		return
	}
	list, meta, ok, diags := e.instances(d.Shape, e.context(d, s))
	e.diags = append(e.diags, diags...)
	if !ok {
		e.failed[d] = true
		return
	}
	prefix := "module." + d.Name.Label
	if s.path != "" {
		prefix = s.path + "." + prefix
	}
	s.kinds[d] = meta
	dependsOn := e.dependencies(d, s)
	for _, inst := range list {
		path := prefix
		if inst.key != "" {
			path += "[" + inst.key + "]"
		}
		child := e.newScope(d.Child, s, path, inst, len(e.scopes[d.Child]))
		child.dependsOn = dependsOn
		s.calls[d] = append(s.calls[d], child)
	}
}

// output evaluates an output. The root's are collected by outputsOf.
func (e *evaluator) output(d *source.Decl, s *scope) cty.Value {
	ctx := e.context(d, s)
	e.diags = append(e.diags, e.conditions(d.Shape, "precondition", ctx)...)
	attr := d.Shape.Attrs["value"]
	if attr == nil {
		e.diags = append(e.diags, diag.New(diag.MissingArgument, d.At, "The output block lacks the argument \"value\"", "It is what the output gives."))
		return cty.DynamicVal
	}
	v, diags := e.value(attr.Expr, ctx)
	e.diags = append(e.diags, diags...)
	node, diags := e.reader.Node(without(d.Shape, "value"), ctx)
	e.diags = append(e.diags, diags...)
	if node.Flag("sensitive") {
		return v.Mark(function.Sensitive)
	}
	if s.parent == nil && v.ContainsMarked() {
		e.diags = append(e.diags, diag.In(diag.New(diag.SensitiveShow, attr.Expr.Range(), fmt.Sprintf("The output %q would show a sensitive value", d.Name.Label),
			"Add sensitive = true to the output; or nonsensitive(…) around a part that is no secret."), attr.Range))
	}
	return v
}

// without is a shape with an argument left out that is evaluated on its own.
func without(s *decode.Shape, skip string) *decode.Shape {
	out := *s
	def := *s.Def
	def.Attrs = nil
	for _, attr := range s.Def.Attrs {
		if attr.Name != skip {
			def.Attrs = append(def.Attrs, attr)
		}
	}
	out.Def = &def
	return &out
}

// outputsOf collects the root's outputs.
func (e *evaluator) outputsOf(root *source.Module) {
	s := e.scopes[root][0]
	for _, d := range root.Ordered {
		v := valueOf(s, d)
		if d.Name.Kind != "output" {
			continue
		}
		bare, marks := v.UnmarkDeep()
		out := schema.Output{Name: d.Name.Label, Pending: !bare.IsWhollyKnown()}
		_, out.Sensitive = marks[function.Sensitive]
		if attr := d.Shape.Attrs["description"]; attr != nil {
			if text, diags := attr.Expr.Value(nil); !diags.HasErrors() && text.Type() == cty.String && !text.IsNull() {
				out.Description = text.AsString()
			}
		}
		if out.Pending {
			e.outputs = append(e.outputs, out)
			continue
		}
		text, err := json.Marshal(ctyjson.SimpleJSONValue{Value: bare})
		if err == nil {
			err = json.Unmarshal(text, &out.Value)
		}
		if err != nil {
			e.diags = append(e.diags, diag.New(diag.Evaluation, d.At, fmt.Sprintf("The output %q cannot be shown", d.Name.Label), err.Error()))
			continue
		}
		e.outputs = append(e.outputs, out)
	}
}

// labBlock reads the lab block's arguments.
func (e *evaluator) labBlock(root *source.Module, version string) {
	for _, s := range root.Singles {
		if s.Def.Kind != "lab" {
			continue
		}
		node, diags := e.reader.Node(s, &hcl.EvalContext{Functions: e.functions})
		e.diags = append(e.diags, diags...)
		e.description = node.Text("description")
		if want := node.Text("required_version"); want != "" {
			e.diags = append(e.diags, checkVersion(want, version, node.At("required_version"))...)
		}
	}
}

func checkVersion(want, have string, at hcl.Range) hcl.Diagnostics {
	constraints, err := goversion.NewConstraint(want)
	if err != nil {
		return hcl.Diagnostics{diag.New(diag.Malformed, at, "required_version is malformed", `Write it as ">= 0.1, < 2" or "~> 1.2".`)}
	}
	v, err := goversion.NewVersion(have)
	if err != nil || constraints.Check(v.Core()) {
		return nil // a build that has no version of its own is taken to be new enough
	}
	return hcl.Diagnostics{diag.New(diag.Version, at, fmt.Sprintf("The lab wants labctl %s", want), fmt.Sprintf("This is labctl %s.", have))}
}

// refactorings reads moved, removed and import blocks, those of modules once for every instance.
func (e *evaluator) refactorings(m *source.Module) {
	for _, s := range m.Singles {
		if s.Def.Kind == "lab" {
			continue
		}
		for _, in := range e.scopes[m] {
			e.refactoring(s, in)
		}
	}
	for _, child := range m.Children {
		e.refactorings(child)
	}
}

func (e *evaluator) refactoring(s *decode.Shape, in *scope) {
	base := e.fullContext(in)
	list, _, _, diags := e.instances(s, base)
	e.diags = append(e.diags, diags...)
	for _, inst := range list {
		e.refactorOnce(s, in, inst.context(base))
	}
}

func (e *evaluator) refactorOnce(s *decode.Shape, in *scope, ctx *hcl.EvalContext) {
	node, diags := e.reader.Node(s, ctx)
	e.diags = append(e.diags, diags...)
	read := func(label string) (schema.Addr, bool) {
		attr := s.Attrs[label]
		if attr == nil {
			e.diags = append(e.diags, diag.New(diag.MissingArgument, s.DefRange, fmt.Sprintf("The %s block lacks the argument %q", s.Def.Kind, label), ""))
			return schema.Addr{}, false
		}
		addr, diags := keyedAddress(attr.Expr, in.path, ctx)
		e.diags = append(e.diags, diags...)
		return addr, !diags.HasErrors()
	}
	switch s.Def.Kind {
	case "moved":
		from, ok1 := read("from")
		to, ok2 := read("to")
		if ok1 && ok2 && e.mayMove(from, to, s) {
			e.moved = append(e.moved, schema.Moved{From: from, To: to})
		}
	case "removed":
		from, ok := read("from")
		if ok && from.Kind != "" && e.assembler.Has(from) {
			e.diags = append(e.diags, diag.New(diag.MovedAgain, s.Attrs["from"].Expr.Range(), fmt.Sprintf("%s is declared", from),
				"A removed block is for what is declared no more. Take the block away, or this one."))
		} else if ok {
			e.removed = append(e.removed, schema.Removed{From: from, Destroy: node.Flag("destroy")})
		}
	case "import":
		to, ok := read("to")
		if id := node.Argument("id"); id.Sensitive {
			e.diags = append(e.diags, diag.New(diag.SensitiveKey, id.Place(), "id may not be sensitive", "Everybody on the host sees what a thing is called."))
			return
		}
		if ok && !e.assembler.Has(to) {
			e.diags = append(e.diags, diag.New(diag.UnknownRef, s.Attrs["to"].Expr.Range(), fmt.Sprintf("%s is not declared", to),
				"Declare it as it is to be; labctl then takes the existing thing over under this address."))
		} else if ok && !node.Failed {
			e.imports = append(e.imports, schema.Import{To: to, ID: node.Text("id")})
		}
	}
}

// mayMove checks a moved block against those before it.
func (e *evaluator) mayMove(from, to schema.Addr, s *decode.Shape) bool {
	problem := ""
	if from.Kind != to.Kind {
		problem = fmt.Sprintf("A %s cannot become a %s.", from.Kind, to.Kind)
	}
	if from == to {
		problem = "Both addresses are the same."
	}
	if e.assembler.Declares(from) {
		problem = fmt.Sprintf("%s is still declared.", from)
	}
	for _, m := range e.moved {
		if m.From == from {
			problem = fmt.Sprintf("Another moved block says that %s became %s.", from, m.To)
		}
		if m.To == to {
			problem = fmt.Sprintf("Another moved block says that %s became %s.", m.From, to)
		}
	}
	if problem == "" {
		return true
	}
	e.diags = append(e.diags, diag.New(diag.MovedAgain, s.DefRange, "The moved block contradicts itself or another", problem))
	return false
}
