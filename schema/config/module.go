package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/labctl/labctl/schema/decode"
	"github.com/labctl/labctl/schema/diag"
)

// module is one use of a folder, as written: its instances are scopes.
type module struct {
	path     string // "module.site", "" for the root
	dir      string
	call     *decl // in the parent; nil for the root
	parent   *module
	decls    map[name]*decl
	ordered  []*decl
	singles  []*decode.Shape // lab, moved, removed, import
	scopes   []*scope
	children []*module
}

// name is what a declaration is referred to by.
type name struct{ kind, label string }

// decl is a variable, a local value, an output, a module call or a block that makes something.
type decl struct {
	mod   *module
	name  name
	shape *decode.Shape
	attr  *hcl.Attribute // of a local value
	at    hcl.Range
	order int
	child *module // of a module call

	refs      []ref
	needs     []*decl // what must be evaluated before
	contexts  map[*scope]*hcl.EvalContext
	referred  bool // something refers to it, so its value is wanted
	dependsOn []hcl.Traversal
}

// String is how messages call it.
func (d *decl) String() string {
	text := d.name.kind + "." + d.name.label
	if d.name.label == "" {
		text = d.name.kind
	}
	if d.mod.path != "" {
		text = d.mod.path + "." + text
	}
	return text
}

// maxDepth is how deep modules may nest: deeper, one surely uses itself.
const maxDepth = 32

// module collects a folder's declarations and those of the modules that it uses.
func (l *loader) module(call *decl, dir string) *module {
	m := &module{dir: dir, call: call, decls: make(map[name]*decl)}
	if call != nil {
		m.parent = call.mod
		m.path = call.String()
	}
	f := l.folder(dir)
	if !f.found {
		l.noFiles(call, dir)
	}
	for _, file := range f.shapes {
		for _, block := range file.Blocks {
			l.declare(m, block)
		}
	}
	slices.SortStableFunc(m.ordered, func(a, b *decl) int { return compareRanges(a.at, b.at) })
	for _, d := range m.ordered {
		d.order = len(l.order)
		l.order = append(l.order, d)
		if d.name.kind == "module" {
			l.call(d)
		}
	}
	return m
}

func compareRanges(a, b hcl.Range) int {
	if a.Filename != b.Filename {
		return strings.Compare(a.Filename, b.Filename)
	}
	return a.Start.Byte - b.Start.Byte
}

func (l *loader) noFiles(call *decl, dir string) {
	if call == nil {
		l.diags = append(l.diags, diag.FromError(diag.NoFiles, fmt.Errorf("There is no lab in %s: it holds no file that ends in .hcl", dir))) //nolint:staticcheck // a sentence for people
		return
	}
	l.diags = append(l.diags, diag.New(diag.Module, call.shape.Attrs["source"].Expr.Range(), fmt.Sprintf("There is no module in %s", dir),
		"source names a folder with *.hcl files, relative to the folder of the file that it stands in."))
}

// declare takes up a block at the top of a file.
func (l *loader) declare(m *module, s *decode.Shape) {
	kind := s.Def.Kind
	if m.call != nil && s.Def.RootOnly {
		l.diags = append(l.diags, diag.New(diag.Module, s.DefRange, fmt.Sprintf("A module holds no %s block", kind),
			"It belongs to the lab as a whole: move it to the lab's own folder."))
		return
	}
	switch kind {
	case "lab", "moved", "removed", "import":
		m.singles = append(m.singles, s)
	case "locals":
		for label, attr := range s.Attrs {
			l.add(m, &decl{mod: m, name: name{"local", label}, attr: attr, at: attr.NameRange})
		}
	default:
		if len(s.Labels) == 0 && !s.Def.LabelOptional {
			return // told already
		}
		if kind == "variable" {
			kind = "var"
		}
		l.add(m, &decl{mod: m, name: name{kind, s.Label()}, shape: s, at: s.DefRange})
	}
}

func (l *loader) add(m *module, d *decl) {
	if d.shape != nil && len(d.shape.Labels) > 0 && !hclsyntax.ValidIdentifier(d.name.label) {
		l.diags = append(l.diags, diag.In(diag.New(diag.BadName, d.shape.Labels[0].Range, fmt.Sprintf("%q cannot be a name here", d.name.label),
			"Names are letters, digits, _ and -, and begin with a letter or _."), d.at))
		return
	}
	if first := m.decls[d.name]; first != nil {
		what := strings.TrimPrefix(d.String(), m.path+".")
		l.diags = append(l.diags, diag.New(diag.Duplicate, d.at, fmt.Sprintf("%s is declared twice", what),
			fmt.Sprintf("The first is at %s:%d. Give one of them another name.", first.at.Filename, first.at.Start.Line)))
		return
	}
	m.decls[d.name] = d
	m.ordered = append(m.ordered, d)
}

// call reads the module that a module block uses.
func (l *loader) call(d *decl) {
	attr := d.shape.Attrs["source"]
	if attr == nil {
		l.diags = append(l.diags, diag.New(diag.MissingArgument, d.at, "The module block lacks the argument \"source\"", "It names the module's folder, as source = \"./site\"."))
		return
	}
	source, diags := attr.Expr.Value(nil)
	at := attr.Expr.Range()
	switch {
	case diags.HasErrors() || source.IsNull() || source.Type() != cty.String:
		l.diags = append(l.diags, diag.New(diag.NotStatic, at, "source must be written out", "It is read before anything is evaluated: plain text, with no references."))
		return
	case !strings.HasPrefix(source.AsString(), "./") && !strings.HasPrefix(source.AsString(), "../"):
		l.diags = append(l.diags, diag.New(diag.Module, at, fmt.Sprintf("%q is not a folder", source.AsString()), "A module's source begins with ./ or ../; labctl fetches none from elsewhere."))
		return
	}
	dir := filepath.Join(d.mod.dir, source.AsString())
	depth := 0
	for m := d.mod; m != nil; m = m.parent {
		if m.dir == dir {
			l.diags = append(l.diags, diag.New(diag.Module, at, fmt.Sprintf("The module in %s uses itself", dir), "It would never come to an end."))
			return
		}
		depth++
	}
	if depth > maxDepth {
		l.diags = append(l.diags, diag.New(diag.Module, at, "Modules are nested too deep", fmt.Sprintf("At most %d may be within one another.", maxDepth)))
		return
	}
	d.child = l.module(d, dir)
	d.mod.children = append(d.mod.children, d.child)
	l.inputs(d)
}

// inputs holds the arguments of a module call against the module's variables.
func (l *loader) inputs(d *decl) {
	var names []string
	for n := range d.child.decls {
		if n.kind == "var" {
			names = append(names, n.label)
		}
	}
	for label, attr := range d.shape.Attrs {
		if d.shape.Def.Attr(label) == nil && d.child.decls[name{"var", label}] == nil {
			l.diags = append(l.diags, diag.In(diag.New(diag.UnknownVar, attr.NameRange, fmt.Sprintf("The module has no variable %q", label), nearest(label, names, "")), attr.Range))
		}
	}
	for _, n := range names {
		v := d.child.decls[name{"var", n}]
		if v.shape.Attrs["default"] == nil && d.shape.Attrs[n] == nil {
			l.diags = append(l.diags, diag.New(diag.MissingArgument, d.at, fmt.Sprintf("The module's variable %q has no value", n),
				fmt.Sprintf("It is declared at %s:%d without a default. Write %s = … here.", v.at.Filename, v.at.Start.Line, n)))
		}
	}
}
