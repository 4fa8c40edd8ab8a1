package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/schema"
)

const small = `lab "t" {}
image "micro" { build = "micro" }
bridge "br0" {}
vm "a" {
  for_each = toset(["x", "y"])
  image    = image.micro
}
`

func TestImportForEach(t *testing.T) {
	dir := write(t, map[string]string{"lab.hcl": small + `
import {
  for_each = { x = "old-x", y = "old-y" }
  to       = vm.a[each.key]
  id       = each.value
}
`})
	want := []schema.Import{
		{To: schema.Addr{Kind: "vm", Name: "a", Key: `"x"`}, ID: "old-x"}, {To: schema.Addr{Kind: "vm", Name: "a", Key: `"y"`}, ID: "old-y"},
	}
	if diff := cmp.Diff(want, load(t, dir, Options{}).Lab.Imports); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for bad, message := range map[string]string{
		`import { to = vm.a["z"]
 id = "x" }`: `vm.a["z"] is not declared`, `import {
  for_each = ["x"]
  to = vm.a[each.key]
  id = "x" }`: "for_each takes no list", `import {
  to = vm.a[null]
  id = "x"
}`: "This is not an instance's key",
	} {
		if got := said(t, write(t, map[string]string{"lab.hcl": small + strings.ReplaceAll(bad, "{ to", "{\n to")}), Options{}); !strings.Contains(got, message) {
			t.Errorf("%s is answered with %s", bad, got)
		}
	}
}

func TestReplaceTriggeredByArgument(t *testing.T) {
	block := func(triggers string) string {
		return write(t, map[string]string{"lab.hcl": small + "vm \"b\" {\n  image = image.micro\n  lifecycle {\n    replace_triggered_by = [" + triggers + "]\n  }\n}\n"})
	}
	lab := load(t, block(`bridge.br0.mac, vm.a["x"].memory, vm.a`), Options{}).Lab
	for _, r := range lab.Resources {
		if r.Addr.String() != "vm.b" {
			continue
		}
		want := []schema.Argument{
			{Addr: schema.Addr{Kind: "bridge", Name: "br0"}, Path: "mac"}, {Addr: schema.Addr{Kind: "vm", Name: "a", Key: `"x"`}, Path: "memory"},
		}
		if diff := cmp.Diff(want, r.Lifecycle.ReplaceOnArgument); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if len(r.Lifecycle.ReplaceOn) != 1 {
			t.Errorf("blocks: %v", r.Lifecycle.ReplaceOn)
		}
	}
	if got := said(t, block("bridge.br0.mtuu"), Options{}); !strings.Contains(got, `Did you mean "mtu"?`) {
		t.Errorf("a misspelt argument is answered with %s", got)
	}
}
