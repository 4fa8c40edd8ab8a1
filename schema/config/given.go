package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	hcljson "github.com/hashicorp/hcl/v2/json"
	"github.com/zclconf/go-cty/cty"

	"github.com/labctl/labctl/schema/diag"
	"github.com/labctl/labctl/schema/source"
)

// envPrefix begins the names of environment variables that give variables.
const envPrefix = "LABCTL_VAR_"

// variableValues is what the root's variables are given from outside, later sources over earlier ones: the environment,
// labctl.hclvars, *.auto.hclvars, and -var and -var-file in the order in which they are given.
type variableValues struct {
	text  map[string]textValue // from the environment and -var: read as the variable's type says
	exprs map[string]*hcl.Attribute
	diags hcl.Diagnostics
}

type textValue struct{ text, source string }

// readValues reads all sources.
func readValues(l *source.Loader, root *source.Module, base string, opts Options) *variableValues {
	v := &variableValues{text: make(map[string]textValue), exprs: make(map[string]*hcl.Attribute)}
	var declared []string
	for n := range root.Decls {
		if n.Kind == "var" {
			declared = append(declared, n.Label)
		}
	}
	for _, pair := range opts.Env {
		if label, text, ok := strings.Cut(pair, "="); ok && strings.HasPrefix(label, envPrefix) {
			v.set(strings.TrimPrefix(label, envPrefix), textValue{text: text, source: label})
		}
	}
	var files []string
	for _, fixed := range l.List(base, "labctl.hclvars", "labctl.hclvars.json") {
		if fixed == "labctl.hclvars" || fixed == "labctl.hclvars.json" {
			files = append(files, filepath.Join(base, fixed))
		}
	}
	for _, auto := range l.List(base, ".auto.hclvars", ".auto.hclvars.json") {
		files = append(files, filepath.Join(base, auto))
	}
	for _, path := range files {
		v.file(l, path, declared)
	}
	for _, given := range opts.Given {
		switch {
		case given.File != "":
			v.file(l, given.File, declared)
		case !slices.Contains(declared, given.Name):
			v.diags = append(v.diags, &hcl.Diagnostic{
				Severity: hcl.DiagError, Summary: fmt.Sprintf("-var gives a value to %q, which is no variable of the lab", given.Name), Detail: source.Nearest(given.Name, declared, ""),
			})
		default:
			v.set(given.Name, textValue{text: given.Value, source: "-var"})
		}
	}
	diag.Coded(diag.UnknownVar, v.diags)
	return v
}

func (v *variableValues) set(label string, value textValue) {
	delete(v.exprs, label)
	v.text[label] = value
}

// file reads a file of values.
func (v *variableValues) file(l *source.Loader, path string, declared []string) {
	text, err := l.Read(path)
	if err != nil {
		v.diags = append(v.diags, diag.FromError(diag.BadVarFile, err))
		return
	}
	var file *hcl.File
	var diags hcl.Diagnostics
	if strings.HasSuffix(path, ".json") {
		file, diags = hcljson.Parse(text, path)
	} else {
		file, diags = hclsyntax.ParseConfig(text, path, hcl.InitialPos)
	}
	v.diags = append(v.diags, diag.Coded(diag.BadVarFile, diags)...)
	if file == nil || file.Body == nil {
		return
	}
	l.Files[path] = file
	attrs, diags := file.Body.JustAttributes()
	for _, d := range diags {
		d.Detail = "A file of values holds lines of the form NAME = VALUE and nothing else. Variables are declared in *.hcl files."
	}
	v.diags = append(v.diags, diag.Coded(diag.BadVarFile, diags)...)
	for label, attr := range attrs {
		if !slices.Contains(declared, label) {
			d := diag.In(diag.Warn(diag.UnknownVar, attr.NameRange, fmt.Sprintf("%q is no variable of the lab", label), source.Nearest(label, declared, "")), attr.Range)
			v.diags = append(v.diags, d)
			continue
		}
		delete(v.text, label)
		v.exprs[label] = attr
	}
}

// of is the value given to a variable of the root.
func (v *variableValues) of(e *evaluator, d *source.Decl, sig *signature) (cty.Value, hcl.Range, bool) {
	if attr := v.exprs[d.Name.Label]; attr != nil {
		raw, diags := attr.Expr.Value(nil)
		e.diags = append(e.diags, diag.Coded(diag.BadVarFile, diags)...)
		if diags.HasErrors() {
			return cty.DynamicVal, attr.Expr.Range(), true
		}
		return e.fit(d, sig, raw, attr.Expr.Range(), nil), attr.Expr.Range(), true
	}
	given, ok := v.text[d.Name.Label]
	if !ok {
		return cty.NilVal, hcl.Range{}, false
	}
	if sig.ty.IsPrimitiveType() || sig.ty == cty.DynamicPseudoType && !structured(given.text) {
		return e.fit(d, sig, cty.StringVal(given.text), hcl.Range{}, nil), hcl.Range{}, true
	}
	expr, diags := hclsyntax.ParseExpression([]byte(given.text), given.source, hcl.InitialPos)
	var raw cty.Value
	if !diags.HasErrors() {
		raw, diags = expr.Value(nil)
	}
	if diags.HasErrors() {
		e.diags = append(e.diags, diag.New(diag.BadValue, d.At, fmt.Sprintf("The value of var.%s from %s is no expression", d.Name.Label, given.source),
			"Write it as in a lab file, in quotes for the shell: "+diags[0].Detail))
		return cty.DynamicVal, hcl.Range{}, true
	}
	return e.fit(d, sig, raw, hcl.Range{}, nil), hcl.Range{}, true
}

// structured reports text for a variable without a type that looks like a list or object.
func structured(text string) bool {
	text = strings.TrimSpace(text)
	return strings.HasPrefix(text, "[") || strings.HasPrefix(text, "{")
}
