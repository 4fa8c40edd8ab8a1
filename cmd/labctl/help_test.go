package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// everyCommand calls f with each command that a user may run, root aside.
func everyCommand(cmd *cobra.Command, f func(*cobra.Command)) {
	for _, sub := range cmd.Commands() {
		if !sub.Hidden {
			f(sub)
			everyCommand(sub, f)
		}
	}
}

// TestHelpOfEveryCommand: it fits a terminal of 80 columns, writes flags as the manual does, and shows an example.
func TestHelpOfEveryCommand(t *testing.T) {
	count := 0
	everyCommand(newRoot(), func(cmd *cobra.Command) {
		count++
		var out bytes.Buffer
		cmd.Root().SetOut(&out)
		if err := cmd.Help(); err != nil {
			t.Fatal(err)
		}
		examples := false
		for line := range strings.Lines(out.String()) {
			line = strings.TrimRight(line, "\n")
			examples = strings.HasPrefix(line, "Examples:") || examples && strings.HasPrefix(line, "  ")
			if n := len([]rune(line)); n > 80 && !examples {
				t.Errorf("%s: a line of %d columns: %s", cmd.CommandPath(), n, line)
			}
			if strings.HasPrefix(strings.TrimSpace(line), "--") {
				t.Errorf("%s: a flag with two dashes: %s", cmd.CommandPath(), line)
			}
		}
		builtin := cmd.Name() == "help" || cmd.HasParent() && cmd.Parent().Name() == "completion"
		if cmd.Runnable() && !builtin && !strings.Contains(out.String(), "\nExamples:\n  ") {
			t.Errorf("%s shows no example", cmd.CommandPath())
		}
	})
	if count < 40 {
		t.Errorf("there are %d commands", count)
	}
}

// TestManualHasEveryCommand and every flag of each, on the page of commands.
func TestManualHasEveryCommand(t *testing.T) {
	page := pages(t)["../../docs/commands.md"]
	var rows []string
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "| ") {
			rows = append(rows, line)
		}
	}
	everyCommand(newRoot(), func(cmd *cobra.Command) {
		path := strings.TrimPrefix(cmd.CommandPath(), "labctl ")
		if cmd.Name() == "help" || strings.HasPrefix(path, "completion ") {
			return
		}
		words := strings.Fields(path)
		text := ""
		for _, row := range rows {
			named := strings.Contains(row, "`"+words[0]+"`") || strings.Contains(row, "`"+words[0]+" ") || strings.Contains(row, "`"+words[0]+",")
			if named && (len(words) == 1 || strings.Contains(row, words[1])) {
				text += row
			}
		}
		if text == "" {
			t.Errorf("docs/commands.md does not have %s", cmd.CommandPath())
			return
		}
		cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && f.Name != "help" && !strings.Contains(text, "-"+f.Name) && (f.Shorthand == "" || !strings.Contains(text, "-"+f.Shorthand)) {
				t.Errorf("docs/commands.md does not have %s -%s", cmd.CommandPath(), f.Name)
			}
		})
	})
}
