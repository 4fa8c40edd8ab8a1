package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/dynblock"
	"github.com/zclconf/go-cty/cty"

	"github.com/labctl/labctl/schema/diag"
	"github.com/labctl/labctl/schema/table"
)

// ref is a reference in an expression.
type ref struct {
	root   string // var, local, module, each, …, or a kind of block
	label  string
	output string // of a module; "" for all of it
	target *decl  // nil where there is none; then it was told
}

// nearest completes a message with the name that was meant.
func nearest(name string, names []string, prefix string) string {
	if found := table.Nearest(name, names); found != "" {
		return fmt.Sprintf("Did you mean %q?", prefix+found)
	}
	slices.Sort(names)
	switch {
	case len(names) == 0:
		return "There are none."
	case len(names) <= 12:
		return fmt.Sprintf("There are: %s%s.", prefix, strings.Join(names, ", "+prefix))
	}
	return ""
}

// builtin roots are given by the evaluator itself.
func builtin(root string) bool {
	return slices.Contains([]string{"each", "count", "path", "lab", "self"}, root)
}

// variables are the references in a declaration's expressions, those of dynamic blocks included.
func (l *loader) variables(d *decl) []hcl.Traversal {
	switch {
	case d.attr != nil:
		return d.attr.Expr.Variables()
	case d.name.kind == "var":
		return l.validations(d)
	case d.name.kind == "module":
		var out []hcl.Traversal
		for _, meta := range []string{"for_each", "count"} {
			if attr := d.shape.Attrs[meta]; attr != nil {
				out = append(out, attr.Expr.Variables()...)
			}
		}
		return out
	}
	return l.walk(dynblock.WalkVariables(d.shape.Body), d.shape.Def)
}

// validations are the references of a variable's conditions, without those to itself.
func (l *loader) validations(d *decl) []hcl.Traversal {
	var out []hcl.Traversal
	_, blocks := dynblock.WalkVariables(d.shape.Body).Visit(&hcl.BodySchema{Blocks: l.reader.Schema(d.shape.Def).Blocks})
	var all []hcl.Traversal
	for _, child := range blocks {
		all = append(all, l.walk(child.Node, d.shape.Def.Block(child.BlockTypeName))...)
	}
	for _, t := range all {
		if r := parseRef(t); r.root != "var" || r.label != d.name.label {
			out = append(out, t)
		}
	}
	return out
}

func (l *loader) walk(n dynblock.WalkVariablesNode, def *table.Block) []hcl.Traversal {
	vars, children := n.Visit(l.dynamicSchema(def))
	for _, child := range children {
		if inner := def.Block(child.BlockTypeName); inner != nil {
			vars = append(vars, l.walk(child.Node, inner)...)
		}
	}
	return vars
}

// dynamicSchema is the block's schema without the arguments that are never evaluated.
func (l *loader) dynamicSchema(def *table.Block) *hcl.BodySchema {
	full := l.reader.Schema(def)
	out := &hcl.BodySchema{Blocks: full.Blocks}
	for _, attr := range full.Attributes {
		if a := def.Attr(attr.Name); a == nil || a.Type != table.Static && a.Type != table.TypeExpr {
			out.Attributes = append(out.Attributes, attr)
		}
	}
	return out
}

func parseRef(t hcl.Traversal) ref {
	r := ref{root: t.RootName()}
	if len(t) > 1 {
		if attr, ok := t[1].(hcl.TraverseAttr); ok {
			r.label = attr.Name
		} else if index, ok := t[1].(hcl.TraverseIndex); ok && index.Key.Type() == cty.String {
			r.label = index.Key.AsString()
		}
	}
	if r.root != "module" {
		return r
	}
	for _, step := range t[min(2, len(t)):] {
		switch step := step.(type) {
		case hcl.TraverseIndex:
			continue
		case hcl.TraverseAttr:
			r.output = step.Name
		}
		break
	}
	return r
}

