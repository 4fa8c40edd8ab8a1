package decode

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/labctl/labctl/schema/function"
)

// pointsTo reports whether an expression's value is a block, or has one, and is as a whole no secret.
func pointsTo(expr hcl.Expression, ctx *hcl.EvalContext) bool {
	v, _ := expr.Value(ctx) // it was evaluated without complaint before
	if v.IsMarked() || v.IsNull() || !v.Type().IsObjectType() {
		return false
	}
	if v.Type().HasAttribute("id") {
		return !v.GetAttr("id").IsMarked()
	}
	for name := range v.Type().AttributeTypes() {
		part := v.GetAttr(name)
		block := part.Type().IsObjectType() && !part.IsMarked() && part.Type().HasAttribute("id") && !part.GetAttr("id").IsMarked()
		if part.ContainsMarked() && !block {
			return false
		}
	}
	return true
}

// Secrets collects the texts in the values that must not be shown.
func (n *Node) Secrets(into map[string]bool) {
	for i := range n.values {
		v := &n.values[i].value
		switch {
		case v.Sensitive && v.secrets == nil:
			Secrets(v.Value, into)
		case v.Sensitive:
			for _, text := range *v.secrets {
				into[text] = true
			}
		}
	}
	for _, child := range n.Nodes {
		child.Secrets(into)
	}
}

// Secrets collects the texts in a value.
func Secrets(v cty.Value, into map[string]bool) {
	for _, text := range function.Secrets(v, true) {
		into[text] = true
	}
}

// SensitivePaths lists the arguments whose values must not be shown, by path in the language's words.
func (n *Node) SensitivePaths() []string {
	var paths []string
	for i := range n.values {
		if n.values[i].value.Sensitive {
			paths = append(paths, n.values[i].name)
		}
	}
	for _, child := range n.Nodes {
		prefix := child.Def.Kind
		if len(child.Labels) > 0 {
			prefix += Step(child.Label())
		}
		for _, path := range child.SensitivePaths() {
			paths = append(paths, prefix+"."+path)
		}
	}
	slices.Sort(paths)
	return paths
}
