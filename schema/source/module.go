package source

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

// Module is one use of a folder, as written: the lab's own, or one that a module block calls.
type Module struct {
	Path     string // "module.site", "" for the root
	Dir      string
	Call     *Decl // in Parent; nil for the root
	Parent   *Module
	Decls    map[Name]*Decl
	Ordered  []*Decl         // in order of declaration
	Singles  []*decode.Shape // lab, moved, removed and import blocks
	Children []*Module
}

// Name is what a declaration is referred to by: var.x, local.x, vm.x.
type Name struct{ Kind, Label string }

// Decl is a variable, a local value, an output, a module call or a block that makes something.
type Decl struct {
	Mod   *Module
	Name  Name
	Shape *decode.Shape  // nil for a local value
	Attr  *hcl.Attribute // of a local value
	At    hcl.Range
	Order int     // among all declarations of the lab
	Child *Module // of a module call; nil where the module could not be read

	Refs      []Ref           // what its expressions refer to
	Referred  bool            // something refers to it, so its value is wanted
	DependsOn []hcl.Traversal // as written

	needs []*Decl // what must be evaluated before
}

// String is how messages call it.
func (d *Decl) String() string {
	text := d.Name.Kind + "." + d.Name.Label
	if d.Name.Label == "" {
		text = d.Name.Kind
	}
	if d.Mod.Path != "" {
		text = d.Mod.Path + "." + text
	}
	return text
}

// maxDepth is how deep modules may nest: deeper, one surely uses itself.
const maxDepth = 32

