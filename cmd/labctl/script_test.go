package main

import (
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
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
	if params.Cmds == nil {
		params.Cmds = map[string]func(*testscript.TestScript, bool, []string){}
	}
	maps.Copy(params.Cmds, map[string]func(*testscript.TestScript, bool, []string){"code": code, "hush": hush, "page": page})
	testscript.Run(t, params)
}

// secret is what no output of any command may show, in any form.
const secret = "Zq7SentinelX"

// hush runs a command and demands that its output does not show the secret: hush labctl plan. With ! it fails.
func hush(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec(args[0], args[1:]...)
	if (err != nil) != neg {
		ts.Fatalf("%v: %v", args, err)
	}
	for _, stream := range []string{"stdout", "stderr"} {
		keeps(ts, fmt.Sprint(args, " on ", stream), ts.ReadFile(stream))
	}
}

// keeps fails where text shows the secret.
func keeps(ts *testscript.TestScript, what, text string) {
	lower := strings.ToLower(text)
	for offset := range 3 { // Base64 has three forms of a text, by where in it the text begins
		form := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\x00", offset) + secret))
		if form = strings.ToLower(form[4 : len(form)-4]); strings.Contains(lower, form) {
			ts.Fatalf("%s shows the secret in Base64", what)
		}
	}
	if i := strings.Index(lower, strings.ToLower(secret)); i >= 0 {
		ts.Fatalf("%s shows the secret: …%s…", what, text[max(0, i-200):min(len(text), i+80)])
	}
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
