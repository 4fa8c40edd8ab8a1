package function

import (
	"fmt"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"

	"github.com/hashicorp/hcl/v2/ext/typeexpr"

	"github.com/labctl/labctl/schema"
)

func param(name string, ty cty.Type) function.Parameter {
	return function.Parameter{Name: name, Type: ty}
}

// ofStrings is a function from strings to something.
func ofStrings(result cty.Type, names []string, f func(args []string) (cty.Value, error)) function.Function {
	params := make([]function.Parameter, len(names))
	for i, name := range names {
		params[i] = param(name, cty.String)
	}
	return function.New(&function.Spec{
		Params: params, Type: function.StaticReturnType(result),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			texts := make([]string, len(args))
			for i, arg := range args {
				texts[i] = arg.AsString()
			}
			return f(texts)
		},
	})
}

// mac derives a MAC address from a seed, as the interfaces that declare none do.
func mac() function.Function {
	return ofStrings(cty.String, []string{"seed"}, func(args []string) (cty.Value, error) {
		return cty.StringVal(schema.MAC(args[0])), nil
	})
}

func startsWith() function.Function {
	return ofStrings(cty.Bool, []string{"text", "prefix"}, func(args []string) (cty.Value, error) {
		return cty.BoolVal(strings.HasPrefix(args[0], args[1])), nil
	})
}

func endsWith() function.Function {
	return ofStrings(cty.Bool, []string{"text", "suffix"}, func(args []string) (cty.Value, error) {
		return cty.BoolVal(strings.HasSuffix(args[0], args[1])), nil
	})
}

func contains() function.Function {
	return ofStrings(cty.Bool, []string{"text", "part"}, func(args []string) (cty.Value, error) {
		return cty.BoolVal(strings.Contains(args[0], args[1])), nil
	})
}

// replace takes a regular expression where the part to replace stands between slashes.
func replace() function.Function {
	return ofStrings(cty.String, []string{"text", "part", "by"}, func(args []string) (cty.Value, error) {
		text, part, by := cty.StringVal(args[0]), args[1], cty.StringVal(args[2])
		if len(part) > 1 && part[0] == '/' && part[len(part)-1] == '/' {
			return stdlib.RegexReplaceFunc.Call([]cty.Value{text, cty.StringVal(part[1 : len(part)-1]), by})
		}
		return stdlib.ReplaceFunc.Call([]cty.Value{text, cty.StringVal(part), by})
	})
}

func timeCompare() function.Function {
	return ofStrings(cty.Number, []string{"a", "b"}, func(args []string) (cty.Value, error) {
		var times [2]time.Time
		for i, text := range args {
			t, err := time.Parse(time.RFC3339, text)
			if err != nil {
				return cty.NilVal, function.NewArgErrorf(i, "%q is not a time such as 2026-01-31T12:00:00Z", text)
			}
			times[i] = t
		}
		return cty.NumberIntVal(int64(times[0].Compare(times[1]))), nil
	})
}

// length is that of a text, too, in characters.
func length() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowDynamicType: true, AllowUnknown: true, AllowMarked: true}},
		Type: func(args []cty.Value) (cty.Type, error) {
			ty := args[0].Type()
			if ty == cty.String || ty == cty.DynamicPseudoType || ty.IsTupleType() || ty.IsObjectType() || ty.IsCollectionType() {
				return cty.Number, nil
			}
			return cty.Number, fmt.Errorf("it takes a text, a list, a set, a map or an object")
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			value, marks := args[0].Unmark()
			if value.Type() == cty.DynamicPseudoType || !value.IsKnown() {
				return cty.UnknownVal(cty.Number).WithMarks(marks), nil
			}
			var n cty.Value
			var err error
			switch {
			case value.Type() == cty.String:
				n, err = stdlib.Strlen(value)
			case value.Type().IsObjectType():
				n = cty.NumberIntVal(int64(len(value.Type().AttributeTypes())))
			default:
				n, err = stdlib.Length(value)
			}
			if err != nil {
				return cty.NilVal, err
			}
			return n.WithMarks(marks), nil
		},
	})
}

// typeOf is a value's type, written as a type constraint.
func typeOf() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowNull: true, AllowMarked: true}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.StringVal(typeexpr.TypeString(args[0].Type())), nil
		},
	})
}

func sensitive() function.Function {
	return markFunction(func(v cty.Value) cty.Value { return v.Mark(Sensitive) })
}

func nonSensitive() function.Function {
	return markFunction(func(v cty.Value) cty.Value {
		v, _ = v.UnmarkDeep()
		return v
	})
}

func markFunction(f func(cty.Value) cty.Value) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{
			Name: "value", Type: cty.DynamicPseudoType,
			AllowNull: true, AllowUnknown: true, AllowMarked: true, AllowDynamicType: true,
		}},
		Type: func(args []cty.Value) (cty.Type, error) { return args[0].Type(), nil },
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return f(args[0]), nil },
	})
}

func isSensitive() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{
			Name: "value", Type: cty.DynamicPseudoType,
			AllowNull: true, AllowUnknown: true, AllowMarked: true, AllowDynamicType: true,
		}},
		Type: function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.BoolVal(args[0].ContainsMarked()), nil
		},
	})
}

// asList turns any sequence into its elements.
func asList(v cty.Value) []cty.Value {
	if v.LengthInt() == 0 {
		return nil
	}
	return v.AsValueSlice()
}

func fold(name string, all bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{param("list", cty.List(cty.Bool))},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			for i, v := range asList(args[0]) {
				if !v.IsKnown() {
					return cty.UnknownVal(cty.Bool), nil
				}
				if v.IsNull() {
					return cty.NilVal, fmt.Errorf("%s: element %d is null", name, i)
				}
				if v.True() != all {
					return cty.BoolVal(!all), nil
				}
			}
			return cty.BoolVal(all), nil
		},
	})
}

func allTrue() function.Function { return fold("alltrue", true) }
func anyTrue() function.Function { return fold("anytrue", false) }

func sum() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{param("list", cty.List(cty.Number))},
		Type:   function.StaticReturnType(cty.Number),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			total := cty.Zero
			for i, v := range asList(args[0]) {
				if v.IsNull() {
					return cty.NilVal, function.NewArgErrorf(0, "element %d is null", i)
				}
				total = total.Add(v)
			}
			return total, nil
		},
	})
}

// convertAll converts elements to one type.
func convertAll(values []cty.Value, ty cty.Type) ([]cty.Value, error) {
	out := make([]cty.Value, len(values))
	for i, v := range values {
		converted, err := convert.Convert(v, ty)
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
		out[i] = converted
	}
	return out, nil
}
