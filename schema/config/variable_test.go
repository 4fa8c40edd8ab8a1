package config

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/schema"
)

// Each source overrides those before it, as Terraform's do.
func TestVariablePrecedence(t *testing.T) {
	lab := base + `
variable "v" { default = "default" }
output "v" { value = var.v }
`
	sources := []struct {
		name string
		add  func(files map[string]string, opts *Options, dir string)
	}{
		{"default", func(map[string]string, *Options, string) {}},
		{"environment", func(_ map[string]string, o *Options, _ string) {
			o.Env = []string{"LABCTL_VAR_v=environment", "LABCTL_VAR_w=1"}
		}},
		{"labctl.hclvars", func(f map[string]string, _ *Options, _ string) { f["labctl.hclvars"] = `v = "labctl.hclvars"` }},
		{"labctl.hclvars.json", func(f map[string]string, _ *Options, _ string) {
			f["labctl.hclvars.json"] = `{"v": "labctl.hclvars.json"}`
		}},
		{"a.auto", func(f map[string]string, _ *Options, _ string) { f["a.auto.hclvars"] = `v = "a.auto"` }},
		{"b.auto", func(f map[string]string, _ *Options, _ string) { f["b.auto.hclvars.json"] = `{"v": "b.auto"}` }},
		{"file", func(f map[string]string, o *Options, dir string) {
			f["x.vars"] = `v = "file"`
			o.Given = append(o.Given, Given{File: filepath.Join(dir, "x.vars")})
		}},
		{"second file", func(f map[string]string, o *Options, dir string) {
			f["y.vars"] = `v = "second file"`
			o.Given = append(o.Given, Given{File: filepath.Join(dir, "y.vars")})
		}},
		{"-var", func(_ map[string]string, o *Options, _ string) {
			o.Given = append(o.Given, Given{Name: "v", Value: "-var"})
		}},
		{"file after -var", func(f map[string]string, o *Options, dir string) {
			f["z.vars"] = `v = "file after -var"`
			o.Given = append(o.Given, Given{File: filepath.Join(dir, "z.vars")})
		}},
		{"second -var", func(_ map[string]string, o *Options, _ string) {
			o.Given = append(o.Given, Given{Name: "v", Value: "second -var"})
		}},
	}
	for last := range sources {
		files, opts := map[string]string{"lab.hcl": lab}, Options{}
		dir := t.TempDir()
		for _, source := range sources[:last+1] {
			source.add(files, &opts, dir)
		}
		opts.Overlay = make(map[string][]byte)
		for name, text := range files {
			opts.Overlay[filepath.Join(dir, name)] = []byte(text)
		}
		if got := load(t, dir, opts).Lab.Outputs[0].Value; got != sources[last].name {
			t.Errorf("with sources up to %s the value is %q", sources[last].name, got)
		}
	}
}

