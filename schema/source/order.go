package source

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/labctl/labctl/schema/diag"
)

// Sorted puts declarations into an order in which each comes after all that it needs. Those on a circle, which is told, are left
// out, and with them what needs them.
func Sorted(decls []*Decl) ([]*Decl, hcl.Diagnostics) {
	const (
		entered = 1
		done    = 2
		broken  = 3
	)
	state := make(map[*Decl]int, len(decls))
	var out, path []*Decl
	var diags hcl.Diagnostics
	var visit func(d *Decl) bool
	visit = func(d *Decl) bool {
		switch state[d] {
		case done:
			return true
		case broken:
			return false
		case entered:
			diags = append(diags, cycle(path, d))
			return false
		}
		state[d] = entered
		path = append(path, d)
		ok := true
		for _, needed := range d.needs {
			ok = visit(needed) && ok
		}
		path = path[:len(path)-1]
		if !ok {
			state[d] = broken
			return false
		}
		state[d] = done
		out = append(out, d)
		return true
	}
	for _, d := range decls {
		visit(d)
	}
	return out, diags
}

// cycle tells of the circle that path closes when it comes to d again.
func cycle(path []*Decl, d *Decl) *hcl.Diagnostic {
	start := 0
	for i := range path {
		if path[i] == d {
			start = i
		}
	}
	var chain []string
	for _, step := range path[start:] {
		chain = append(chain, step.String())
	}
	chain = append(chain, d.String())
	summary := fmt.Sprintf("%s depends on itself", d)
	detail := "Write one of the values without its reference: " + strings.Join(chain, " → ") + "."
	if len(chain) == 2 {
		detail = "Its own value is needed to find it. Write it without the reference to itself."
		if d.Name.Kind != "local" && d.Name.Kind != "var" {
			detail = "Instances of one block cannot refer to one another. Put the common value into locals."
		}
	}
	return diag.New(diag.Cycle, d.At, summary, detail)
}
