package decode

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/labctl/labctl/schema/table"
)

// clarify gives the evaluator's diagnostics our own suggestions.
func clarify(diags hcl.Diagnostics) {
	for _, d := range diags {
		if call, ok := hcl.DiagnosticExtra[interface {
			CalledFunctionName() string
			FunctionCallError() error
		}](d); ok && call.FunctionCallError() == nil && d.Summary == "Call to unknown function" && d.EvalContext != nil {
			d.Detail = suggest(call.CalledFunctionName(), functionNames(d.EvalContext))
			d.Summary = fmt.Sprintf("There is no function %q", call.CalledFunctionName())
			continue
		}
		if d.Summary == "Unsupported attribute" && d.Expression != nil && d.EvalContext != nil {
			clarifyAttribute(d)
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
