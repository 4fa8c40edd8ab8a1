package session

import (
	"strings"
	"testing"

	"github.com/labctl/labctl/schema"
)

func TestFindMachine(t *testing.T) {
	machineAt := func(lab, addr string) Machine {
		parsed, err := schema.ParseAddr(addr)
		if err != nil {
			t.Fatal(err)
		}
		return Machine{Lab: lab, Addr: parsed, Domain: lab + "-" + strings.NewReplacer("vm.", "", `["`, "-", `"]`, "", "[", "-", "]", "").Replace(addr)}
	}
	all := []Machine{
		machineAt("one", `vm.nat["a"]`), machineAt("one", `vm.nat["b"]`), machineAt("one", "vm.client[0]"),
		machineAt("one", "vm.web"), machineAt("two", "vm.web"), machineAt("two", `module.site["x"].vm.r`),
	}
	for _, test := range []struct{ lab, name, want string }{
		{"", `vm.nat["a"]`, "one-nat-a"},
		{"", `nat["a"]`, "one-nat-a"},
		{"", "nat.b", "one-nat-b"},
		{"", "vm.nat.b", "one-nat-b"},
		{"", "client.0", "one-client-0"},
		{"", "client[0]", "one-client-0"},
		{"", "two-web", "two-web"},
		{"one", "web", "one-web"},
		{"two", "vm.web", "two-web"},
		{"three", "nat.a", "one-nat-a"},
		{"", `module.site["x"].vm.r`, `two-module.site-x.r`},
	} {
		got, err := Find(all, test.lab, test.name)
		if err != nil || got.Domain != test.want {
			t.Errorf("Find(%q, %q) is %q, %v; want %s", test.lab, test.name, got.Domain, err, test.want)
		}
	}
	for name, want := range map[string]string{
		"web":      "several machines are called web: say which by the domain's name: one-web (lab one), two-web (lab two)",
		"nat":      "there is no machine nat; there are module.site",
		"bridge.x": "there is no machine bridge.x",
	} {
		if _, err := Find(all, "", name); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("Find(%q): %v", name, err)
		}
	}
	if _, err := Find(nil, "one", "x"); err == nil || !strings.Contains(err.Error(), "is it applied?") {
		t.Errorf("of no machines: %v", err)
	}
}