// resolve finds what the references of a declaration are to, in scope of mod.
func (l *loader) resolve(d *decl, mod *module, traversals []hcl.Traversal) {
	for _, t := range traversals {
		r := parseRef(t)
		if builtin(r.root) {
			l.checkBuiltin(d, t, mod)
			d.refs = append(d.refs, r)
			continue
		}
		kind := r.root
		if l.resolveHost(d, mod, t, &r) {
			continue
		}
		def := l.root.Block(kind)
		if kind != "var" && kind != "local" && (def == nil || !def.Referable) {
			l.unknownRoot(mod, t)
			d.refs = append(d.refs, r)
			continue
		}
		if r.label == "" {
			l.whole(d, mod, kind)
			d.refs = append(d.refs, r)
			continue
		}
		r.target = mod.decls[name{kind, r.label}]
		if r.target == nil {
			l.unknownName(mod, t, r)
			d.refs = append(d.refs, r)
			continue
		}
		l.link(d, &r, t)
		d.refs = append(d.refs, r)
	}
}

// resolveHost takes references to the only, unlabelled host: host.uri.
func (l *loader) resolveHost(d *decl, mod *module, t hcl.Traversal, r *ref) bool {
	if r.root != "host" || mod.decls[name{"host", ""}] == nil || mod.decls[name{"host", r.label}] != nil && r.label != "" {
		return false
	}
	r.label, r.target = "", mod.decls[name{"host", ""}]
	l.link(d, r, t)
	d.refs = append(d.refs, *r)
	return true
}

// link notes that d needs what r is to.
func (l *loader) link(d *decl, r *ref, t hcl.Traversal) {
	need(d, r.target)
	if r.root != "module" || r.target.child == nil {
		return
	}
	if r.output == "" {
		for _, out := range r.target.child.ordered {
			if out.name.kind == "output" {
				need(d, out)
			}
		}
		return
	}
	out := r.target.child.decls[name{"output", r.output}]
	if out == nil {
		var names []string
		for n := range r.target.child.decls {
			if n.kind == "output" {
				names = append(names, n.label)
			}
		}
		l.diags = append(l.diags, diag.In(diag.New(diag.UnknownRef, t[len(t)-1].SourceRange(),
			fmt.Sprintf("The module %q has no output %q", r.label, r.output), nearest(r.output, names, "")), t.SourceRange()))
		r.target = nil
		return
	}
	need(d, out)
}

func need(d, target *decl) {
	target.referred = true
	if !slices.Contains(d.needs, target) {
		d.needs = append(d.needs, target)
	}
}

// whole is a reference to all blocks of a kind, as in values(vm).
func (l *loader) whole(d *decl, mod *module, kind string) {
	for _, other := range mod.ordered {
		if other.name.kind == kind && other != d {
			need(d, other)
		}
	}
}

func (l *loader) unknownRoot(mod *module, t hcl.Traversal) {
	root := t.RootName()
	roots := []string{"var", "local", "module", "each", "count", "path"}
	for i := range l.root.Blocks {
		if l.root.Blocks[i].Referable {
			roots = append(roots, l.root.Blocks[i].Kind)
		}
	}
	detail := nearest(root, slices.Compact(slices.Sorted(slices.Values(roots))), "")
	switch block := labelled(mod, root); {
	case block != nil && len(t) == 1:
		detail = fmt.Sprintf("Did you mean %s? Or, where it is to be text, %q in quotes?", block.name.kind+"."+root, root)
	case len(t) == 1:
		detail = strings.TrimSpace(fmt.Sprintf("Text stands in quotes: %q. %s", root, nearestOnly(root, roots)))
	}
	l.diags = append(l.diags, diag.In(diag.New(diag.UnknownRef, t[0].SourceRange(), fmt.Sprintf("There is nothing of the name %q", root), detail), t.SourceRange()))
}

// labelled is the first block of the label, of whatever kind.
func labelled(mod *module, label string) *decl {
	for _, d := range mod.ordered {
		if d.name.label == label && d.name.kind != "output" && d.name.kind != "check" {
			return d
		}
	}
	return nil
}

func nearestOnly(name string, names []string) string {
	if found := table.Nearest(name, names); found != "" {
		return fmt.Sprintf("Or did you mean %q?", found)
	}
	return ""
}

