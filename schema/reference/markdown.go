package reference

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"
	ctyfunction "github.com/zclconf/go-cty/cty/function"

	"github.com/labctl/labctl/schema/diag"
	"github.com/labctl/labctl/schema/function"
	"github.com/labctl/labctl/schema/table"
)

// Pages are the reference pages by file name, in Markdown: one a block, functions.md, errors.md and README.md with the contents.
func Pages(root *table.Block) map[string]string {
	pages := make(map[string]string)
	var contents strings.Builder
	contents.WriteString("# Reference\n\nA lab is a folder of `*.hcl` and `*.hcl.json` files that are read together. These are the blocks that stand in them.\n\n| block | |\n| --- | --- |\n")
	for i := range root.Blocks {
		b := &root.Blocks[i]
		pages[b.Kind+".md"] = page(b)
		fmt.Fprintf(&contents, "| [%s](%s.md) | %s |\n", b.Kind, b.Kind, first(b.Doc))
	}
	contents.WriteString("\nAlso: [functions](functions.md), and [what the codes of errors and warnings mean](errors.md).\n")
	pages["README.md"] = contents.String()
	pages["functions.md"] = functions()
	pages["errors.md"] = errorPage()
	return pages
}

// first is a text's first sentence.
func first(doc string) string {
	if sentence, _, more := strings.Cut(doc, ". "); more {
		return sentence + "."
	}
	return doc
}

func page(b *table.Block) string {
	var w strings.Builder
	fmt.Fprintf(&w, "# %s\n\n%s\n", b.Kind, b.Doc)
	if b.Example != "" {
		fmt.Fprintf(&w, "\n```hcl\n%s\n```\n", b.Example)
	}
	section(&w, b, b.Kind, 2)
	return w.String()
}

// section documents a block's labels, arguments and nested blocks.
func section(w *strings.Builder, b *table.Block, path string, depth int) {
	if len(b.Labels) > 0 {
		fmt.Fprintf(w, "\n| label | |\n| --- | --- |\n")
		for _, label := range b.Labels {
			doc := label.Doc
			if len(label.Enum) > 0 {
				doc += " One of: " + code(label.Enum) + "."
			}
			fmt.Fprintf(w, "| %s | %s |\n", label.Name, cell(doc))
		}
	}
	arguments(w, b)
	if b.Free {
		fmt.Fprintf(w, "\nIt takes any further argument.\n")
	}
	for i := range b.Blocks {
		child := &b.Blocks[i]
		fmt.Fprintf(w, "\n%s %s.%s\n\n%s", strings.Repeat("#", min(depth, 6)), path, child.Kind, child.Doc)
		switch child.Count {
		case table.AtMost1:
			w.WriteString(" At most one.")
		case table.Exactly1:
			w.WriteString(" Exactly one.")
		}
		w.WriteString("\n")
		section(w, child, path+"."+child.Kind, depth+1)
	}
}

func arguments(w *strings.Builder, b *table.Block) {
	var set, computed []table.Attr
	for _, a := range b.Attrs {
		if a.Computed {
			computed = append(computed, a)
		} else {
			set = append(set, a)
		}
	}
	if len(set) > 0 {
		fmt.Fprintf(w, "\n| argument | type | default | |\n| --- | --- | --- | --- |\n")
		for i := range set {
			a := &set[i]
			doc := a.Doc
			if len(a.Enum) > 0 {
				doc += " One of: " + code(a.Enum) + "."
			}
			fmt.Fprintf(w, "| `%s` | %s | %s | %s |\n", a.Name, typeName(a), cell(defaultOf(a)), cell(doc))
		}
	}
	if len(computed) > 0 {
		fmt.Fprintf(w, "\nReferences also have:\n\n| attribute | |\n| --- | --- |\n")
		for _, a := range computed {
			doc := a.Doc
			if a.Later {
				doc += " What is known only while the machine runs is for outputs alone."
			}
			fmt.Fprintf(w, "| `%s` | %s |\n", a.Name, cell(doc))
		}
	}
}

func defaultOf(a *table.Attr) string {
	switch {
	case a.Required:
		return "required"
	case a.Default != "":
		return "`" + a.Default + "`"
	}
	return a.Derived
}

func typeName(a *table.Attr) string {
	name := string(a.Type)
	switch a.Type {
	case table.Ref:
		name = a.Ref
	case table.Static:
		name = "address"
	case table.Address:
		name = "ip/length"
	case table.TypeExpr:
		name = "type"
	case table.Text:
		name = "text or number"
	}
	if a.Unit != "" {
		name += " (" + a.Unit + ")"
	}
	switch a.Coll {
	case table.List:
		return "list of " + name
	case table.Map:
		return "map of " + name
	}
	return name
}

func code(words []string) string { return "`" + strings.Join(words, "`, `") + "`" }

// cell makes text fit into a table.
func cell(text string) string { return strings.NewReplacer("|", `\|`, "\n", " ").Replace(text) }

func functions() string {
	all := function.All(".")
	var w strings.Builder
	w.WriteString("# Functions\n\nThey are those of Terraform that make sense without a cloud, under the same names, and `mac(seed)`, which derives a MAC address. Relative paths are taken from the lab's folder. " +
		"There is none that gives something else each time it is called.\n\n")
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&w, "- `%s`\n", signature(name, all[name]))
	}
	w.WriteString("\nThose of Terraform that are missing, and what to write instead:\n\n")
	absent := function.Absent()
	for _, name := range slices.Sorted(maps.Keys(absent)) {
		fmt.Fprintf(&w, "- `%s`: %s\n", name, absent[name])
	}
	return w.String()
}

func signature(name string, f ctyfunction.Function) string {
	var params []string
	for _, p := range f.Params() {
		params = append(params, p.Name+typeSuffix(p.Type))
	}
	if p := f.VarParam(); p != nil {
		params = append(params, p.Name+typeSuffix(p.Type)+"…")
	}
	return name + "(" + strings.Join(params, ", ") + ")"
}

func typeSuffix(ty cty.Type) string {
	if ty == cty.DynamicPseudoType {
		return ""
	}
	return " " + ty.FriendlyNameForConstraint()
}

func errorPage() string {
	var w strings.Builder
	w.WriteString("# Errors and warnings\n\nEach has a code that stays the same. `labctl explain CODE` shows these texts.\n")
	for _, e := range diag.Codes() {
		fmt.Fprintf(&w, "\n## %s: %s\n\n%s\n", e.Code, e.Title, e.Text)
	}
	return w.String()
}
