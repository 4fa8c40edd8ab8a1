//go:build sandbox

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// variations are further values of variables with which an example is applied, live, and tested.
var variations = map[string][]string{
	"hairpin":           {"hairpin=false"},
	"nat66":             {"nat_a=symmetric"},
	"holepunch-by-hand": {"masquerade=masquerade random"},
}

// ownScript are examples that testdata/sandbox does more with.
var ownScript = []string{"debian-client", "holepunch", "nat-matrix"}

// TestExamples applies every example from nothing, finds nothing more to do, sees its checks pass, also with its variables
// changed while it runs, and leaves nothing behind. What its page shows at a prompt is run too, and prints what the page says.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../../examples/*/lab.hcl")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d examples: %v", len(files), err)
	}
	for _, file := range files { // one after the other: they share the host
		name := filepath.Base(filepath.Dir(file))
		if slices.Contains(ownScript, name) {
			continue
		}
		var script strings.Builder
		lab := "$ROOT/examples/" + name
		fmt.Fprintf(&script, "exec labctl fmt -check %[1]s\nexec labctl apply -auto-approve %[1]s\n", lab)
		fmt.Fprintf(&script, "code 0 labctl plan -detailed-exitcode %[1]s\nexec labctl test %[1]s\nstdout ' 0 failed'\n", lab)
		fmt.Fprintf(&script, "page $ROOT/docs/labs/%s.md %s\n", name, lab)
		for _, v := range variations[name] {
			fmt.Fprintf(&script, "exec labctl apply -auto-approve -test -var '%s' %s\nstdout ' 0 failed'\n", v, lab)
		}
		fmt.Fprintf(&script, "exec labctl destroy -auto-approve %s\nexec labctl list\nstdout 'Nothing here was made by a lab'\n", lab)
		path := filepath.Join(t.TempDir(), name+".txtar")
		if err := os.WriteFile(path, []byte(script.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) { runScripts(t, testscript.Params{Files: []string{path}}) })
	}
}
