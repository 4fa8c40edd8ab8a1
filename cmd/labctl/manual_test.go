package main

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/schema/table"
)

// pages are the manual's pages by their path, the generated ones aside.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	read := func(path string) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[path] = string(text)
	}
	read("../../README.md")
	err := filepath.WalkDir("../../docs", func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".md") && !strings.Contains(path, "/reference/") {
			read(path)
		}
		return err
	})
	if err != nil || len(all) < 10 {
		t.Fatalf("%d pages: %v", len(all), err)
	}
	return all
}

// TestManualNamesWhatThereIs reads every command that the manual shows: it must be there, with the flags that are shown.
func TestManualNamesWhatThereIs(t *testing.T) {
	root := newRoot()
	root.InitDefaultCompletionCmd()
	shown := regexp.MustCompile("(?:^|[`\\s])labctl ([a-z]+)([^`|&;\n]*)")
	flag := regexp.MustCompile(`^--?([a-z][a-z-]*)`)
	found := 0
	all := pages(t)
	all["the examples of the help"] = "```\n" + strings.Join(slices.Collect(maps.Values(examples)), "\n") + "\n```"
	for path, text := range all {
		for _, m := range shown.FindAllStringSubmatch(codeOf(text), -1) {
			cmd, _, err := root.Find([]string{m[1]})
			if err != nil || cmd == root {
				t.Errorf("%s: there is no command %q", path, "labctl "+m[1])
				continue
			}
			found++
			words, _, _ := strings.Cut(m[2], " -- ")
			for _, word := range strings.Fields(words) {
				if f := flag.FindStringSubmatch(word); f != nil && !hasFlag(cmd, f[1]) {
					t.Errorf("%s: labctl %s has no flag -%s", path, m[1], f[1])
				}
			}
		}
	}
	if found < 60 {
		t.Errorf("%d commands are shown in all", found)
	}
}

func hasFlag(cmd *cobra.Command, name string) bool {
	if cmd.Flags().Lookup(name) != nil || cmd.InheritedFlags().Lookup(name) != nil || name == "help" {
		return true
	}
	if len(name) == 1 && cmd.Flags().ShorthandLookup(name) != nil {
		return true
	}
	for _, sub := range cmd.Commands() {
		if hasFlag(sub, name) {
			return true
		}
	}
	return false
}

// codeOf is what stands in backquotes, in fences and in indented lines.
func codeOf(text string) string {
	var b strings.Builder
	fenced := false
	inline := regexp.MustCompile("`[^`\n]+`")
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "```"):
			fenced = !fenced
		case fenced, strings.HasPrefix(line, "    "):
			comment := strings.Index(line, " #")
			if comment >= 0 {
				line = line[:comment] + "\n"
			}
			b.WriteString(line)
		default:
			for _, span := range inline.FindAllString(line, -1) {
				b.WriteString(span + "\n")
			}
		}
	}
	return b.String()
}

// TestManualLinksLeadSomewhere follows the links between pages, to examples and to pictures.
func TestManualLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]+)`)
	for path, text := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}

// TestManualNamesEveryPackage that scripts/packages.sh installs.
func TestManualNamesEveryPackage(t *testing.T) {
	script, err := os.ReadFile("../../scripts/packages.sh")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(script), "packages=(\n")
	list, _, _ = strings.Cut(list, "\n)\n")
	page := pages(t)["../../docs/install.md"]
	count := 0
	for line := range strings.Lines(list) {
		line, _, _ = strings.Cut(line, "#")
		for _, name := range strings.Fields(line) {
			count++
			if !regexp.MustCompile("[` ]" + regexp.QuoteMeta(name) + "[` ]").MatchString(page) {
				t.Errorf("docs/install.md does not name the package %s", name)
			}
		}
	}
	if count < 20 {
		t.Errorf("%d packages", count)
	}
}

// TestManualHasAPageForEachExample and for nothing else.
func TestManualHasAPageForEachExample(t *testing.T) {
	labs, err := filepath.Glob("../../examples/*/lab.hcl")
	if err != nil {
		t.Fatal(err)
	}
	index, err := os.ReadFile("../../docs/labs/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, lab := range labs {
		name := filepath.Base(filepath.Dir(lab))
		page, err := os.ReadFile("../../docs/labs/" + name + ".md")
		if err != nil || !strings.Contains(string(page), "../../examples/"+name+"/lab.hcl") {
			t.Errorf("the example %s has no page that leads to it: %v", name, err)
		}
		if !strings.Contains(string(index), "["+name+"]("+name+".md)") {
			t.Errorf("the page of %s is not in the index", name)
		}
	}
}

// TestRecipeNamesArgumentsOfTheLanguage reads the words in backquotes on the right side of the recipe's tables: those that
// look like an argument or a block must be in the table of blocks.
func TestRecipeNamesArgumentsOfTheLanguage(t *testing.T) {
	known := map[string]bool{"default": true}
	var learn func(blocks []table.Block)
	learn = func(blocks []table.Block) {
		for _, b := range blocks {
			known[b.Kind] = true
			for _, a := range b.Attrs {
				known[a.Name] = true
			}
			learn(b.Blocks)
		}
	}
	learn(table.Root().Blocks)
	text := pages(t)["../../docs/from-the-manual-recipe.md"]
	word := regexp.MustCompile("`([a-z0-9_]+)(?: = [^`]*| \\{[^`]*| \"[^`]*)?`")
	checked := 0
	for line := range strings.Lines(text) {
		columns := strings.Split(line, " | ")
		if len(columns) < 2 {
			continue
		}
		for _, m := range word.FindAllStringSubmatch(columns[1], -1) {
			checked++
			if !known[m[1]] && m[1] != "templatefile" {
				t.Errorf("%q is no word of the language: %s", m[1], strings.TrimSpace(line))
			}
		}
	}
	if checked < 25 {
		t.Errorf("%d words were checked", checked)
	}
}
