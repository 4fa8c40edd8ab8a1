package main

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/labctl/labctl/schema/config"
	"github.com/labctl/labctl/schema/table"
)

// generated is the blocks that random labs are made of.
var generated = []string{"host", "bridge", "network", "image", "vm", "nftables"}

// TestRandomLabsSayEverything holds the generator against the table of blocks: whatever the language can say is said by random
// labs, or left out with a reason. So an argument that is added fails here until one or the other is done.
func TestRandomLabsSayEverything(t *testing.T) {
	said := map[string]bool{}
	for seed := range 600 {
		g := newGenerator(seed, "/lent")
		g.lab("random")
		maps.Copy(said, g.said)
	}
	known := map[string]bool{}
	var visit func(path string, b *table.Block)
	visit = func(path string, b *table.Block) {
		known[path] = true
		if leftOut[path] != "" {
			if said[path] {
				t.Errorf("%s is said, and left out since it %s", path, leftOut[path])
			}
			return
		}
		for _, a := range b.Attrs {
			where := path + "." + a.Name
			known[where] = true
			switch {
			case a.Computed || slices.Contains(meta, a.Name):
			case said[where] && leftOut[where] != "":
				t.Errorf("%s is said, and left out since it %s", where, leftOut[where])
			case !said[where] && leftOut[where] == "":
				t.Errorf("%s is never said: teach the generator, or write in leftOut why not", where)
			}
		}
		for _, nested := range b.Blocks {
			if !slices.Contains(meta, nested.Kind) {
				visit(path+"."+nested.Kind, &nested)
			}
		}
		if !said[path] {
			t.Errorf("the block %s is never written", path)
		}
	}
	for _, kind := range generated {
		visit(kind, table.Root().Block(kind))
	}
	for _, path := range slices.Sorted(maps.Keys(leftOut)) {
		if !known[path] {
			t.Errorf("%s is left out and is not in the language", path)
		}
	}
	for path := range said {
		if !known[path] {
			t.Errorf("%s is said and is not in the language", path)
		}
	}
}

// variant is what needs a database that is not everywhere.
var variant = regexp.MustCompile(`(?m)^ *os_variant = .*$`)

// TestRandomLabsAreValid: the generator knows the language well enough that hardly a lab is refused.
func TestRandomLabsAreValid(t *testing.T) {
	lent, dir := t.TempDir(), t.TempDir()
	lend(t, lent)
	const labs = 100
	refused := 0
	for seed := range labs {
		text := variant.ReplaceAllString(newGenerator(seed, lent).lab("random"), "")
		if err := os.WriteFile(filepath.Join(dir, "lab.hcl"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, diags := config.Load(dir, config.Options{})
		if diags.HasErrors() {
			refused++
			t.Logf("seed %d: %v\n%s", seed, diags, text)
		}
	}
	if refused > labs/20 {
		t.Errorf("%d of %d labs are refused", refused, labs)
	}
}
