package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/labctl/labctl/internal/argv"
)

func TestErrandTellsNothingThatIsEvaluatedHere(t *testing.T) {
	for line, want := range map[string]string{
		"plan -var pw=hunter2 -var-file secrets.hclvars -chdir /x -ssh a@b -out p.plan -target vm.a -target vm.b lab": "plan --out=p.plan --target=vm.a --target=vm.b -- lab",
		"-no-color exec -timeout 5s vm.a -- sh -c x":                                                                  "exec --no-color=true --timeout=5s -- vm.a -- sh -c x",
		"exec vm.a ls -l":              "exec -- vm.a ls -l",
		"image list -json":             "image list --json=true --",
		"capture a eth0 -w - -count 1": "capture --count=1 --write=- -- a eth0",
	} {
		root := newRoot()
		words := argv.Normalise(root, strings.Fields(line))
		cmd, rest, err := root.Find(words)
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.ParseFlags(rest); err != nil {
			t.Fatal(err)
		}
		e := errand(cmd, cmd.Flags().Args())
		if got := strings.Join(e.Args, " "); got != want {
			t.Errorf("%s\n is %s\nnot %s", line, got, want)
		}
		if out := slices.Contains(e.Writable, "p.plan"); out != strings.Contains(line, "p.plan") {
			t.Errorf("%s writes %q", line, e.Writable)
		}
	}
}