func (l *loader) unknownName(mod *module, t hcl.Traversal, r ref) {
	var names []string
	for n := range mod.decls {
		if n.kind == r.root {
			names = append(names, n.label)
		}
	}
	what := map[string]string{"var": "variable", "local": "local value"}[r.root]
	if what == "" {
		what = r.root
	}
	detail := nearest(r.label, names, r.root+".")
	if len(names) == 0 {
		detail = fmt.Sprintf("Declare it: %s %q { … }.", strings.Replace(what, "local value", "locals", 1), r.label)
		if what == "local value" {
			detail = fmt.Sprintf("Declare it: locals { %s = … }.", r.label)
		}
	}
	if mod.path != "" && mod.parent.decls[name{r.root, r.label}] != nil {
		detail = "It is declared outside this module. Pass it in as a variable."
	}
	at := hcl.RangeBetween(t[0].SourceRange(), t[1].SourceRange())
	l.diags = append(l.diags, diag.In(diag.New(diag.UnknownRef, at, fmt.Sprintf("There is no %s %q", what, r.label), detail), t.SourceRange()))
}

// checkBuiltin tells of each, count and self where they have no meaning.
func (l *loader) checkBuiltin(d *decl, t hcl.Traversal, mod *module) {
	shape := d.shape
	if d.name.kind == "var" && mod != d.mod { // an input: the call's
		shape = d.mod.call.shape
	}
	root := t.RootName()
	meta := map[string]string{"each": "for_each", "count": "count"}[root]
	if meta == "" || shape != nil && shape.Attrs[meta] != nil {
		return
	}
	l.diags = append(l.diags, diag.New(diag.UnknownRef, t.SourceRange(), fmt.Sprintf("There is no %q here", root),
		fmt.Sprintf("%s has a meaning only in a block with %s.", root, meta)))
}

// link all: references of everything declared.
func (l *loader) resolveAll() {
	for _, d := range l.order {
		l.resolve(d, d.mod, l.variables(d))
		if d.name.kind == "var" && d.mod.call != nil {
			need(d, d.mod.call)
			if attr := d.mod.call.shape.Attrs[d.name.label]; attr != nil {
				l.resolve(d, d.mod.parent, attr.Expr.Variables())
			}
		} else if d.mod.call != nil {
			need(d, d.mod.call)
		}
		if d.shape != nil {
			l.explicit(d)
		}
	}
}

// explicit reads depends_on.
func (l *loader) explicit(d *decl) {
	attr := d.shape.Attrs["depends_on"]
	if attr == nil || d.shape.Def.Attr("depends_on") == nil {
		return
	}
	for _, t := range l.addresses(attr) {
		r := parseRef(t)
		def := l.root.Block(r.root)
		if def == nil || !def.Referable {
			l.diags = append(l.diags, diag.New(diag.BadAddress, t.SourceRange(), "depends_on takes blocks", "Write KIND.NAME or module.NAME, such as vm.nat."))
			continue
		}
		target := d.mod.decls[name{r.root, r.label}]
		if target == nil && r.root != "host" {
			l.unknownName(d.mod, t, r)
			continue
		}
		d.dependsOn = append(d.dependsOn, t)
		if target != nil {
			need(d, target)
		}
	}
}

// addresses reads a list of addresses that are not evaluated.
func (l *loader) addresses(attr *hcl.Attribute) []hcl.Traversal {
	exprs, diags := hcl.ExprList(attr.Expr)
	l.diags = append(l.diags, diag.Coded(diag.BadAddress, diags)...)
	var out []hcl.Traversal
	for _, expr := range exprs {
		t, diags := hcl.AbsTraversalForExpr(expr)
		if diags.HasErrors() {
			l.diags = append(l.diags, diag.New(diag.BadAddress, expr.Range(), "This is not an address", "Write a reference without quotes, such as vm.nat or module.site."))
			continue
		}
		if len(t) < 2 && t.RootName() != "host" {
			l.diags = append(l.diags, diag.New(diag.BadAddress, expr.Range(), "This is not a whole address", fmt.Sprintf("Write %s.NAME.", t.RootName())))
			continue
		}
		out = append(out, t)
	}
	return out
}
