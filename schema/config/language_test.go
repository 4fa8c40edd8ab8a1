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
  memory   = "192MiB"
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
		`"x-nat-b","vm.nat[\"b\"]",201326592,"x-plain-1",["vm.plain[0]","vm.plain[1]"],true,"bridge.br0[\"b\"]"]}`
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
	vm := body[schema.Guest](t, res.Lab, "vm.a.guest")
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
    ignore_changes       = [memory, interface.eth0.mac, sysctl["net.ipv4.ip_forward"], sysctl["a@b"], file["/x"].mode]
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
		IgnoreChanges: []string{"memory", "interface.eth0.mac", `sysctl["net.ipv4.ip_forward"]`, `sysctl["a@b"]`, `file["/x"].mode`},
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
