package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// The scripts run the real main, in a process of its own for each command.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"labctl": main, "labctl-killed": killed})
}

func TestScripts(t *testing.T) { runScripts(t, testscript.Params{Dir: "testdata/script"}) }

func runScripts(t *testing.T, params testscript.Params) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	params.RequireExplicitExec = true
	params.UpdateScripts = os.Getenv("UPDATE") != ""
	params.Setup = func(env *testscript.Env) error {
		env.Setenv("ROOT", root)
		env.Setenv("LABCTL_GUEST", filepath.Join(root, "bin", "labctl-guest"))
		return nil
	}
	params.Cmds = map[string]func(*testscript.TestScript, bool, []string){"code": code}
	testscript.Run(t, params)
}

// code runs labctl and demands an exit code: code 2 labctl plan -detailed-exitcode.
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N COMMAND...")
	}
	want := args[0]
	script := `"$@"; got=$?; test "$got" = ` + want + ` || { echo "exit code $got, not ` + want + `" >&2; exit 1; }`
	err := ts.Exec("sh", append([]string{"-c", script, "sh"}, args[1:]...)...)
	if err != nil {
		ts.Fatalf("%v", err)
	}
}
