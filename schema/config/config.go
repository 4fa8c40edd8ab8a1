// Package config reads a lab: the *.hcl and *.hcl.json files of a folder, and of the modules that they use, become a
// schema.Lab with every expression evaluated.
//
// Load parses the files, collects what they declare, finds what refers to what, evaluates everything in that order once
// for each instance of its module, and hands the decoded blocks to package assemble. Whatever fails is told once: values that
// come of it are unknown, and what is unknown is not complained about again.
package config

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/assemble"
	"github.com/labctl/labctl/schema/decode"
	"github.com/labctl/labctl/schema/diag"
	"github.com/labctl/labctl/schema/function"
	"github.com/labctl/labctl/schema/osvariant"
	"github.com/labctl/labctl/schema/semantic"
	"github.com/labctl/labctl/schema/source"
)

// Options are what a lab is read with, beside its files.
type Options struct {
	Given   []Given  // -var and -var-file, in the order of the command line: later ones over earlier ones
	Env     []string // NAME=VALUE; those that begin with LABCTL_VAR_ give variables
	Version string   // of labctl, held against required_version; "" is held against nothing
	// Overlay holds the text of files that are not (or not yet) what the disk has, by path: what an editor shows.
	Overlay map[string][]byte
	// Systems knows what os_variant stands for; with nil, labs cannot use it.
	Systems osvariant.Systems
	// Facts are what is known of machines that run, by their addresses: with them outputs are no longer pending.
	Facts map[schema.Addr]*schema.Facts
}

// Given is one value of a variable, or a file of values where File is not "". A relative path is taken from the working directory.
type Given struct {
	Name, Value string
	File        string
}

// Result is a lab that was read. Lab is nil where not even its name is known; where there are errors it lacks the blocks
// that are in error.
type Result struct {
	Lab       *schema.Lab
	Files     map[string]*hcl.File // by name as in the diagnostics' ranges, to show source lines with
	Variables []Variable           // of the root module, in order of declaration

	assembler *assemble.Assembler
	root      *scope
	eval      *evaluator
}

// Load reads the lab in dir. It tells of everything that is wrong, not of the first thing only.
func Load(dir string, opts Options) (*Result, hcl.Diagnostics) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return &Result{}, hcl.Diagnostics{diag.FromError(diag.NoFiles, err)}
	}
	reader := decode.NewReader(abs)
	base := filepath.Clean(dir)
	l, root := source.Load(reader, base, opts.Overlay)
	res := &Result{Files: l.Files}
	if len(l.Files) == 0 {
		return res, diag.Unique(l.Diags)
	}
	name := l.LabName(root)
	e := &evaluator{
		reader: reader, functions: function.All(abs), lab: name, dir: abs, base: base,
		assembler: assemble.New(name, base, reader, opts.Systems), failed: make(map[*source.Decl]bool), secrets: make(map[string]bool), roots: make(map[string]bool),
		scopes: make(map[*source.Module][]*scope), contexts: make(map[contextKey]*hcl.EvalContext), signatures: make(map[*source.Decl]*signature),
	}
	e.diags = append(e.diags, l.Diags...)
	e.labBlock(root, opts.Version)
	e.values = readValues(l, root, base, opts)
	e.diags = append(e.diags, e.values.diags...)
	e.assembler.Facts = opts.Facts
	e.run(root, l.Order)
	if !e.diags.HasErrors() {
		e.diags = append(e.diags, e.reader.Waiting()...)
	}
	res.assembler, res.eval, res.root = e.assembler, e, e.scopes[root][0]
	res.Variables = e.variables(root)
	lab, more := e.assembler.Finish()
	e.diags = append(e.diags, more...)
	lab.Description = e.description
	lab.Outputs, lab.Moved, lab.Removed, lab.Imports = e.outputs, e.moved, e.removed, e.imports
	e.diags = append(e.diags, diag.Coded(diag.Evaluation, semantic.Check(lab, res.Range))...)
	if name != "" {
		res.Lab = lab
	}
	shorten(e.diags, abs, base)
	return res, diag.Unique(diag.Redact(e.diags, e.secrets))
}

// shorten writes files of the lab as the user would.
func shorten(diags hcl.Diagnostics, abs, base string) {
	prefix := base + string(filepath.Separator)
	if base == "." {
		prefix = ""
	}
	for _, d := range diags {
		d.Detail = strings.ReplaceAll(d.Detail, abs+string(filepath.Separator), prefix)
	}
}

// Range is where an attribute of a resource or check stands; where the path is "" or leads nowhere, the block.
// Paths are those of provider.Diff: interface.eth0.addresses[0].
func (r *Result) Range(addr schema.Addr, path string) hcl.Range {
	if r.assembler == nil {
		return hcl.Range{}
	}
	return r.assembler.Range(addr, path)
}

// Pos is Range as a place in a file.
func (r *Result) Pos(addr schema.Addr, path string) schema.Pos {
	at := r.Range(addr, path)
	return schema.Pos{File: at.Filename, Line: at.Start.Line, Column: at.Start.Column}
}

// Evaluate finds the value of an expression that stands in no file of the lab, as of `labctl eval`. What it says where there is
// none shows no secret.
func (r *Result) Evaluate(expr hcl.Expression) (cty.Value, hcl.Diagnostics) {
	ctx := r.EvalContext()
	v, diags := expr.Value(ctx)
	if !diags.HasErrors() {
		return v, diags
	}
	_, diags = decode.Evaluate(expr, ctx) // again, for its better messages
	return cty.DynamicVal, r.Redact(diags)
}

// Redact takes the lab's secrets out of what diagnostics say.
func (r *Result) Redact(diags hcl.Diagnostics) hcl.Diagnostics {
	if r.eval == nil {
		return diags
	}
	return diag.Redact(diags, r.eval.secrets)
}

// Secrets are the texts of sensitive values, those of variables also line by line, since tools quote the line that they complain of.
func (r *Result) Secrets() []string {
	if r.eval == nil {
		return nil
	}
	var out []string
	for _, text := range slices.Sorted(maps.Keys(r.eval.secrets)) {
		out = append(out, text)
		if r.eval.roots[text] && strings.Contains(text, "\n") {
			out = append(out, strings.Split(text, "\n")...)
		}
	}
	return out
}

// EvalContext is what expressions of the lab's own files see: for `labctl eval`.
func (r *Result) EvalContext() *hcl.EvalContext {
	if r.eval == nil {
		return &hcl.EvalContext{Functions: function.All(".")}
	}
	return r.eval.fullContext(r.root)
}
