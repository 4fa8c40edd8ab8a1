package config

import (
	"github.com/hashicorp/hcl/v2"

	"github.com/labctl/labctl/schema/source"
)

// Modules lists the lab's own module and those that it uses, outer ones first: for editors, which ask where things are
// declared.
func (r *Result) Modules() []*source.Module {
	if r.root == nil {
		return nil
	}
	var all []*source.Module
	for queue := []*source.Module{r.root.mod}; len(queue) > 0; queue = queue[1:] {
		all = append(all, queue[0])
		queue = append(queue, queue[0].Children...)
	}
	return all
}

// ModuleContext is what expressions in the module's first instance see; nil where there is none.
func (r *Result) ModuleContext(m *source.Module) *hcl.EvalContext {
	if r.eval == nil || len(r.eval.scopes[m]) == 0 {
		return nil
	}
	return r.eval.fullContext(r.eval.scopes[m][0])
}
