//go:build sandbox

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/labctl/labctl/internal/sandbox"
)

// TestSandboxScripts runs the scripts that need a lab host, with real guests.
func TestSandboxScripts(t *testing.T) {
	if os.Getenv(sandbox.Variable) == "" {
		t.Fatal("run this with -exec 'labctl sandbox --': it makes bridges and machines")
	}
	scripts, err := filepath.Glob("testdata/sandbox/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, script := range scripts { // one after the other: they share the host
		t.Run(strings.TrimSuffix(filepath.Base(script), ".txtar"), func(t *testing.T) {
			runScripts(t, testscript.Params{Files: []string{script}})
		})
	}
}
