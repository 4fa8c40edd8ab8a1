package source

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

// Ref is a reference in an expression.
type Ref struct {
	Root   string // var, local, module, each, …, or a kind of block
	Label  string
	Output string // of a module; "" for all of it
	Target *Decl  // nil where there is none; then it was told
}

// Nearest completes a message with the name that was meant.
func Nearest(name string, names []string, prefix string) string {
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
func (l *Loader) variables(d *Decl) []hcl.Traversal {
	switch {
	case d.Attr != nil:
		return d.Attr.Expr.Variables()
	case d.Name.Kind == "var":
		return l.validations(d)
	case d.Name.Kind == "module":
		var out []hcl.Traversal
		for _, meta := range []string{"for_each", "count"} {
			if attr := d.Shape.Attrs[meta]; attr != nil {
				out = append(out, attr.Expr.Variables()...)
			}
		}
		return out
	}
	return l.walk(dynblock.WalkVariables(d.Shape.Body), d.Shape.Def)
}

// validations are the references of a variable's conditions, without those to itself.
func (l *Loader) validations(d *Decl) []hcl.Traversal {
	var out []hcl.Traversal
	_, blocks := dynblock.WalkVariables(d.Shape.Body).Visit(&hcl.BodySchema{Blocks: l.reader.Schema(d.Shape.Def).Blocks})
	var all []hcl.Traversal
	for _, child := range blocks {
		all = append(all, l.walk(child.Node, d.Shape.Def.Block(child.BlockTypeName))...)
	}
	for _, t := range all {
		if r := parseRef(t); r.Root != "var" || r.Label != d.Name.Label {
			out = append(out, t)
		}
	}
	return out
}

func (l *Loader) walk(n dynblock.WalkVariablesNode, def *table.Block) []hcl.Traversal {
	vars, children := n.Visit(l.dynamicSchema(def))
	for _, child := range children {
		if inner := def.Block(child.BlockTypeName); inner != nil {
			vars = append(vars, l.walk(child.Node, inner)...)
		}
	}
	return vars
}

// dynamicSchema is the block's schema without the arguments that are never evaluated.
func (l *Loader) dynamicSchema(def *table.Block) *hcl.BodySchema {
	full := l.reader.Schema(def)
	out := &hcl.BodySchema{Blocks: full.Blocks}
	for _, attr := range full.Attributes {
		if a := def.Attr(attr.Name); a == nil || a.Type != table.Static && a.Type != table.TypeExpr {
			out.Attributes = append(out.Attributes, attr)
		}
	}
	return out
}

func parseRef(t hcl.Traversal) Ref {
	r := Ref{Root: t.RootName()}
	if len(t) > 1 {
		if attr, ok := t[1].(hcl.TraverseAttr); ok {
			r.Label = attr.Name
		} else if index, ok := t[1].(hcl.TraverseIndex); ok && index.Key.Type() == cty.String {
			r.Label = index.Key.AsString()
		}
	}
	if r.Root == "module" {
		r.Output = outputOf(t, false)
	}
	return r
}

// outputOf is the output that a reference to a module names: o in module.m.o and module.m["a"].o, and, where the module has an
// instance for each key, in module.m.a.o too.
func outputOf(t hcl.Traversal, keyed bool) string {
	for _, step := range t[min(2, len(t)):] {
		switch step := step.(type) {
		case hcl.TraverseIndex:
			keyed = false
		case hcl.TraverseAttr:
			if !keyed {
				return step.Name
			}
			keyed = false
		}
	}
	return ""
}

// resolve finds what the references of a declaration are to, in scope of mod.
func (l *Loader) resolve(d *Decl, mod *Module, traversals []hcl.Traversal) {
	for _, t := range traversals {
		r := parseRef(t)
		if builtin(r.Root) {
			l.checkBuiltin(d, t, mod)
			d.Refs = append(d.Refs, r)
			continue
		}
		kind := r.Root
		if l.resolveHost(d, mod, t, &r) {
			continue
		}
		def := l.root.Block(kind)
		if kind != "var" && kind != "local" && (def == nil || !def.Referable) {
			l.unknownRoot(mod, t)
			d.Refs = append(d.Refs, r)
			continue
		}
		if r.Label == "" {
			l.whole(d, mod, kind)
			d.Refs = append(d.Refs, r)
			continue
		}
		r.Target = mod.Decls[Name{kind, r.Label}]
		if kind == "module" && r.Target != nil && r.Target.Shape.Attrs["for_each"] != nil {
			r.Output = outputOf(t, true)
		}
		if r.Target == nil {
			l.unknownName(mod, t, r)
			d.Refs = append(d.Refs, r)
			continue
		}
		l.link(d, &r, t)
		d.Refs = append(d.Refs, r)
	}
}

// resolveHost takes references to the only, unlabelled host: host.uri.
func (l *Loader) resolveHost(d *Decl, mod *Module, t hcl.Traversal, r *Ref) bool {
	if r.Root != "host" || mod.Decls[Name{"host", ""}] == nil || mod.Decls[Name{"host", r.Label}] != nil && r.Label != "" {
		return false
	}
	r.Label, r.Target = "", mod.Decls[Name{"host", ""}]
	l.link(d, r, t)
	d.Refs = append(d.Refs, *r)
	return true
}

// link notes that d needs what r is to.
func (l *Loader) link(d *Decl, r *Ref, t hcl.Traversal) {
	need(d, r.Target)
	if r.Root != "module" || r.Target.Child == nil {
		return
	}
	if r.Output == "" {
		for _, out := range r.Target.Child.Ordered {
			if out.Name.Kind == "output" {
				need(d, out)
			}
		}
		return
	}
	out := r.Target.Child.Decls[Name{"output", r.Output}]
	if out == nil {
		var names []string
		for n := range r.Target.Child.Decls {
			if n.Kind == "output" {
				names = append(names, n.Label)
			}
		}
		l.Diags = append(l.Diags, diag.In(diag.New(diag.UnknownRef, t[len(t)-1].SourceRange(),
			fmt.Sprintf("The module %q has no output %q", r.Label, r.Output), Nearest(r.Output, names, "")), t.SourceRange()))
		r.Target = nil
		return
	}
	need(d, out)
}

func need(d, target *Decl) {
	target.Referred = true
	if !slices.Contains(d.needs, target) {
		d.needs = append(d.needs, target)
	}
}

// whole is a reference to all blocks of a kind, as in values(vm).
func (l *Loader) whole(d *Decl, mod *Module, kind string) {
	for _, other := range mod.Ordered {
		if other.Name.Kind == kind && other != d {
			need(d, other)
		}
	}
}

func (l *Loader) unknownRoot(mod *Module, t hcl.Traversal) {
	root := t.RootName()
	roots := []string{"var", "local", "module", "each", "count", "path"}
	for i := range l.root.Blocks {
		if l.root.Blocks[i].Referable {
			roots = append(roots, l.root.Blocks[i].Kind)
		}
	}
	detail := Nearest(root, slices.Compact(slices.Sorted(slices.Values(roots))), "")
	switch block := labelled(mod, root); {
	case l.root.Instead[root] != "":
		detail = l.root.Instead[root]
	case block != nil && len(t) == 1:
		detail = fmt.Sprintf("Did you mean %s? Or, where it is to be text, %q in quotes?", block.Name.Kind+"."+root, root)
	case len(t) == 1:
		detail = strings.TrimSpace(fmt.Sprintf("Text stands in quotes: %q. %s", root, nearestOnly(root, roots)))
	}
	l.Diags = append(l.Diags, diag.In(diag.New(diag.UnknownRef, t[0].SourceRange(), fmt.Sprintf("There is nothing of the name %q", root), detail), t.SourceRange()))
}

// labelled is the first block of the label, of whatever kind.
func labelled(mod *Module, label string) *Decl {
	for _, d := range mod.Ordered {
		if d.Name.Label == label && d.Name.Kind != "output" && d.Name.Kind != "check" {
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

func (l *Loader) unknownName(mod *Module, t hcl.Traversal, r Ref) {
	var names []string
	for n := range mod.Decls {
		if n.Kind == r.Root {
			names = append(names, n.Label)
		}
	}
	what := map[string]string{"var": "variable", "local": "local value"}[r.Root]
	if what == "" {
		what = r.Root
	}
	detail := Nearest(r.Label, names, r.Root+".")
	if len(names) == 0 && r.Root == "host" && l.root.Block("host").Attr(r.Label) != nil {
		detail = "The lab declares no host. Write host { } with what is said of it."
	} else if len(names) == 0 {
		detail = fmt.Sprintf("Declare it: %s %q { … }.", strings.Replace(what, "local value", "locals", 1), r.Label)
		if what == "local value" {
			detail = fmt.Sprintf("Declare it: locals { %s = … }.", r.Label)
		}
	}
	if mod.Path != "" && mod.Parent.Decls[Name{r.Root, r.Label}] != nil {
		detail = "It is declared outside this module. Pass it in as a variable."
	}
	at := hcl.RangeBetween(t[0].SourceRange(), t[1].SourceRange())
	l.Diags = append(l.Diags, diag.In(diag.New(diag.UnknownRef, at, fmt.Sprintf("There is no %s %q", what, r.Label), detail), t.SourceRange()))
}

// checkBuiltin tells of each, count and self where they have no meaning.
func (l *Loader) checkBuiltin(d *Decl, t hcl.Traversal, mod *Module) {
	shape := d.Shape
	if d.Name.Kind == "var" && mod != d.Mod { // an input: the call's
		shape = d.Mod.Call.Shape
	}
	root := t.RootName()
	meta := map[string]string{"each": "for_each", "count": "count"}[root]
	if meta == "" || shape != nil && shape.Attrs[meta] != nil {
		return
	}
	l.Diags = append(l.Diags, diag.New(diag.UnknownRef, t.SourceRange(), fmt.Sprintf("There is no %q here", root),
		fmt.Sprintf("%s has a meaning only in a block with %s.", root, meta)))
}

// link all: references of everything declared.
func (l *Loader) resolveAll() {
	for _, d := range l.Order {
		l.resolve(d, d.Mod, l.variables(d))
		if d.Name.Kind == "var" && d.Mod.Call != nil {
			need(d, d.Mod.Call)
			if attr := d.Mod.Call.Shape.Attrs[d.Name.Label]; attr != nil {
				l.resolve(d, d.Mod.Parent, attr.Expr.Variables())
			}
		} else if d.Mod.Call != nil {
			need(d, d.Mod.Call)
		}
		if d.Shape != nil {
			l.explicit(d)
		}
	}
}

// explicit reads depends_on.
func (l *Loader) explicit(d *Decl) {
	attr := d.Shape.Attrs["depends_on"]
	if attr == nil || d.Shape.Def.Attr("depends_on") == nil {
		return
	}
	for _, t := range l.addresses(attr) {
		r := parseRef(t)
		def := l.root.Block(r.Root)
		if def == nil || !def.Referable {
			l.Diags = append(l.Diags, diag.New(diag.BadAddress, t.SourceRange(), "depends_on takes blocks", "Write KIND.NAME or module.NAME, such as vm.nat."))
			continue
		}
		target := d.Mod.Decls[Name{r.Root, r.Label}]
		if target == nil && r.Root != "host" {
			l.unknownName(d.Mod, t, r)
			continue
		}
		d.DependsOn = append(d.DependsOn, t)
		if target != nil {
			need(d, target)
		}
	}
}

// addresses reads a list of addresses that are not evaluated.
func (l *Loader) addresses(attr *hcl.Attribute) []hcl.Traversal {
	exprs, diags := hcl.ExprList(attr.Expr)
	l.Diags = append(l.Diags, diag.Coded(diag.BadAddress, diags)...)
	var out []hcl.Traversal
	for _, expr := range exprs {
		t, diags := hcl.AbsTraversalForExpr(expr)
		if diags.HasErrors() {
			l.Diags = append(l.Diags, diag.New(diag.BadAddress, expr.Range(), "This is not an address", "Write a reference without quotes, such as vm.nat or module.site."))
			continue
		}
		if len(t) < 2 && t.RootName() != "host" {
			l.Diags = append(l.Diags, diag.New(diag.BadAddress, expr.Range(), "This is not a whole address", fmt.Sprintf("Write %s.NAME.", t.RootName())))
			continue
		}
		out = append(out, t)
	}
	return out
}
