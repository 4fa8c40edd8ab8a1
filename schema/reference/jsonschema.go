// Package reference makes what people and editors read about the language from its table: a JSON Schema for labs in JSON
// syntax, and the reference pages in Markdown.
package reference

import (
	"strings"

	"github.com/labctl/labctl/schema/table"
)

// object is a part of a JSON Schema.
type object = map[string]any

// expression is text with a template in it, which may stand for a value of any type.
func expression() object { return object{"type": "string", "pattern": `\$\{|%\{`} }

// JSONSchema describes *.hcl.json files (JSON Schema, draft 2020-12), for editors.
func JSONSchema(root *table.Block) map[string]any {
	m := maker{defs: object{}}
	schema := m.body(root, "")
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["$id"] = "https://labctl.dev/schema/lab.json"
	schema["title"] = "labctl lab"
	schema["$defs"] = m.defs
	return schema
}

// maker collects the bodies of blocks, each once.
type maker struct{ defs object }

// body is what stands between a block's braces.
func (m maker) body(b *table.Block, path string) object {
	properties := object{"//": object{"description": "A remark."}}
	required := []string{}
	for i := range b.Attrs {
		a := &b.Attrs[i]
		if a.Computed {
			continue
		}
		properties[a.Name] = attribute(a)
		if a.Required {
			required = append(required, a.Name)
		}
	}
	for i := range b.Blocks {
		properties[b.Blocks[i].Kind] = m.block(&b.Blocks[i], path)
		if b.Blocks[i].Count == table.Exactly1 && b.Kind != "" {
			required = append(required, b.Blocks[i].Kind)
		}
	}
	if len(b.Blocks) > 0 && b.Kind != "" {
		properties["dynamic"] = object{"type": "object", "description": "Blocks made for each element of a value."}
	}
	out := object{"type": "object", "properties": properties}
	if !b.Free {
		out["additionalProperties"] = false
	}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

// block is a block's labels, each a level of objects, around its body; several of one label are a list.
func (m maker) block(b *table.Block, path string) object {
	path = strings.TrimPrefix(path+"."+b.Kind, ".")
	m.defs[path] = m.body(b, path)
	ref := object{"$ref": "#/$defs/" + path}
	if b.LabelOptional {
		labelled := object{"type": "object", "additionalProperties": ref, "minProperties": 1}
		return object{"description": b.Doc, "anyOf": []any{ref, labelled, object{"type": "array", "items": object{"anyOf": []any{ref, labelled}}}}}
	}
	out := oneOrMore(ref)
	for i := len(b.Labels) - 1; i >= 0; i-- {
		level := object{"type": "object", "additionalProperties": out}
		if enum := b.Labels[i].Enum; len(enum) > 0 {
			level["propertyNames"] = object{"enum": enum}
		}
		name := path + ":" + b.Labels[i].Name
		m.defs[name] = level
		out = oneOrMore(object{"$ref": "#/$defs/" + name})
	}
	out["description"] = b.Doc
	return out
}

func oneOrMore(one object) object {
	return object{"anyOf": []any{one, object{"type": "array", "items": one}}}
}

func attribute(a *table.Attr) object {
	one := value(a)
	switch {
	case a.Type == table.Any:
		return object{"description": describe(a)}
	case a.Coll == table.List:
		one = object{"type": "array", "items": object{"anyOf": []any{one, expression()}}}
	case a.Coll == table.Map:
		one = object{"type": "object", "additionalProperties": object{"anyOf": []any{one, expression()}}}
	}
	out := object{"description": describe(a), "anyOf": []any{one, expression(), object{"type": "null"}}}
	if a.Type == table.Static && a.Coll == table.One || a.Type == table.TypeExpr {
		out = object{"description": describe(a), "type": "string"}
	}
	return out
}

// value is one value of an argument, without expressions.
func value(a *table.Attr) object {
	switch a.Type {
	case table.Bool:
		return object{"type": "boolean"}
	case table.Int, table.Number:
		out := object{"type": map[bool]string{true: "integer", false: "number"}[a.Type == table.Int]}
		if a.Min != nil {
			out["minimum"] = *a.Min
		}
		if a.Max != nil {
			out["maximum"] = *a.Max
		}
		return out
	case table.Size, table.Duration, table.Rate:
		return object{"type": []string{"string", "number"}}
	case table.Text:
		return object{"type": []string{"string", "number", "boolean"}}
	case table.Endpoint:
		return object{"type": []string{"string", "object"}}
	case table.MAC:
		return object{"type": "string", "pattern": "^[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}$"}
	case table.Address:
		return object{"type": "string", "pattern": "^[0-9A-Fa-f.:]+/[0-9]+$"}
	}
	if len(a.Enum) > 0 {
		return object{"enum": a.Enum}
	}
	return object{"type": "string"}
}

// describe is an argument's documentation with its default and unit.
func describe(a *table.Attr) string {
	var b strings.Builder
	b.WriteString(a.Doc)
	if a.Default != "" {
		b.WriteString(" Default: " + strings.Trim(a.Default, `"`) + ".")
	}
	if a.Derived != "" {
		b.WriteString(" Default: " + a.Derived + ".")
	}
	return b.String()
}
