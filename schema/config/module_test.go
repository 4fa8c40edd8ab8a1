package config

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/schema"
)

const nestedSite = `
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

const nestedVMs = `
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

const nestedLab = `
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
`

func TestModules(t *testing.T) {
	dir := write(t, map[string]string{
		"lab.hcl": base + nestedLab, "site/site.hcl": nestedSite, "vms/vms.hcl": nestedVMs,
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
