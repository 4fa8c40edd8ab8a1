package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/diag"
)

// -var gives text to a variable without a type; count takes the number in it, as Terraform does.
func TestCountOfText(t *testing.T) {
	dir := write(t, map[string]string{"lab.hcl": base + `
variable "more" {}
vm "a" {
  count = var.more
  image = image.micro
}
module "m" {
  source = "./m"
  count  = "2"
}
output "o" { value = [vm.a[*].name, module.m[*].n] }
`, "m/m.hcl": `output "n" { value = 7 }`})
	if d := cmp.Diff(`{"o":[["x-a-0"],[7,7]]}`, outputs(t, load(t, dir, Options{Given: []Given{{Name: "more", Value: "1"}}}))); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if text := said(t, dir, Options{Given: []Given{{Name: "more", Value: "one"}}}); !strings.Contains(text, "LAB0104") {
		t.Errorf("a count of \"one\" gives\n%s", text)
	}
}

// Keys of instances may be expressions where the instance itself is known.
func TestKeysInAddresses(t *testing.T) {
	dir := write(t, map[string]string{"lab.hcl": base + `
bridge "b" { for_each = toset(["x", "y"]) }
vm "a" {
  for_each = bridge.b
  image    = image.micro
  lifecycle {
    replace_triggered_by = [bridge.b[each.key], bridge.b[each.key].mac]
  }
}
vm "n" {
  count = 2
  image = image.micro
  lifecycle {
    replace_triggered_by = [vm.a["x"], bridge.b["y"]]
  }
}
module "site" {
  source   = "./site"
  for_each = toset(["p", "q"])
  image    = image.micro
}
import {
  for_each = { p = "old-p", q = "old-q" }
  to       = module.site[each.key].vm.v[each.key]
  id       = each.value
}
moved {
  from = vm.was["x"]
  to   = vm.a["x"]
}
moved {
  from = module.old
  to   = module.site["p"]
}
removed { from = vm.gone["z"] }
`, "site/site.hcl": `
variable "image" {}
vm "v" {
  for_each = toset(["p", "q"])
  image    = var.image
}
`})
	lab := load(t, dir, Options{}).Lab
	on := make(map[string]schema.Lifecycle)
	for _, r := range lab.Resources {
		on[r.Addr.String()] = r.Lifecycle
	}
	y := schema.Addr{Kind: "bridge", Name: "b", Key: `"y"`}
	want := schema.Lifecycle{ReplaceOn: []schema.Addr{y}, ReplaceOnArgument: []schema.Argument{{Addr: y, Path: "mac"}}}
	if d := cmp.Diff(want, on[`vm.a["y"]`]); d != "" {
		t.Errorf("what replaces vm.a[\"y\"] (-want +got):\n%s", d)
	}
	var ids []string
	for _, i := range lab.Imports {
		ids = append(ids, i.To.String()+" "+i.ID)
	}
	if d := cmp.Diff([]string{`module.site["p"].vm.v["p"] old-p`, `module.site["q"].vm.v["q"] old-q`}, ids); d != "" {
		t.Errorf("imports (-want +got):\n%s", d)
	}
	if len(lab.Moved) != 2 || lab.Moved[1].To.String() != `module.site["p"]` || lab.Removed[0].From.Key != `"z"` {
		t.Errorf("moved %v, removed %v", lab.Moved, lab.Removed)
	}
}

func TestSecretNamesAreRefused(t *testing.T) {
	text := said(t, write(t, map[string]string{"lab.hcl": base + `
variable "s" {
  sensitive = true
  default   = "hunter2"
}
bridge "b" { name = var.s }
import {
  to = image.micro
  id = var.s
}
`}), Options{})
	for _, want := range []string{"A name may not be sensitive", "id may not be sensitive"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

// An instance's key may stand as an attribute, in references to modules as in those to blocks.
func TestModuleKeyAsAttribute(t *testing.T) {
	dir := write(t, map[string]string{"lab.hcl": base + `
module "m" {
  source   = "./m"
  for_each = { x = 1, o = 2 }
  in       = each.value
}
output "o" { value = [module.m.x.o, module.m["x"].o, module.m.o.o, keys(module.m)] }
`, "m/m.hcl": "variable \"in\" {}\noutput \"o\" { value = var.in }\n"})
	if d := cmp.Diff(`{"o":[1,1,2,["o","x"]]}`, outputs(t, load(t, dir, Options{}))); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// What stands in a dynamic block is looked through in JSON too.
func TestDynamicInJSON(t *testing.T) {
	text := said(t, write(t, map[string]string{"lab.hcl.json": `{"lab": {"x": {}}, "image": {"m": {"build": "micro"}}, "vm": {"v": {"image": "${image.m}",
  "dynamic": {"intrface": {"for_each": [], "content": {}}, "file": {"for_each": [], "labels": ["/x"], "content": {"contents": "x"}}}}}}`}), Options{})
	for _, want := range []string{`Did you mean "interface"?`, `Did you mean "content"?`} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

// Each validation that does not hold is told, though all stand at one value.
func TestAllValidationsAreTold(t *testing.T) {
	text := said(t, write(t, map[string]string{"lab.hcl": base + `
variable "low" {
  default = 3
  validation {
    condition     = var.low < var.high
    error_message = "Not below ${var.high}."
  }
  validation {
    condition     = var.low % 2 == 0
    error_message = "Not even."
  }
}
variable "high" { default = 2 }
`}), Options{})
	if !strings.Contains(text, "Not below 2.") || !strings.Contains(text, "Not even.") {
		t.Errorf("what is said is\n%s", text)
	}
}

// A folder may be written in two ways and still be the same.
func TestModuleThatIsItsOwn(t *testing.T) {
	dir := write(t, map[string]string{"lab.hcl": base})
	t.Chdir(dir)
	over := map[string][]byte{"lab.hcl": []byte(base + "module \"m\" { source = \"../" + dir[strings.LastIndexByte(dir, '/')+1:] + "\" }\n")}
	_, diags := Load(".", Options{Overlay: over})
	if len(diags) != 1 || !strings.Contains(diags[0].Summary, "uses itself") {
		t.Errorf("it is said: %v", diags)
	}
}

// No expression that somebody types brings a secret into a message.
func TestEvaluateHidesSecrets(t *testing.T) {
	res := load(t, write(t, map[string]string{"lab.hcl": base + "variable \"s\" {\n  sensitive = true\n  default = \"Sup3rSecret\"\n}\nlocals { inner = { pw = var.s } }\n"}), Options{})
	for _, text := range []string{
		`parseint(var.s, 10)`, `tonumber(local.inner.pw)`, `file(var.s)`, `var.s + 1`, `{ a = 1 }[var.s]`, `[var.s][var.s]`, `regex(var.s, "x")`, `templatefile("${var.s}.x", {})`, `cidrhost(var.s, 1)`,
		`[for k in [var.s] : tonumber(k)]`, `jsondecode("{${var.s}")`, `index(["a"], var.s)`, `formatdate(var.s, "x")`, `base64decode("!${var.s}")`, `coalesce([var.s]...)[var.s]`,
	} {
		expr, diags := hclsyntax.ParseExpression([]byte(text), "x", hcl.InitialPos)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		_, diags = res.Evaluate(expr)
		if !diags.HasErrors() {
			t.Errorf("%s has a value", text)
		}
		var b strings.Builder
		if err := diag.Text(&b, diags, map[string]*hcl.File{"x": {Bytes: []byte(text)}}, false, 0); err != nil || strings.Contains(b.String(), "Sup3r") {
			t.Errorf("%s: %v\n%s", text, err, b.String())
		}
	}
}
