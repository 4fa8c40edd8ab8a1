//go:build sandbox

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestFirstLab does what docs/first-lab.md says, command by command: the lab comes up, a change of it and what was changed
// behind labctl's back are shown and made so, and nothing is left at the end.
func TestFirstLab(t *testing.T) {
	text, err := os.ReadFile("../../docs/first-lab.md")
	if err != nil {
		t.Fatal(err)
	}
	var script, labs strings.Builder
	var lab string
	blocks, commands, inBlock := 0, 0, false
	for line := range strings.Lines(string(text)) {
		command, indented := strings.TrimSpace(line), strings.HasPrefix(line, "    ")
		switch {
		case strings.HasPrefix(line, "```hcl"):
			inBlock, blocks, lab = true, blocks+1, lab+"\x00"
		case strings.HasPrefix(line, "```"):
			inBlock = false
			lab = changedLab(t, lab)
			fmt.Fprintf(&labs, "-- %d.text --\n%s", blocks, lab)
			fmt.Fprintf(&script, "cp %d.text lab.hcl\n", blocks)
		case inBlock:
			lab += line
		case indented && !strings.Contains(command, "labctl sandbox"):
			commands++
			command = regexp.MustCompile(`^labctl (apply|destroy)`).ReplaceAllString(command, "$0 -auto-approve")
			fmt.Fprintf(&script, "exec sh -c '%s'\n", command)
			if command == "labctl plan" && strings.Contains(script.String(), "flush ruleset") {
				script.WriteString("stdout 'bridge.br0.*drift'\nstdout 'vm.web.guest.*drift'\n")
			}
		}
	}
	script.WriteString("exec labctl list\nstdout 'Nothing here was made by a lab'\n")
	if blocks != 2 || commands < 9 {
		t.Fatalf("the page has %d labs and %d commands", blocks, commands)
	}
	path := filepath.Join(t.TempDir(), "first-lab.txtar")
	if err := os.WriteFile(path, []byte(script.String()+labs.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	runScripts(t, testscript.Params{Files: []string{path}})
}

// changedLab is the lab of the page's first block, with what its second adds: blocks, and arguments of the machine.
func changedLab(t *testing.T, lab string) string {
	t.Helper()
	parts := strings.Split(strings.TrimPrefix(lab, "\x00"), "\x00")
	if len(parts) == 1 {
		return parts[0]
	}
	const machine = "vm \"web\" {\n"
	blocks, arguments, ok := strings.Cut(parts[1], machine)
	if !ok || !strings.Contains(parts[0], machine) {
		t.Fatalf("the page changes no machine:\n%s", parts[1])
	}
	arguments = strings.TrimSuffix(strings.TrimSpace(arguments), "}")
	return strings.Replace(parts[0], machine, machine+arguments, 1) + blocks
}