// module collects a folder's declarations and those of the modules that it uses.
func (l *Loader) module(call *Decl, dir string) *Module {
	m := &Module{Dir: dir, Call: call, Decls: make(map[Name]*Decl)}
	if call != nil {
		m.Parent = call.Mod
		m.Path = call.String()
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
	slices.SortStableFunc(m.Ordered, func(a, b *Decl) int { return compareRanges(a.At, b.At) })
	for _, d := range m.Ordered {
		d.Order = len(l.Order)
		l.Order = append(l.Order, d)
		if d.Name.Kind == "module" {
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

func (l *Loader) noFiles(call *Decl, dir string) {
	if call == nil {
		l.Diags = append(l.Diags, diag.FromError(diag.NoFiles, fmt.Errorf("There is no lab in %s: it holds no file that ends in .hcl", dir))) //nolint:staticcheck // a sentence for people
		return
	}
	l.Diags = append(l.Diags, diag.New(diag.Module, call.Shape.Attrs["source"].Expr.Range(), fmt.Sprintf("There is no module in %s", dir),
		"source names a folder with *.hcl files, relative to the folder of the file that it stands in."))
}

// declare takes up a block at the top of a file.
func (l *Loader) declare(m *Module, s *decode.Shape) {
	kind := s.Def.Kind
	if m.Call != nil && s.Def.RootOnly {
		l.Diags = append(l.Diags, diag.New(diag.Module, s.DefRange, fmt.Sprintf("A module holds no %s block", kind),
			"It belongs to the lab as a whole: move it to the lab's own folder."))
		return
	}
	switch kind {
	case "lab", "moved", "removed", "import":
		m.Singles = append(m.Singles, s)
	case "locals":
		for label, attr := range s.Attrs {
			l.add(m, &Decl{Mod: m, Name: Name{"local", label}, Attr: attr, At: attr.NameRange})
		}
	default:
		if len(s.Labels) == 0 && !s.Def.LabelOptional {
			return // told already
		}
		if kind == "variable" {
			kind = "var"
		}
		l.add(m, &Decl{Mod: m, Name: Name{kind, s.Label()}, Shape: s, At: s.DefRange})
	}
}

func (l *Loader) add(m *Module, d *Decl) {
	if d.Shape != nil && len(d.Shape.Labels) > 0 && !hclsyntax.ValidIdentifier(d.Name.Label) {
		l.Diags = append(l.Diags, diag.In(diag.New(diag.BadName, d.Shape.Labels[0].Range, fmt.Sprintf("%q cannot be a name here", d.Name.Label),
			"Names are letters, digits, _ and -, and begin with a letter or _."), d.At))
		return
	}
	if first := m.Decls[d.Name]; first != nil {
		what := strings.TrimPrefix(d.String(), m.Path+".")
		l.Diags = append(l.Diags, diag.New(diag.Duplicate, d.At, fmt.Sprintf("%s is declared twice", what),
			fmt.Sprintf("The first is at %s:%d. Give one of them another name.", first.At.Filename, first.At.Start.Line)))
		return
	}
	if d.Name.Kind == "var" && l.root.Block("module").Attr(d.Name.Label) != nil {
		l.Diags = append(l.Diags, diag.In(diag.New(diag.BadName, d.Shape.Labels[0].Range, fmt.Sprintf("A variable cannot have the name %q", d.Name.Label),
			"In a module block it means something else, so that no value could be given there."), d.At))
		return
	}
	m.Decls[d.Name] = d
	m.Ordered = append(m.Ordered, d)
}

// call reads the module that a module block uses.
func (l *Loader) call(d *Decl) {
	attr := d.Shape.Attrs["source"]
	if attr == nil {
		l.Diags = append(l.Diags, diag.New(diag.MissingArgument, d.At, "The module block lacks the argument \"source\"", "It names the module's folder, as source = \"./site\"."))
		return
	}
	source, diags := attr.Expr.Value(nil)
	at := attr.Expr.Range()
	switch {
	case diags.HasErrors() || source.IsNull() || source.Type() != cty.String:
		l.Diags = append(l.Diags, diag.New(diag.NotStatic, at, "source must be written out", "It is read before anything is evaluated: plain text, with no references."))
		return
	case !strings.HasPrefix(source.AsString(), "./") && !strings.HasPrefix(source.AsString(), "../"):
		l.Diags = append(l.Diags, diag.New(diag.Module, at, fmt.Sprintf("%q is not a folder", source.AsString()), "A module's source begins with ./ or ../; labctl fetches none from elsewhere."))
		return
	}
	dir := filepath.Join(d.Mod.Dir, source.AsString())
	depth := 0
	for m := d.Mod; m != nil; m = m.Parent {
		if sameFolder(m.Dir, dir) {
			l.Diags = append(l.Diags, diag.New(diag.Module, at, fmt.Sprintf("The module in %s uses itself", dir), "It would never come to an end."))
			return
		}
		depth++
	}
	if depth > maxDepth {
		l.Diags = append(l.Diags, diag.New(diag.Module, at, "Modules are nested too deep", fmt.Sprintf("At most %d may be within one another.", maxDepth)))
		return
	}
	d.Child = l.module(d, dir)
	d.Mod.Children = append(d.Mod.Children, d.Child)
	l.inputs(d)
}

// sameFolder compares folders that may be written differently, as . and ../lab.
func sameFolder(a, b string) bool {
	wholeA, errA := filepath.Abs(a)
	wholeB, errB := filepath.Abs(b)
	return a == b || errA == nil && errB == nil && wholeA == wholeB
}

// inputs holds the arguments of a module call against the module's variables.
func (l *Loader) inputs(d *Decl) {
	var names []string
	for n := range d.Child.Decls {
		if n.Kind == "var" {
			names = append(names, n.Label)
		}
	}
	for label, attr := range d.Shape.Attrs {
		if d.Shape.Def.Attr(label) == nil && d.Child.Decls[Name{"var", label}] == nil {
			detail := d.Shape.Def.Instead[label]
			if detail == "" {
				detail = Nearest(label, names, "")
			}
			l.Diags = append(l.Diags, diag.In(diag.New(diag.UnknownVar, attr.NameRange, fmt.Sprintf("The module has no variable %q", label), detail), attr.Range))
		}
	}
	for _, n := range names {
		v := d.Child.Decls[Name{"var", n}]
		if v.Shape.Attrs["default"] == nil && d.Shape.Attrs[n] == nil {
			l.Diags = append(l.Diags, diag.New(diag.MissingArgument, d.At, fmt.Sprintf("The module's variable %q has no value", n),
				fmt.Sprintf("It is declared at %s:%d without a default. Write %s = … here.", v.At.Filename, v.At.Start.Line, n)))
		}
	}
}