func TestVariableTypes(t *testing.T) {
	dir := write(t, map[string]string{"lab.hcl": base + `
variable "list" { type = list(number) }
variable "object" {
  type = object({ a = string, b = optional(list(string), ["x"]), c = optional(object({ d = optional(bool, true) }), {}) })
}
variable "text" { type = string }
variable "any" {}
variable "null" {
  default  = "fallback"
  nullable = false
}
output "o" { value = [var.list, var.object, var.text, var.any, var.null] }
`})
	res := load(t, dir, Options{Given: []Given{
		{Name: "list", Value: "[1, 2]"}, {Name: "object", Value: `{ a = 7 }`}, {Name: "text", Value: "[not a list]"}, {Name: "any", Value: `{ "k" = [true] }`},
	}, Overlay: map[string][]byte{filepath.Join(dir, "labctl.hclvars"): []byte("null = null")}})
	want := `{"o":[[1,2],{"a":"7","b":["x"],"c":{"d":true}},"[not a list]",{"k":[true]},"fallback"]}`
	if d := cmp.Diff(want, outputs(t, res)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestBadVariableValues(t *testing.T) {
	dir := write(t, map[string]string{"lab.hcl": base + `
variable "ports" { type = list(number) }
`, "bad.vars": `ports = ["ssh"]`, "block.vars": "variable \"ports\" {\n}\n", "unknown.vars": "prots = []\nports = []"})
	for name, test := range map[string]struct {
		opts Options
		want []string
	}{
		"-var of the wrong type": {Options{Given: []Given{{Name: "ports", Value: `["ssh"]`}}}, []string{"LAB0202", "a number is required"}},
		"-var that is no HCL":    {Options{Given: []Given{{Name: "ports", Value: `[1,`}}}, []string{"LAB0202", "-var"}},
		"-var of nothing":        {Options{Given: []Given{{Name: "prots", Value: `[]`}, {Name: "ports", Value: "[]"}}}, []string{"LAB0204", `Did you mean "ports"?`}},
		"file of the wrong type": {Options{Given: []Given{{File: dir + "/bad.vars"}}}, []string{"LAB0202", "bad.vars:1:9"}},
		"file with blocks":       {Options{Given: []Given{{File: dir + "/block.vars"}}}, []string{"LAB0205", "NAME = VALUE"}},
		"file that is not there": {Options{Given: []Given{{File: dir + "/none.vars"}}}, []string{"LAB0205", "none.vars"}},
		"file with a slip":       {Options{Given: []Given{{File: dir + "/unknown.vars"}}}, []string{"Warning", "LAB0204", "unknown.vars:1:1", `Did you mean "ports"?`}},
	} {
		text := said(t, dir, test.opts)
		for _, want := range test.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %q is not in\n%s", name, want, text)
			}
		}
	}
}

// What a sensitive value comes to is marked wherever it goes, and no message shows it.
func TestSensitiveValues(t *testing.T) {
	dir := write(t, map[string]string{"lab.hcl": base + `
variable "secret" {
  sensitive = true
}
bridge "br0" {}
vm "a" {
  image = image.micro
  interface "eth0" {
    bridge = bridge.br0
  }
  description = "the ${var.secret}"
  file "/etc/secret" {
    content = upper(var.secret)
  }
}
output "o" {
  value     = vm.a.description
  sensitive = true
}
output "length" { value = nonsensitive(length(var.secret)) }
`, "bad.hcl": ""})
	opts := Options{Given: []Given{{Name: "secret", Value: "hunter2"}}}
	res := load(t, dir, opts)
	for _, r := range res.Lab.Resources {
		if r.Addr.Kind != "vm" {
			continue
		}
		if d := cmp.Diff([]string{"description", `file["/etc/secret"].content`}, r.Sensitive); d != "" {
			t.Errorf("%s is sensitive at (-want +got):\n%s", r.Addr, d)
		}
	}
	if o := res.Lab.Outputs; !o[0].Sensitive || o[1].Sensitive || o[1].Value != 7.0 {
		t.Errorf("the outputs are %+v", o)
	}
	bad := map[string][]byte{filepath.Join(dir, "bad.hcl"): []byte(`
output "bad" { value = vm.a.description }
bridge "br1" { addresses = [var.secret] }
locals { n = parseint(var.secret, 10) }
vm "b" { memory = var.secret }
vm "c" { virt = var.secret }
bridge "d" { for_each = { (var.secret) = 1 } }
`)}
	opts.Overlay = bad
	if text := said(t, dir, opts); strings.Contains(strings.ToLower(text), "hunter2") || !strings.Contains(text, "LAB0111") {
		t.Errorf("what is said is\n%s", text)
	}
}

