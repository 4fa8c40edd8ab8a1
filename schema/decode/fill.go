package decode

import (
	"fmt"
	"math/big"
	"reflect"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/labctl/labctl/schema/table"
)

// field is a field of a struct of package schema: its JSON name is an argument's, a nested block's or a label's name.
type field struct {
	name  string
	index int
}

type fieldCache map[reflect.Type][]field

func (c fieldCache) of(t reflect.Type) []field {
	if fields, ok := c[t]; ok {
		return fields
	}
	var fields []field
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name != "" && name != "-" {
			fields = append(fields, field{name: name, index: i})
		}
	}
	c[t] = fields
	return fields
}

// Fill sets the fields of the struct that into points to from the node: labels, arguments and nested blocks go into the
// fields of their name. References and values of any type are left to the caller.
func (r *Reader) Fill(n *Node, into any) { r.fill(n, reflect.ValueOf(into).Elem()) }

func (r *Reader) fill(n *Node, s reflect.Value) {
	for _, f := range r.fields.of(s.Type()) {
		dst := s.Field(f.index)
		if v, ok := n.Value(f.name); ok {
			if def := n.Def.Attr(f.name); def != nil && simple(def.Type) && !structured(dst.Type()) {
				set(dst, v.Value)
			}
			continue
		}
		if label := labelOf(n, f.name); label != nil {
			dst.SetString(label.Text)
			continue
		}
		if n.Def.Block(f.name) != nil {
			r.fillBlocks(n, f.name, dst)
		}
	}
}

// structured reports fields that a single argument does not fill: what it stands for takes more than its value.
func structured(t reflect.Type) bool {
	return t.Kind() == reflect.Struct || t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct
}

func simple(t table.Type) bool { return t != table.Ref && t != table.Any && t != table.Endpoint }

func labelOf(n *Node, name string) *Label {
	for i, label := range n.Def.Labels {
		if label.Name == name && i < len(n.Labels) {
			return &n.Labels[i]
		}
	}
	return nil
}

func (r *Reader) fillBlocks(n *Node, kind string, dst reflect.Value) {
	n.Each(kind, func(child *Node) {
		switch dst.Kind() {
		case reflect.Slice:
			dst.Set(reflect.Append(dst, reflect.Zero(dst.Type().Elem())))
			r.fill(child, dst.Index(dst.Len()-1))
		case reflect.Pointer:
			dst.Set(reflect.New(dst.Type().Elem()))
			r.fill(child, dst.Elem())
		case reflect.Struct:
			r.fill(child, dst)
		}
	})
}

// set gives a field a value that the table has checked; a mismatch is a mistake in the table or the struct.
func set(dst reflect.Value, v cty.Value) {
	switch dst.Kind() {
	case reflect.Pointer:
		dst.Set(reflect.New(dst.Type().Elem()))
		set(dst.Elem(), v)
	case reflect.String:
		dst.SetString(v.AsString())
	case reflect.Bool:
		dst.SetBool(v.True())
	case reflect.Int:
		n, _ := v.AsBigFloat().Int64()
		dst.SetInt(n)
	case reflect.Uint64:
		n, _ := v.AsBigFloat().Uint64()
		dst.SetUint(n)
	case reflect.Float64:
		dst.SetFloat(float(v.AsBigFloat()))
	case reflect.Slice:
		dst.Set(reflect.MakeSlice(dst.Type(), v.LengthInt(), v.LengthInt()))
		for i, element := range elements(v) {
			set(dst.Index(i), element)
		}
	case reflect.Map:
		dst.Set(reflect.MakeMap(dst.Type()))
		for it := v.ElementIterator(); it.Next(); {
			key, member := it.Element()
			value := reflect.New(dst.Type().Elem()).Elem()
			set(value, member)
			dst.SetMapIndex(reflect.ValueOf(key.AsString()), value)
		}
	default:
		panic(fmt.Sprintf("decode: a field of kind %s", dst.Kind()))
	}
}

func float(f *big.Float) float64 {
	n, _ := f.Float64()
	return n
}

func elements(v cty.Value) []cty.Value {
	if v.LengthInt() == 0 {
		return nil
	}
	return v.AsValueSlice()
}
