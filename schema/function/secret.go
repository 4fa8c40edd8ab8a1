package function

import "github.com/zclconf/go-cty/cty"

// mark is the type of Sensitive, so that no other package's mark equals it.
type mark string

// Sensitive is the mark on values that must not be shown.
const Sensitive mark = "sensitive"

// Secrets are the texts of a value that are sensitive, or are in something that is: what else stands in a list with a secret is none.
// With all, every text counts.
func Secrets(v cty.Value, all bool) []string { return secrets(v, all, nil) }

func secrets(v cty.Value, within bool, texts []string) []string {
	v, marks := v.Unmark()
	if _, ok := marks[Sensitive]; ok {
		within = true
	}
	switch {
	case !v.IsKnown() || v.IsNull():
	case v.Type() == cty.String && within:
		return append(texts, v.AsString())
	case v.CanIterateElements():
		for it := v.ElementIterator(); it.Next(); {
			_, element := it.Element()
			texts = secrets(element, within, texts)
		}
	}
	return texts
}