// A reference to a block with a secret in it is none itself; what a block brings along is.
func TestReferencesToSecretiveBlocks(t *testing.T) {
	res := load(t, write(t, map[string]string{"lab.hcl": base + `
variable "secret" {
  sensitive = true
  default   = "hunter2-and-more"
}
bridge "br0" { search = [var.secret] }
nftables "fw" {
  table "ip" "t" {
    chain "c" { rules = ["counter comment \"${var.secret}\""] }
  }
}
host { nftables = [nftables.fw] }
vm "a" {
  image    = image.micro
  nftables = [nftables.fw]
  interface "eth0" { bridge = bridge.br0 }
}
check "plain" {
  ping {
    from = vm.a
    to   = { vm = vm.a, address = "10.0.0.1" }
  }
}
check "secret" {
  exec {
    vm      = vm.a
    command = ["echo", var.secret]
  }
}
`}), Options{})
	got := make(map[string]string)
	for _, r := range res.Lab.Resources {
		got[r.Addr.String()] = fmt.Sprint(r.Sensitive)
	}
	want := map[string]string{"host.nftables": "[text table]", "image.micro": "[]", "bridge.br0": "[search]", "vm.a": "[nftables]", "vm.a.guest": "[nftables nftables.text]"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("what is sensitive (-want +got):\n%s", d)
	}
	if c := res.Lab.Checks; c[0].Sensitive || !c[1].Sensitive {
		t.Errorf("the checks are %+v", c)
	}
	if d := cmp.Diff([]string{`counter comment "hunter2-and-more"`, "hunter2-and-more"}, res.Secrets()); d != "" {
		t.Errorf("secrets (-want +got):\n%s", d)
	}
}

func TestVariablesAreListed(t *testing.T) {
	res := load(t, "../../examples/holepunch", Options{})
	text, err := json.Marshal(res.Variables)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"name":"nat_a","type":"string","description":"How NAT A maps and filters: full_cone, address_restricted_cone, port_restricted_cone or symmetric","required":false},` +
		`{"name":"nat_b","type":"string","description":"How NAT B maps and filters","required":false}]`
	if d := cmp.Diff(want, string(text)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestHosts(t *testing.T) {
	dir := write(t, map[string]string{"lab.hcl": `
lab "x" {}
host "h1" {
  ssh        = "root@h1"
  uri        = "qemu+ssh://root@h1/system"
  forwarding = false
  sysctl     = { "net.core.somaxconn" = 1024 }
}
host "h2" {
  ssh = "root@h2:2222"
}
bridge "a" {
  host       = host.h1
  addresses  = ["10.0.0.1/24"]
  masquerade = true
}
bridge "b" {
  host      = host.h2
  addresses = ["10.0.0.1/24"]
}
output "o" { value = host.h2.ssh }
`})
	lab := load(t, dir, Options{}).Lab
	if d := cmp.Diff([]schema.Host{{Name: "h1", URI: "qemu+ssh://root@h1/system", SSH: "root@h1"}, {Name: "h2", URI: "qemu:///system", SSH: "root@h2:2222"}}, lab.Hosts); d != "" {
		t.Errorf("hosts (-want +got):\n%s", d)
	}
	want := map[string]string{"net.ipv4.ip_forward": "0", "net.ipv6.conf.all.forwarding": "0", "net.core.somaxconn": "1024"}
	if d := cmp.Diff(want, body[schema.Sysctl](t, lab, "host.h1.sysctl").Values); d != "" {
		t.Errorf("settings of h1 (-want +got):\n%s", d)
	}
	var of []string
	for _, r := range lab.Resources {
		of = append(of, r.Addr.String()+"@"+r.Host)
	}
	if d := cmp.Diff([]string{"host.h1.sysctl@h1", "host.h1.nftables@h1", "bridge.a@h1", "bridge.b@h2"}, of); d != "" {
		t.Errorf("resources (-want +got):\n%s", d)
	}
}

// In JSON too a host stands with a label or without.
func TestHostsInJSON(t *testing.T) {
	for text, want := range map[string]string{
		`{"sysctl": {"net.core.somaxconn": 7}}`:           "host.sysctl",
		`{"h1": {"sysctl": {"net.core.somaxconn": 7}}}`:   "host.h1.sysctl",
		`[{"h1": {"sysctl": {"net.core.somaxconn": 7}}}]`: "host.h1.sysctl",
	} {
		overlay := map[string][]byte{"lab/lab.hcl.json": []byte(`{"lab": {"x": {}}, "host": ` + text + `}`)}
		lab := load(t, "lab", Options{Overlay: overlay}).Lab
		if got := body[schema.Sysctl](t, lab, want).Values["net.core.somaxconn"]; got != "7" {
			t.Errorf("%s: the setting is %q", text, got)
		}
	}
}
