package grid

import (
	"encoding/json"
	"slices"
	"strings"
)

// SpellOut are the words of a command with the values of its axes in the place of the expressions after --grid=, which only the
// lab's files can tell the meaning of.
func SpellOut(words []string, axes []Axis) []string {
	const flag = "--grid="
	words = slices.Clone(words)
	for n := range words {
		if words[n] == "--" {
			break
		}
		if strings.HasPrefix(words[n], flag) && len(axes) > 0 {
			words[n] = flag + axes[0].Variable + "=" + list(axes[0].Values)
			axes = axes[1:]
		}
	}
	return words
}

// list is texts as a list in HCL: as JSON has it, but that ${ and %{ would be taken for more than text.
func list(texts []string) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(texts); err != nil {
		panic(err) // texts only: it cannot fail
	}
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(strings.TrimSpace(b.String()))
}
