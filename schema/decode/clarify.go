package decode

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/labctl/labctl/schema/function"
	"github.com/labctl/labctl/schema/table"
)

// clarify gives the evaluator's diagnostics our own words and suggestions.
func clarify(diags hcl.Diagnostics) {
	for _, d := range diags {
		unknown, isUnknown := hcl.DiagnosticExtra[hclsyntax.FunctionCallUnknownDiagExtra](d)
		call, isCall := hcl.DiagnosticExtra[hclsyntax.FunctionCallDiagExtra](d)
		switch {
		case isUnknown && d.EvalContext != nil:
			d.Summary = fmt.Sprintf("There is no function %q", unknown.CalledFunctionName())
			d.Detail = function.Absent()[unknown.CalledFunctionName()]
			if d.Detail == "" {
				d.Detail = suggest(unknown.CalledFunctionName(), functionNames(d.EvalContext))
			}
		case isCall && call.FunctionCallError() != nil:
			d.Summary = fmt.Sprintf("The function %s has no answer", call.CalledFunctionName())
			d.Detail = sentence(call.FunctionCallError().Error())
			if usesSecret(d) {
				d.Detail = "Why is not shown, since a sensitive value took part."
			}
		case d.Summary == "Unsupported attribute" && d.Expression != nil && d.EvalContext != nil:
			clarifyAttribute(d)
		case d.Summary == "Invalid index" && d.Expression != nil && d.EvalContext != nil:
			clarifyIndex(d)
		}
	}
}

// usesSecret reports whether a sensitive value took part in the expression at fault.
func usesSecret(d *hcl.Diagnostic) bool {
	if d.Expression == nil || d.EvalContext == nil {
		return false
	}
	for _, traversal := range d.Expression.Variables() {
		if v, diags := traversal.TraverseAbs(d.EvalContext); !diags.HasErrors() && v.ContainsMarked() {
			return true
		}
	}
	return false
}

// sentence makes one of an error's text.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	if text[0] >= 'a' && text[0] <= 'z' {
		text = capital(text)
	}
	return strings.TrimSuffix(text, ".") + "."
}

// clarifyIndex says which keys there are.
func clarifyIndex(d *hcl.Diagnostic) {
	for _, traversal := range d.Expression.Variables() {
		for end := 1; end < len(traversal); end++ {
			index, ok := traversal[end].(hcl.TraverseIndex)
			value, diags := traversal[:end].TraverseAbs(d.EvalContext)
			if diags.HasErrors() || !ok || index.Key.Type() != cty.String || value.IsMarked() || !value.IsKnown() {
				continue
			}
			names, _ := attributeNames(value)
			if ty := value.Type(); ty.IsMapType() && !value.IsNull() && value.LengthInt() > 0 {
				names = slices.Sorted(maps.Keys(value.AsValueMap()))
			}
			if names == nil || slices.Contains(names, index.Key.AsString()) {
				continue
			}
			d.Summary = fmt.Sprintf("There is no element %q", index.Key.AsString())
			d.Detail = suggest(index.Key.AsString(), names)
			return
		}
	}
}

func functionNames(ctx *hcl.EvalContext) []string {
	var names []string
	for ; ctx != nil; ctx = ctx.Parent() {
		for name := range ctx.Functions {
			names = append(names, name)
		}
	}
	return names
}

// clarifyAttribute finds the step of the reference that has nothing of its name, and says what there is instead.
func clarifyAttribute(d *hcl.Diagnostic) {
	for _, traversal := range d.Expression.Variables() {
		if d.Subject == nil || !d.Subject.Overlaps(traversal.SourceRange()) && !d.Expression.Range().Overlaps(*d.Subject) {
			continue
		}
		for end := 1; end < len(traversal); end++ {
			attr, ok := traversal[end].(hcl.TraverseAttr)
			value, diags := traversal[:end].TraverseAbs(d.EvalContext)
			if diags.HasErrors() || !ok || !value.IsKnown() {
				continue
			}
			names, instances := attributeNames(value)
			if names == nil || slices.Contains(names, attr.Name) {
				continue
			}
			at := attr.SrcRange
			d.Subject = &at
			d.Summary = fmt.Sprintf("There is no %q here", attr.Name)
			d.Detail = suggest(attr.Name, names)
			if instances {
				d.Detail = fmt.Sprintf("The block has several instances; name one of them: [%q].", names[0])
			}
			return
		}
	}
}

// attributeNames lists the attributes of an object; instances says that they are the instances of a block.
func attributeNames(v cty.Value) (names []string, instances bool) {
	ty := v.Type()
	if !ty.IsObjectType() || v.IsNull() {
		return nil, false
	}
	instances = len(ty.AttributeTypes()) > 0
	for name, attr := range ty.AttributeTypes() {
		names = append(names, name)
		instances = instances && attr.IsObjectType() && attr.HasAttribute("id")
	}
	slices.Sort(names)
	return names, instances && !ty.HasAttribute("id") && table.Nearest("id", names) == ""
}
