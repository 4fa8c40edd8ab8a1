package tree

import (
	"slices"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Without is a netplan file's text without a bridge's stanza; nil where nothing but the version is left of it. What stands
// elsewhere in it, comments too, is kept.
func Without(text []byte, bridge string) []byte {
	parsed, err := parser.ParseBytes(text, parser.ParseComments)
	if err != nil {
		return text
	}
	left := 0
	for _, doc := range parsed.Docs {
		for _, network := range values(doc.Body) {
			sections, isMapping := network.Value.(*ast.MappingNode)
			if keyOf(network) != "network" || !isMapping {
				left++
				continue
			}
			for _, section := range sections.Values {
				if bridges, ok := section.Value.(*ast.MappingNode); ok && keyOf(section) == "bridges" {
					bridges.Values = slices.DeleteFunc(bridges.Values, func(v *ast.MappingValueNode) bool { return keyOf(v) == bridge })
				}
			}
			sections.Values = slices.DeleteFunc(sections.Values, func(v *ast.MappingValueNode) bool {
				bridges, ok := v.Value.(*ast.MappingNode)
				return ok && keyOf(v) == "bridges" && len(bridges.Values) == 0
			})
			for _, section := range sections.Values {
				if keyOf(section) != "version" {
					left++
				}
			}
		}
	}
	if left == 0 {
		return nil
	}
	return []byte(parsed.String() + "\n")
}
