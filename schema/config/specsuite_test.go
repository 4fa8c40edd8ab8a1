package config

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/labctl/labctl/schema/diag"
)

// notApplicable are the tests of HCL's specification suite that say nothing of labs, each with the reason.
var notApplicable = map[string]string{
	"structure/attributes/unexpected": "it is about a schema in hcldec's own language; the table of blocks is labctl's, and TestBadLabs names arguments that are not in it",
}

// TestSpecificationSuite runs HCL's own specification suite through labctl: the arguments of its files become local
// values of a lab, and a file that must be refused is read as a lab.
func TestSpecificationSuite(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/hashicorp/hcl/v2").Output()
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(strings.TrimSpace(string(out)), "specsuite", "tests")
	var names []string
	err = filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if name, ok := strings.CutSuffix(path, ".t"); ok {
			names = append(names, strings.TrimPrefix(name, root+"/"))
		}
		return err
	})
	if err != nil || len(names) < 15 {
		t.Fatalf("the suite has %d tests: %v", len(names), err)
	}
	for name := range notApplicable {
		if !slices.Contains(names, name) {
			t.Errorf("%s is not in the suite any more", name)
		}
	}
	for _, name := range names {
		if reason := notApplicable[name]; reason != "" {
			t.Logf("%s does not apply: %s", name, reason)
			continue
		}
		t.Run(name, func(t *testing.T) { runSpec(t, filepath.Join(root, name)) })
	}
}

func runSpec(t *testing.T, path string) {
	want := specBody(t, path+".t")
	text, err := os.ReadFile(path + ".hcl")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range want.Blocks {
		if block.Type == "diagnostics" {
			refused(t, string(text), block.Body)
			return
		}
	}
	spec := specBody(t, path+".hcl")
	var lab strings.Builder
	lab.WriteString("lab \"spec\" {}\n\n")
	var paths [][]string
	rewrite(spec, text, nil, func(path []string, expr string) {
		if len(paths) == 0 {
			lab.WriteString("locals {\n")
		}
		fmt.Fprintf(&lab, "  v%d = %s\n", len(paths), expr)
		paths = append(paths, path)
	})
	if len(paths) > 0 {
		lab.WriteString("}\n")
	} else { // the text itself is what is tested: comments, blocks on one line
		lab.WriteString(strings.Replace(string(text), "a {", "locals {", 1))
	}
	lab.WriteString("\nlocals {\n  bar = \"Bar\"\n  space_bar = \"  Bar\"\n}\n")
	result, diags := Load(write(t, map[string]string{"lab.hcl": lab.String()}), Options{})
	if diags.HasErrors() {
		t.Fatalf("%v in\n%s", diags, lab.String())
	}
	if json, err := os.ReadFile(path + ".hcl.json"); err == nil {
		if _, diags := Load(write(t, map[string]string{"lab.hcl": "lab \"spec\" {}\n", "more.hcl.json": string(json)}), Options{}); diags.HasErrors() {
			t.Errorf("as JSON: %v", diags)
		}
	}
	attr := want.Attributes["result"]
	if attr == nil {
		return
	}
	results, diags := attr.Expr.Value(nil)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if local := result.EvalContext().Variables["local"]; len(paths) == 0 && results.Type().IsObjectType() {
		for name, want := range results.AsValueMap() {
			if got := local.GetAttr(name); !sameSpec(want, got) {
				t.Errorf("%s is %#v, not %#v", name, got, want)
			}
		}
	}
	compareSpec(t, paths, results, result.EvalContext().Variables["local"])
}

// compareSpec holds each value against the one at its path in the suite's result.
func compareSpec(t *testing.T, paths [][]string, results, got cty.Value) {
	t.Helper()
	for i, path := range paths {
		wanted := results
		for _, step := range path {
			if !wanted.Type().HasAttribute(step) {
				t.Fatalf("the suite has no result for %v", path)
			}
			wanted = wanted.GetAttr(step)
		}
		if value := got.GetAttr(fmt.Sprintf("v%d", i)); !sameSpec(wanted, value) {
			t.Errorf("%s is %#v, not %#v", strings.Join(path, "."), value, wanted)
		}
	}
}

// sameSpec compares as the suite does: numbers by what they say to 120 digits, for it writes them out.
func sameSpec(want, got cty.Value) bool {
	if want.Type() == cty.Number && got.Type() == cty.Number {
		return want.AsBigFloat().Text('g', 120) == got.AsBigFloat().Text('g', 120)
	}
	return want.RawEquals(got)
}

// rewrite gives visit every argument with the text of its expression, in which names of the suite are local values.
func rewrite(body *hclsyntax.Body, text []byte, path []string, visit func([]string, string)) {
	for _, name := range slices.Sorted(maps.Keys(body.Attributes)) {
		expr := body.Attributes[name].Expr
		r := expr.Range()
		var roots []int
		for _, variable := range expr.Variables() {
			roots = append(roots, variable.SourceRange().Start.Byte)
		}
		slices.Sort(roots)
		var out strings.Builder
		from := r.Start.Byte
		for _, root := range roots {
			out.Write(text[from:root])
			out.WriteString("local.")
			from = root
		}
		out.Write(text[from:r.End.Byte])
		visit(append(slices.Clone(path), name), out.String())
	}
	if len(body.Blocks) == 1 && len(body.Attributes) == 0 && len(body.Blocks[0].Labels) == 0 && len(path) == 0 {
		return // a block of its own is read as it stands
	}
	for _, block := range body.Blocks {
		rewrite(block.Body, text, append(append(slices.Clone(path), block.Type), block.Labels...), visit)
	}
}

func specBody(t *testing.T, path string) *hclsyntax.Body {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file, diags := hclsyntax.ParseConfig(text, path, hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return file.Body.(*hclsyntax.Body)
}

// refused reads text as a lab and demands a syntax error at each place that the suite names.
func refused(t *testing.T, text string, wanted *hclsyntax.Body) {
	_, diags := Load(write(t, map[string]string{"lab.hcl": text}), Options{})
	for _, block := range wanted.Blocks {
		from, to := specPos(t, block.Body, "from"), specPos(t, block.Body, "to")
		found := slices.ContainsFunc(diags, func(d *hcl.Diagnostic) bool {
			return diag.CodeOf(d) == diag.Syntax && d.Subject != nil && d.Subject.Start == from && d.Subject.End == to
		})
		if !found {
			t.Errorf("there is no error from %v to %v in %v", from, to, diags)
		}
	}
}

func specPos(t *testing.T, body *hclsyntax.Body, which string) (pos hcl.Pos) {
	t.Helper()
	for _, block := range body.Blocks {
		if block.Type != which {
			continue
		}
		for name, field := range map[string]*int{"line": &pos.Line, "column": &pos.Column, "byte": &pos.Byte} {
			v, diags := block.Body.Attributes[name].Expr.Value(nil)
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			n, _ := v.AsBigFloat().Int64()
			*field = int(n)
		}
	}
	return pos
}
