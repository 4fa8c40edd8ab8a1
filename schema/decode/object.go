package decode

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/labctl/labctl/schema/function"
	"github.com/labctl/labctl/schema/table"
)

// Object is what a reference to the node gives: all of its arguments, null where not set, and its nested blocks: by label, or
// in order where they have none.
func Object(n *Node) cty.Value { return new(Objects).Of(n) }

// Objects makes objects of many nodes. It keeps the maps that they are made from, one for each depth: cty copies what it is given.
type Objects struct {
	maps  []map[string]cty.Value
	depth int
}

// Of is Object.
func (o *Objects) Of(n *Node) cty.Value {
	if o.depth == len(o.maps) {
		o.maps = append(o.maps, make(map[string]cty.Value, len(n.Def.Attrs)+len(n.Def.Blocks)))
	}
	attrs := o.maps[o.depth]
	clear(attrs)
	o.depth++
	defer func() { o.depth-- }()
	for i := range n.Def.Attrs {
		def := &n.Def.Attrs[i]
		if def.Type == table.Static || metaName(def.Name) {
			continue
		}
		v, ok := n.Value(def.Name)
		switch {
		case !ok && slices.Contains(n.later, def.Name):
			attrs[def.Name] = unknown(def)
		case !ok:
			attrs[def.Name] = null(def)
		case v.Sensitive:
			attrs[def.Name] = v.Mark(function.Sensitive)
		default:
			attrs[def.Name] = v.Value
		}
	}
	for i := range n.Def.Blocks {
		if def := &n.Def.Blocks[i]; def.Kind != "lifecycle" {
			attrs[def.Kind] = o.blocks(n, def)
		}
	}
	return cty.ObjectVal(attrs)
}

// unknown stands for what is known later.
func unknown(def *table.Attr) cty.Value {
	if def.Coll == table.List {
		return cty.UnknownVal(cty.List(cty.String))
	}
	return cty.UnknownVal(cty.String)
}

// null is typed where the argument has one type, so that an operator's message can say what it wanted.
func null(def *table.Attr) cty.Value {
	if def.Coll != table.One {
		return cty.NullVal(cty.DynamicPseudoType)
	}
	switch def.Type {
	case table.Bool:
		return cty.NullVal(cty.Bool)
	case table.Int, table.Number, table.Size, table.Duration, table.Rate:
		return cty.NullVal(cty.Number)
	case table.Any, table.Ref, table.Endpoint:
		return cty.NullVal(cty.DynamicPseudoType)
	}
	return cty.NullVal(cty.String)
}

func (o *Objects) blocks(n *Node, def *table.Block) cty.Value {
	if def.Count == table.AtMost1 || def.Count == table.Exactly1 {
		if child := n.Child(def.Kind); child != nil {
			return o.Of(child)
		}
		return cty.NullVal(cty.DynamicPseudoType)
	}
	if n.Child(def.Kind) == nil {
		if len(def.Labels) == 0 {
			return cty.EmptyTupleVal
		}
		return cty.EmptyObjectVal
	}
	if len(def.Labels) == 0 {
		var list []cty.Value
		n.Each(def.Kind, func(child *Node) { list = append(list, o.Of(child)) })
		return cty.TupleVal(list)
	}
	byLabel := make(map[string]cty.Value)
	n.Each(def.Kind, func(child *Node) { byLabel[child.Labels[len(child.Labels)-1].Text] = o.Of(child) })
	return cty.ObjectVal(byLabel)
}

// Step writes a step of a path as provider.Diff does.
func Step(name string) string {
	odd := strings.ContainsFunc(name, func(r rune) bool {
		return r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
	if odd || name == "" {
		return fmt.Sprintf("[%q]", name)
	}
	return "." + name
}

// Find is where the argument or block of a path stands, such as interface.eth0.addresses[0] or route["10.0.0.0/8"].via;
// where there is none, the nearest block around it.
func (n *Node) Find(path string) hcl.Range {
	steps := splitPath(path)
	for len(steps) > 0 {
		if v, ok := n.Value(steps[0]); ok && v.Expr != nil {
			return findIn(v, steps[1:])
		}
		if attr := n.Attrs[steps[0]]; attr != nil {
			return attr.Expr.Range()
		}
		child, used := n.childAt(steps)
		if child == nil {
			break
		}
		n, steps = child, steps[used:]
	}
	return n.DefRange
}

func findIn(v Value, steps []string) hcl.Range {
	if len(steps) == 0 {
		return v.Place()
	}
	if i, err := strconv.Atoi(steps[0]); err == nil && isSequence(v.Value) {
		return elementRange(v, i)
	}
	return memberRange(v, strings.Join(steps, "."))
}

// childAt is the nested block that steps begin with, and how many of them name it.
func (n *Node) childAt(steps []string) (*Node, int) {
	var found *Node
	used, index := 1, -1
	if len(steps) > 1 {
		if i, err := strconv.Atoi(steps[1]); err == nil {
			index = i
		}
	}
	count := 0
	n.Each(steps[0], func(child *Node) {
		switch {
		case len(child.Labels) == 0 && (index < 0 || index == count):
			if found == nil {
				found = child
			}
			if index >= 0 {
				used = 2
			}
		case len(child.Labels) > 0 && len(steps) > 1 && found == nil:
			if label := child.Labels[len(child.Labels)-1].Text; label == steps[1] || strings.HasPrefix(steps[1], label+" table ") {
				found, used = child, 2
			}
		}
		count++
	})
	return found, used
}

// splitPath splits a.b[0]["c.d"] into its steps.
func splitPath(path string) []string {
	var steps []string
	for path != "" {
		switch {
		case path[0] == '.':
			path = path[1:]
		case strings.HasPrefix(path, `["`):
			quoted, err := strconv.QuotedPrefix(path[1:])
			if err != nil {
				return append(steps, path)
			}
			text, _ := strconv.Unquote(quoted)
			steps = append(steps, text)
			path = strings.TrimPrefix(path[1+len(quoted):], "]")
		case path[0] == '[':
			inside, rest, _ := strings.Cut(path[1:], "]")
			steps, path = append(steps, inside), rest
		default:
			end := strings.IndexAny(path, ".[")
			if end < 0 {
				end = len(path)
			}
			steps, path = append(steps, path[:end]), path[end:]
		}
	}
	return steps
}
