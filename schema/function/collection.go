package function

import (
	"fmt"
	"maps"
	"slices"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// one is the only element of a list or set that has at most one; null where it has none.
func one() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{param("list", cty.DynamicPseudoType)},
		Type: func(args []cty.Value) (cty.Type, error) {
			ty := args[0].Type()
			switch {
			case ty.IsListType(), ty.IsSetType():
				return ty.ElementType(), nil
			case ty.IsTupleType() && ty.Length() == 0:
				return cty.DynamicPseudoType, nil
			case ty.IsTupleType() && ty.Length() == 1:
				return ty.TupleElementType(0), nil
			case ty.IsTupleType():
				return cty.NilType, function.NewArgErrorf(0, "it has %d elements, and may have one at most", ty.Length())
			}
			return cty.NilType, function.NewArgErrorf(0, "it takes a list, set or tuple")
		},
		Impl: func(args []cty.Value, ty cty.Type) (cty.Value, error) {
			elements := asList(args[0])
			switch len(elements) {
			case 0:
				return cty.NullVal(ty), nil
			case 1:
				return elements[0], nil
			}
			return cty.NilVal, function.NewArgErrorf(0, "it has %d elements, and may have one at most", len(elements))
		},
	})
}

// index is the place of a value in a list.
func index() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{param("list", cty.DynamicPseudoType), param("value", cty.DynamicPseudoType)},
		Type:   function.StaticReturnType(cty.Number),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			ty := args[0].Type()
			if !ty.IsListType() && !ty.IsTupleType() {
				return cty.NilVal, function.NewArgErrorf(0, "it takes a list or tuple")
			}
			for i, v := range asList(args[0]) {
				if equal := v.Equals(args[1]); equal.IsKnown() && equal.True() {
					return cty.NumberIntVal(int64(i)), nil
				}
			}
			return cty.NilVal, fmt.Errorf("the list has no such element")
		},
	})
}

// matchKeys keeps those values whose key, at the same place in keys, is among wanted.
func matchKeys() function.Function {
	list := cty.List(cty.DynamicPseudoType)
	return function.New(&function.Spec{
		Params: []function.Parameter{param("values", list), param("keys", list), param("wanted", list)},
		Type:   func(args []cty.Value) (cty.Type, error) { return args[0].Type(), nil },
		Impl: func(args []cty.Value, ty cty.Type) (cty.Value, error) {
			values, keys := asList(args[0]), asList(args[1])
			if len(values) != len(keys) {
				return cty.NilVal, function.NewArgErrorf(1, "there are %d values and %d keys", len(values), len(keys))
			}
			wanted, err := convertAll(asList(args[2]), args[1].Type().ElementType())
			if err != nil {
				return cty.NilVal, function.NewArgError(2, err)
			}
			var out []cty.Value
			for i, key := range keys {
				if slices.ContainsFunc(wanted, key.RawEquals) {
					out = append(out, values[i])
				}
			}
			if len(out) == 0 {
				return cty.ListValEmpty(ty.ElementType()), nil
			}
			return cty.ListVal(out), nil
		},
	})
}

// transpose swaps keys and values of a map of lists of strings.
func transpose() function.Function {
	ty := cty.Map(cty.List(cty.String))
	return function.New(&function.Spec{
		Params: []function.Parameter{param("map", ty)},
		Type:   function.StaticReturnType(ty),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			swapped := make(map[string][]cty.Value)
			if args[0].LengthInt() == 0 {
				return cty.MapValEmpty(cty.List(cty.String)), nil
			}
			lists := args[0].AsValueMap()
			for _, key := range slices.Sorted(maps.Keys(lists)) {
				for _, v := range asList(lists[key]) {
					if v.IsNull() {
						return cty.NilVal, function.NewArgErrorf(0, "%q has a null element", key)
					}
					swapped[v.AsString()] = append(swapped[v.AsString()], cty.StringVal(key))
				}
			}
			out := make(map[string]cty.Value, len(swapped))
			for key, list := range swapped {
				out[key] = cty.ListVal(list)
			}
			if len(out) == 0 {
				return cty.MapValEmpty(cty.List(cty.String)), nil
			}
			return cty.MapVal(out), nil
		},
	})
}
