package decode

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/labctl/labctl/schema/diag"
	"github.com/labctl/labctl/schema/table"
)

func describe(def *table.Block) string {
	if def.Kind == "" {
		return "a lab file"
	}
	article := "a"
	if strings.ContainsRune("aeiou", rune(def.Kind[0])) {
		article = "an"
	}
	return article + " " + def.Kind + " block"
}

// suggest completes a message with the name that was meant, or with those that there are.
func suggest(name string, candidates []string) string {
	if nearest := table.Nearest(name, candidates); nearest != "" {
		return fmt.Sprintf("Did you mean %q?", nearest)
	}
	sorted := slices.Sorted(slices.Values(candidates))
	switch {
	case len(sorted) == 0:
		return "It takes none."
	case len(sorted) <= 12:
		return "There are: " + strings.Join(sorted, ", ") + "."
	}
	return ""
}

// oneOf says which words are allowed, the likeliest first.
func oneOf(word string, enum []string) string {
	if nearest := table.Nearest(word, enum); nearest != "" {
		return fmt.Sprintf("Did you mean %q? It is one of: %s.", nearest, strings.Join(enum, ", "))
	}
	return "It is one of: " + strings.Join(enum, ", ") + "."
}

func unknownArgument(def *table.Block, name string, subject, whole hcl.Range) *hcl.Diagnostic {
	attrs, blocks := def.Names()
	detail := def.Instead[name]
	if detail != "" {
		return diag.In(diag.New(diag.UnknownArgument, subject, fmt.Sprintf("There is no %q in %s", name, describe(def)), detail), whole)
	}
	if slices.Contains(blocks, name) {
		detail = fmt.Sprintf("%s is a nested block. Write it with braces and without the equals sign: %s", name, header(def.Block(name)))
	} else if nearest := table.Nearest(name, attrs); nearest != "" {
		detail = fmt.Sprintf("Did you mean %q?", nearest)
	} else if nearest := table.Nearest(name, blocks); nearest != "" {
		detail = fmt.Sprintf("Did you mean the nested block %s?", header(def.Block(nearest)))
	} else if isComputed(def, name) {
		detail = "It is worked out by labctl, and may be referred to, but not set."
	} else {
		detail = suggest(name, attrs)
	}
	return diag.In(diag.New(diag.UnknownArgument, subject,
		fmt.Sprintf("There is no argument %q in %s", name, describe(def)), detail), whole)
}

func isComputed(def *table.Block, name string) bool {
	return slices.ContainsFunc(def.Attrs, func(a table.Attr) bool { return a.Name == name && a.Computed })
}

func unknownBlock(parent *table.Block, block *hclsyntax.Block) *hcl.Diagnostic {
	attrs, blocks := parent.Names()
	detail := parent.Instead[block.Type]
	if detail != "" {
		return diag.In(diag.New(diag.UnknownBlock, block.TypeRange, fmt.Sprintf("There is no %q in %s", block.Type, describe(parent)), detail), block.DefRange())
	}
	if slices.Contains(attrs, block.Type) {
		detail = fmt.Sprintf("%s is an argument. Write it with an equals sign: %s = …", block.Type, block.Type)
	} else {
		detail = suggest(block.Type, blocks)
	}
	return diag.In(diag.New(diag.UnknownBlock, block.TypeRange,
		fmt.Sprintf("There is no %q block in %s", block.Type, describe(parent)), detail), block.DefRange())
}
