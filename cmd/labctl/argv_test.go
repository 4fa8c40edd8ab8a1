package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/argv"
)

func TestNormalise(t *testing.T) {
	for in, want := range map[string]string{
		"plan -out=x":                               "plan --out=x",
		"-chdir=a plan -out x -json":                "--chdir=a plan --out x --json",
		"plan -var -a=-b=c -json":                   "plan --var -a=-b=c --json",
		"plan --out x -- -json":                     "plan --out x -- -json",
		"exec vm.a ls -la":                          "exec vm.a ls -la",
		"exec -timeout 5s vm.a ls -la":              "exec --timeout 5s vm.a ls -la",
		"sandbox -timings labctl -chdir=x plan":     "sandbox --timings labctl -chdir=x plan",
		"sandbox -- labctl -chdir=x plan":           "sandbox -- labctl -chdir=x plan",
		"fmt -check -":                              "fmt --check -",
		"fmt -h":                                    "fmt -h",
		"plan -nonsense":                            "plan --nonsense",
		"-no-color sandbox -- sandbox -x":           "--no-color sandbox -- sandbox -x",
		"apply -auto-approve plan -var x=1 -json":   "apply --auto-approve plan --var x=1 --json",
		"-chdir sandbox plan -detailed-exitcode":    "--chdir sandbox plan --detailed-exitcode",
		"destroy -lab holepunch -auto-approve":      "destroy --lab holepunch --auto-approve",
		"plan -target vm.nat -target=vm.b examples": "plan --target vm.nat --target=vm.b examples",
	} {
		got := strings.Join(argv.Normalise(newRoot(), strings.Fields(in)), " ")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", in, diff)
		}
	}
}
