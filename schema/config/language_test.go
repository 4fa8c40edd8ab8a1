package config

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/labctl/labctl/schema"
)

const base = `
lab "x" {}
image "micro" {
  build = "micro"
}
`

// outputs are a lab's outputs as one object in JSON.
func outputs(t *testing.T, res *Result) string {
	t.Helper()
	values := make(map[string]any)
	for _, o := range res.Lab.Outputs {
		values[o.Name] = o.Value
	}
	text, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestReferencesGiveRealValues(t *testing.T) {
	dir := write(t, map[string]string{"lab.hcl": base + `
bridge "br0" {
  for_each  = { a = 1, b = 2 }
  name      = "br-${each.key}"
  addresses = ["10.0.${each.value}.1/24", "fd00:${each.value}::1/64"]
}
vm "nat" {
  for_each = bridge.br0
  image    = image.micro
  memory   = "64MiB"
  interface "eth0" {
    bridge    = each.value
    addresses = [replace(each.value.addresses[0], "/\\.1/24$/", ".7/24")]
  }
}
vm "plain" {
  count = 2
  image = image.micro
}
output "o" {
  value = [
    bridge.br0["a"].name, bridge.br0["b"].ip, bridge.br0["a"].id,
    vm.nat["b"].interface.eth0.addresses, vm.nat["b"].interface.eth0.ip, vm.nat["b"].ip,
    vm.nat["b"].name, vm.nat["b"].id, vm.nat["b"].memory, vm.plain[1].name, vm.plain[*].id,
    vm.nat["b"].interface.eth0.mac == "` + schema.InterfaceMAC("x", schema.Addr{Kind: "vm", Name: "nat", Key: `"b"`}, "eth0") + `",
    vm.nat["b"].interface.eth0.bridge.id,
  ]
}
`})
	res := load(t, dir, Options{})
	want := `{"o":["br-a","10.0.2.1","bridge.br0[\"a\"]",["10.0.2.7/24"],"10.0.2.7","10.0.2.7",` +
		`"x-nat-b","vm.nat[\"b\"]",67108864,"x-plain-1",["vm.plain[0]","vm.plain[1]"],true,"bridge.br0[\"b\"]"]}`
	if d := cmp.Diff(want, outputs(t, res)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for _, r := range res.Lab.Resources {
		if r.Addr.String() == `vm.nat["b"]` {
			if d := cmp.Diff(`[image.micro bridge.br0["b"]]`, fmt.Sprint(r.Deps)); d != "" {
				t.Errorf("dependencies (-want +got):\n%s", d)
			}
		}
	}
}

func TestModules(t *testing.T) {
	site := `
variable "name" { type = string }
variable "net" { type = object({ cidr = string, mtu = optional(number, 1400) }) }
variable "image" {}
bridge "br" {
  name      = "br-${var.name}"
  addresses = ["${cidrhost(var.net.cidr, 1)}/24"]
  mtu       = var.net.mtu
}
module "vms" {
  source = "../vms"
  count  = 2
  number = count.index
  bridge = bridge.br
  image  = var.image
}
output "addresses" { value = module.vms[*].address }
output "first" { value = module.vms[0].name }
output "path" { value = [path.module, path.root, basename(path.cwd) != ""] }
`
	vms := `
variable "number" {}
variable "bridge" {}
variable "image" {}
vm "m" {
  image = var.image
  interface "eth0" {
    bridge    = var.bridge
    addresses = [replace(var.bridge.addresses[0], ".1/", ".${var.number + 10}/")]
  }
}
output "address" { value = vm.m.ip }
output "name" { value = vm.m.name }
`
	dir := write(t, map[string]string{
		"lab.hcl": base + `
module "site" {
  source   = "./site"
  for_each = { a = "10.0.1.0/24", b = "10.0.2.0/24" }
  name     = each.key
  net      = { cidr = each.value }
  image    = image.micro
  depends_on = [bridge.first]
}
bridge "first" {}
output "addresses" { value = { for k, m in module.site : k => m.addresses } }
output "first" { value = module.site["b"].first }
output "path" { value = module.site["a"].path }
`, "site/site.hcl": site, "vms/vms.hcl": vms,
	})
	res := load(t, dir, Options{})
	want := `{"addresses":{"a":["10.0.1.10","10.0.1.11"],"b":["10.0.2.10","10.0.2.11"]},"first":"x-site-b-vms-0-m","path":["site",".",true]}`
	if d := cmp.Diff(want, outputs(t, res)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	bridge := body[schema.Bridge](t, res.Lab, `module.site["a"].bridge.br`)
	if bridge.MTU != 1400 || bridge.Name != "br-a" {
		t.Errorf("the bridge is %+v", bridge)
	}
	for _, r := range res.Lab.Resources {
		if r.Addr.String() == `module.site["b"].module.vms[1].vm.m` {
			if d := cmp.Diff(`[image.micro module.site["b"].bridge.br bridge.first]`, fmt.Sprint(r.Deps)); d != "" {
				t.Errorf("dependencies (-want +got):\n%s", d)
			}
			return
		}
	}
	t.Error("the nested module's second machine is not there")
}

// Modules are no units of evaluation: one module's output may go into another whose output goes into the first.
func TestModulesNeedEachOther(t *testing.T) {
	m := `
variable "in" {}
variable "other" { default = null }
output "up" { value = "${var.in}!" }
output "both" { value = "${var.in} ${coalesce(var.other, "-")}" }
`
	dir := write(t, map[string]string{"lab.hcl": base + `
module "a" {
  source = "./m"
  in     = "a"
  other  = module.b.up
}
module "b" {
  source = "./m"
  in     = "b"
  other  = module.a.up
}
output "o" { value = [module.a.both, module.b.both] }
`, "m/m.hcl": m})
	if d := cmp.Diff(`{"o":["a b!","b a!"]}`, outputs(t, load(t, dir, Options{}))); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestModuleSeesOnlyItsOwnNames(t *testing.T) {
	dir := write(t, map[string]string{"lab.hcl": base + `
variable "site" { default = "root" }
module "m" {
  source = "./m"
  site   = "given ${var.site}"
}
output "o" { value = module.m.o }
`, "m/m.hcl": `
variable "site" {
  validation {
    condition     = var.site == "given root"
    error_message = "The names of both folders are mixed up: ${var.site}."
  }
}
output "o" { value = var.site }
`})
	if d := cmp.Diff(`{"o":"given root"}`, outputs(t, load(t, dir, Options{}))); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestDynamicBlocks(t *testing.T) {
	dir := write(t, map[string]string{"lab.hcl": base + `
locals {
  nics = { eth0 = ["10.0.0.1/24"], eth1 = ["10.0.1.1/24"] }
}
bridge "br" {}
vm "a" {
  image = image.micro
  dynamic "interface" {
    for_each = local.nics
    iterator = nic
    labels   = [nic.key]
    content {
      bridge    = bridge.br
      addresses = nic.value
      dynamic "impair" {
        for_each = nic.key == "eth1" ? ["20ms"] : []
        content {
          delay = impair.value
          rate  = "10mbit"
        }
      }
    }
  }
}
`})
	res := load(t, dir, Options{})
	vm := body[schema.Domain](t, res.Lab, "vm.a")
	if len(vm.Interfaces) != 2 || vm.Interfaces[0].Impair != (schema.Impair{}) {
		t.Fatalf("the interfaces are %+v", vm.Interfaces)
	}
	if d := cmp.Diff(schema.Impair{DelayMS: 20, Rate: 10_000_000}, vm.Interfaces[1].Impair); d != "" {
		t.Errorf("eth1's impairments (-want +got):\n%s", d)
	}
	if at := res.Range(schema.Addr{Kind: "vm", Name: "a"}, "interface.eth1.impair.delay"); at.Start.Line != 23 {
		t.Errorf("the delay stands at %v", at)
	}
}

func TestJSONSyntax(t *testing.T) {
	dir := write(t, map[string]string{"lab.hcl.json": `{
  "lab": {"x": {"description": "in JSON"}},
  "variable": {"sizes": {"type": "map(number)", "default": {"a": 1}}},
  "locals": {"net": "10.0.0"},
  "image": {"micro": {"build": "micro"}},
  "bridge": {"br0": {"addresses": ["${local.net}.1/24"]}},
  "vm": {"a": {
    "for_each": "${var.sizes}",
    "image": "${image.micro}",
    "depends_on": ["bridge.br0"],
    "interface": {"eth0": {"bridge": "${bridge.br0}", "addresses": ["${local.net}.${each.value + 10}/24"]}},
    "route": {"default": {"via": "${local.net}.1"}}
  }},
  "output": {"ip": {"value": "${vm.a[\"a\"].ip}"}}
}`})
	res := load(t, dir, Options{})
	if d := cmp.Diff(`{"ip":"10.0.0.11"}`, outputs(t, res)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if res.Lab.Description != "in JSON" {
		t.Errorf("the description is %q", res.Lab.Description)
	}
	bad := write(t, map[string]string{"lab.hcl.json": `{"lab": {"x": {}}, "bridge": {"br0": {"adresses": []}}}`})
	if text := said(t, bad, Options{}); !strings.Contains(text, `Did you mean "addresses"?`) {
		t.Errorf("a misspelt argument in JSON gives\n%s", text)
	}
}

func TestLifecycleAndRefactoring(t *testing.T) {
	dir := write(t, map[string]string{"lab.hcl": base + `
bridge "a" {
  lifecycle {
    prevent_destroy = true
  }
}
bridge "b" {}
vm "v" {
  image = image.micro
  interface "eth0" {
    bridge = bridge.a
  }
  lifecycle {
    ignore_changes       = [memory, interface.eth0.mac, sysctl["net.ipv4.ip_forward"]]
    replace_triggered_by = [bridge.b]
    postcondition {
      condition     = self.memory >= 64 * 1024 * 1024
      error_message = "Too small."
    }
  }
}
moved {
  from = vm.old
  to   = vm.v
}
removed {
  from    = vm.gone["a"]
  destroy = false
}
import {
  to = bridge.b
  id = "br-${1 + 1}"
}
`})
	lab := load(t, dir, Options{}).Lab
	byAddr := make(map[string]schema.Resource)
	for _, r := range lab.Resources {
		byAddr[r.Addr.String()] = r
	}
	if !byAddr["bridge.a"].Lifecycle.PreventDestroy || byAddr["bridge.b"].Lifecycle.PreventDestroy {
		t.Error("prevent_destroy is on the wrong bridge")
	}
	want := schema.Lifecycle{
		IgnoreChanges: []string{"memory", "interface.eth0.mac", `sysctl["net.ipv4.ip_forward"]`},
		ReplaceOn:     []schema.Addr{{Kind: "bridge", Name: "b"}},
	}
	if d := cmp.Diff(want, byAddr["vm.v"].Lifecycle); d != "" {
		t.Errorf("lifecycle (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]schema.Moved{{From: schema.Addr{Kind: "vm", Name: "old"}, To: schema.Addr{Kind: "vm", Name: "v"}}}, lab.Moved); d != "" {
		t.Errorf("moved (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]schema.Removed{{From: schema.Addr{Kind: "vm", Name: "gone", Key: `"a"`}}}, lab.Removed); d != "" {
		t.Errorf("removed (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]schema.Import{{To: schema.Addr{Kind: "bridge", Name: "b"}, ID: "br-2"}}, lab.Imports); d != "" {
		t.Errorf("imports (-want +got):\n%s", d)
	}
}

func TestRulesets(t *testing.T) {
	dir := write(t, map[string]string{"lab.hcl": base + `
nftables "s" {
  table "inet" "f" {
    comment = "mine"
    set "bad" {
      type     = "ipv4_addr"
      flags    = ["interval"]
      elements = ["10.0.0.0/8", "192.0.2.1"]
    }
    chain "in" {
      hook   = "input"
      policy = "drop"
      rules = [
        "ip saddr @bad drop",
        "jump more",
      ]
    }
    chain "more" {
      rules = ["accept"]
    }
  }
}
nftables "f" {
  ruleset = file("r.nft")
}
nftables "h" {
  ruleset = <<-EOT
    table ip h {
    }
  EOT
}
vm "a" {
  image    = image.micro
  nftables = [nftables.s, nftables.f, nftables.h]
}
`, "r.nft": "#!/usr/sbin/nft -f\nflush ruleset\ntable ip r {\n}\n"})
	set := body[schema.Guest](t, load(t, dir, Options{}).Lab, "vm.a.guest").Ruleset
	want := `table inet f {
	comment "mine"
	set bad {
		type ipv4_addr
		flags interval
		elements = {
			10.0.0.0/8,
			192.0.2.1,
		}
	}
	chain in {
		type filter hook input priority filter; policy drop;
		ip saddr @bad drop
		jump more
	}
	chain more {
		accept
	}
}
#!/usr/sbin/nft -f

table ip r {
}
table ip h {
}
`
	if d := cmp.Diff(want, set.Text); d != "" {
		t.Fatalf("(-want +got):\n%s", d)
	}
	var places []string
	for i, line := range strings.Split(strings.TrimSuffix(set.Text, "\n"), "\n") {
		if text := strings.TrimSpace(line); text == "jump more" || text == "table ip r {" || text == "table ip h {" {
			places = append(places, strings.TrimPrefix(set.Lines[i].String(), dir+"/"))
		}
	}
	if d := cmp.Diff([]string{"lab.hcl:20:9", "r.nft:3", "lab.hcl:33"}, places); d != "" {
		t.Errorf("where lines come from (-want +got):\n%s", d)
	}
}

func TestEvalContext(t *testing.T) {
	res := load(t, "../../examples/holepunch", Options{})
	for text, want := range map[string]string{
		`vm.nat["a"].ip`:             "192.168.111.101",
		`local.sites.b.net`:          "192.168.222",
		`bridge.br0.id`:              "bridge.br0",
		`"${lab.name}:${var.nat_a}"`: "holepunch:port_restricted_cone",
		`join(" ", keys(vm.nat))`:    "a b",
	} {
		expr, diags := hclsyntax.ParseExpression([]byte(text), "eval", hcl.InitialPos)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		got, diags := expr.Value(res.EvalContext())
		if diags.HasErrors() || got.AsString() != want {
			t.Errorf("%s is %#v, errors %v", text, got, diags)
		}
	}
}

func TestRange(t *testing.T) {
	res := load(t, "../../examples/holepunch", Options{})
	client := schema.Addr{Kind: "vm", Name: "client", Key: `"a"`}
	for path, want := range map[string]string{
		"memory":                      `"128MiB"`,
		"interface.eth0.addresses[0]": `"${each.value.net}.100/24"`,
		"interface.eth0.mac":          `interface "eth0"`,
		"route.default.via":           `"${each.value.net}.101"`,
		"nothing":                     `vm "client"`,
	} {
		at := res.Range(client, path)
		if got := string(at.SliceBytes(res.Files[at.Filename].Bytes)); got != want {
			t.Errorf("%s stands at %s", path, got)
		}
	}
	guest := client
	guest.Part = "guest"
	if res.Range(guest, "nftables.text") != res.Range(client, "nftables") {
		t.Error("a part's attribute stands elsewhere than the block's")
	}
}
