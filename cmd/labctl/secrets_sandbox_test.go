//go:build sandbox

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestSecretsStayHidden takes a lab with a secret in every place that takes text through its life. No output, no saved plan, no
// report and no process's arguments may show it.
func TestSecretsStayHidden(t *testing.T) {
	stop, seen := make(chan struct{}), make(chan []string)
	go func() { seen <- watchArguments(stop) }()
	runScripts(t, testscript.Params{Dir: "testdata/secrets"})
	t.Cleanup(func() {
		close(stop)
		for _, line := range <-seen {
			t.Errorf("a process has the secret among its arguments: %s", line)
		}
	})
}

// watchArguments collects the command lines of processes that show the secret.
func watchArguments(stop <-chan struct{}) (found []string) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return found
		case <-tick.C:
		}
		lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, path := range lines {
			line, err := os.ReadFile(path)
			if err == nil && strings.Contains(strings.ToLower(string(line)), strings.ToLower(secret)) {
				found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
			}
		}
	}
}
