package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
)

// shownCommand is a command that a page shows at a prompt, and what it shows that it prints.
type shownCommand struct {
	command string
	prints  []string
}

// commandsOf reads the commands of a page: an indented line that begins with a prompt, and the indented lines after it.
func commandsOf(page string) (list []shownCommand) {
	open := false
	for line := range strings.Lines(page) {
		text, indented := strings.CutPrefix(strings.TrimRight(line, "\n"), "    ")
		command, prompt := strings.CutPrefix(text, "$ ")
		switch {
		case !indented:
			open = false
		case prompt:
			list, open = append(list, shownCommand{command: command}), true
		case open:
			last := &list[len(list)-1]
			last.prints = append(last.prints, text)
		}
	}
	return list
}

// passing is what differs from run to run: times, ports that the kernel chose, and what counters have counted.
var passing = []struct {
	pattern *regexp.Regexp
	name    string
}{
	{regexp.MustCompile(`\b(\d+(\.\d+)?(h|ms|m|s))+\b`), "TIME"},
	{regexp.MustCompile(`:\d{5}\b`), ":PORT"},
	{regexp.MustCompile(`(^|\s)\d+(\s|$)`), "${1}N${2}"},
}

// lasting is a line without what differs from run to run, its columns as wide as their words.
func lasting(line string) string {
	for _, p := range passing {
		line = p.pattern.ReplaceAllString(line, p.name)
		line = p.pattern.ReplaceAllString(line, p.name) // of two counters side by side one pass sees the first
	}
	return strings.Join(strings.Fields(line), " ")
}

// missing lists the shown lines that are not among the printed ones, in their order; others may stand between them.
func missing(shown, printed []string) (lines []string) {
	at := 0
	for _, want := range shown {
		found := -1
		// A port that the kernel chose may have four digits where the page's has five: it takes any from 1024.
		like := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(lasting(want)), ":PORT", `:(PORT|\d{4})`) + "$")
		for n := at; n < len(printed) && found < 0; n++ {
			if like.MatchString(lasting(printed[n])) {
				found = n
			}
		}
		if found < 0 {
			lines = append(lines, want)
		} else {
			at = found + 1
		}
	}
	return lines
}

// page runs the commands that a page of the manual shows, in the folder of its lab, and demands that they print what it says.
func page(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: page FILE DIR")
	}
	text, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(ts.Chdir(args[1]))
	for _, c := range commandsOf(string(text)) {
		if err := ts.Exec("sh", "-c", c.command); err != nil {
			ts.Fatalf("%s: %s: %v", args[0], c.command, err)
		}
		printed := ts.ReadFile("stdout")
		if lines := missing(c.prints, strings.Split(printed, "\n")); len(lines) > 0 {
			ts.Fatalf("%s: %s prints\n%s\nwhere the page says\n%s", args[0], c.command, printed, strings.Join(lines, "\n"))
		}
	}
}

func TestPagesAreReadAndCompared(t *testing.T) {
	const text = "# Page\n\n    not at a prompt\n\n    $ labctl flows home\n    PROTO  LIVES\n    udp    29s    10.0.0.1:40001\n    $ labctl ip home\n\n    after it\n"
	want := []shownCommand{
		{"labctl flows home", []string{"PROTO  LIVES", "udp    29s    10.0.0.1:40001"}},
		{"labctl ip home", nil},
	}
	got := commandsOf(text)
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(shownCommand{})); diff != "" {
		t.Fatal(diff)
	}
	printed := []string{"PROTO LIVES", "tcp 1m59s 10.0.0.9:80", "udp 3s 10.0.0.1:61234"}
	for _, chosen := range []string{printed[2], "udp 3s 10.0.0.1:3150"} {
		printed[2] = chosen
		if lines := missing(got[0].prints, printed); lines != nil {
			t.Errorf("missed %q", lines)
		}
	}
	for _, other := range []string{"udp 3s 10.0.0.2:61234", "tcp 3s 10.0.0.1:61234", "udp 3s 10.0.0.1:80"} {
		printed[2] = other
		if lines := missing(got[0].prints, printed); len(lines) != 1 {
			t.Errorf("%q counts as %q", other, got[0].prints[1])
		}
	}
	if a, b := lasting("  0      0  drop"), lasting("12 3400 drop"); a != b {
		t.Errorf("%q and %q", a, b)
	}
}

// TestEveryShownCommandIsRun: commands with their output stand in pages of labs alone, where TestExamples runs them.
func TestEveryShownCommandIsRun(t *testing.T) {
	count := 0
	for path, text := range pages(t) {
		for _, c := range commandsOf(text) {
			if filepath.Base(filepath.Dir(path)) != "labs" && len(c.prints) > 0 {
				t.Errorf("%s: nobody runs %s", path, c.command)
			}
			count++
		}
	}
	if count < 8 {
		t.Errorf("%d commands are shown with what they print", count)
	}
}
