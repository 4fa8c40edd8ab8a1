package decode

import (
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/labctl/labctl/schema/diag"
	"github.com/labctl/labctl/schema/function"
	"github.com/labctl/labctl/schema/table"
)

// convert turns an argument's value into what the table says of it: collections into lists and maps of checked values,
// sizes, times and rates into numbers of their unit.
func (r *Reader) convert(def *table.Attr, v Value) (cty.Value, hcl.Diagnostics) {
	switch def.Type {
	case table.Any, table.Ref, table.Endpoint:
		return v.Value, collectionOnly(def, v)
	}
	switch def.Coll {
	case table.List:
		return convertList(def, v)
	case table.Map:
		return convertMap(def, v)
	}
	out, d := scalar(def, v.Value, v.Place())
	if d != nil {
		return cty.NilVal, hcl.Diagnostics{d}
	}
	if def.Type == table.Path && out.AsString() != "" {
		out = cty.StringVal(function.Path(r.dir, out.AsString()))
	}
	return out, nil
}

// collectionOnly checks the collection of values whose elements are looked at later.
func collectionOnly(def *table.Attr, v Value) hcl.Diagnostics {
	if def.Coll == table.List && !isSequence(v.Value) || def.Coll == table.Map && !isMapping(v.Value) {
		return hcl.Diagnostics{wrongCollection(def, v)}
	}
	return nil
}

func isSequence(v cty.Value) bool {
	ty := v.Type()
	return ty.IsTupleType() || ty.IsListType() || ty.IsSetType()
}

func isMapping(v cty.Value) bool { return v.Type().IsObjectType() || v.Type().IsMapType() }

func wrongCollection(def *table.Attr, v Value) *hcl.Diagnostic {
	detail := fmt.Sprintf("It has %s. Write it in brackets: %s = [ … ].", kindOf(v.Value), def.Name)
	what := "a list"
	if def.Coll == table.Map {
		what, detail = "a map", fmt.Sprintf("It has %s. Write it in braces: %s = { NAME = VALUE, … }.", kindOf(v.Value), def.Name)
	}
	return diag.New(diag.WrongType, v.Place(), fmt.Sprintf("%q takes %s", def.Name, what), detail)
}

func kindOf(v cty.Value) string {
	ty := v.Type()
	switch {
	case ty == cty.String:
		return "a text"
	case ty == cty.Number:
		return "a number"
	case ty == cty.Bool:
		return "true or false"
	case isSequence(v):
		return "a list"
	case ty.IsObjectType() && ty.HasAttribute("id"):
		return "a block"
	case isMapping(v):
		return "a map"
	}
	return ty.FriendlyNameForConstraint()
}

func convertList(def *table.Attr, v Value) (cty.Value, hcl.Diagnostics) {
	if !isSequence(v.Value) {
		return cty.NilVal, hcl.Diagnostics{wrongCollection(def, v)}
	}
	if v.LengthInt() == 0 {
		return cty.EmptyTupleVal, nil
	}
	var diags hcl.Diagnostics
	elements := v.AsValueSlice()
	for i, element := range elements {
		at := elementRange(v, i)
		checked, d := scalar(def, element, at)
		if d != nil {
			diags = append(diags, d)
			continue
		}
		elements[i] = checked
	}
	if diags.HasErrors() {
		return cty.NilVal, diags
	}
	return cty.TupleVal(elements), nil
}

// elementRange is where an element of a list stands, where the list is written out; else where the list does.
func elementRange(v Value, i int) hcl.Range {
	if v.Expr == nil {
		return v.Place()
	}
	if exprs, diags := hcl.ExprList(v.Expr); !diags.HasErrors() && i < len(exprs) && !v.Type().IsSetType() {
		return exprs[i].Range()
	}
	return v.Place()
}

// memberRange is where a member of a map stands, where the map is written out; else where the map does.
func memberRange(v Value, name string) hcl.Range {
	if v.Expr == nil {
		return v.Place()
	}
	pairs, diags := hcl.ExprMap(v.Expr)
	if diags.HasErrors() {
		return v.Place()
	}
	for _, pair := range pairs {
		key, diags := pair.Key.Value(nil)
		if !diags.HasErrors() && key.Type() == cty.String && key.IsKnown() && !key.IsNull() && key.AsString() == name {
			return pair.Value.Range()
		}
	}
	return v.Place()
}

func convertMap(def *table.Attr, v Value) (cty.Value, hcl.Diagnostics) {
	if !isMapping(v.Value) {
		return cty.NilVal, hcl.Diagnostics{wrongCollection(def, v)}
	}
	if v.LengthInt() == 0 {
		return cty.EmptyObjectVal, nil
	}
	var diags hcl.Diagnostics
	members := v.AsValueMap()
	for name, member := range members {
		checked, d := scalar(def, member, memberRange(v, name))
		if d != nil {
			diags = append(diags, d)
			continue
		}
		members[name] = checked
	}
	if diags.HasErrors() {
		return cty.NilVal, diags
	}
	return cty.ObjectVal(members), nil
}

// scalar checks one value.
func scalar(def *table.Attr, v cty.Value, at hcl.Range) (cty.Value, *hcl.Diagnostic) {
	if v.IsNull() {
		return cty.NilVal, diag.New(diag.WrongType, at, fmt.Sprintf("%q may not hold null", def.Name), "Leave the element out instead.")
	}
	switch def.Type {
	case table.Bool:
		return primitive(def, v, at, cty.Bool, "true or false")
	case table.Int, table.Number:
		n, d := primitive(def, v, at, cty.Number, "a number")
		if d == nil {
			d = checkNumber(def, n, at)
		}
		return n, d
	case table.Size, table.Duration, table.Rate:
		n, d := measure(def, v, at)
		if d == nil {
			d = checkNumber(def, n, at)
		}
		return n, d
	}
	text, d := primitive(def, v, at, cty.String, "text")
	if d != nil {
		return text, d
	}
	return form(def, text, at)
}

func primitive(def *table.Attr, v cty.Value, at hcl.Range, ty cty.Type, what string) (cty.Value, *hcl.Diagnostic) {
	if v.Type() == ty {
		return v, nil
	}
	if ty == cty.String && v.Type() == cty.Bool && def.Type == table.Text {
		if v.True() { // kernel settings are numbers
			return cty.StringVal("1"), nil
		}
		return cty.StringVal("0"), nil
	}
	out, err := convert.Convert(v, ty)
	if err != nil {
		detail := fmt.Sprintf("It has %s.", kindOf(v))
		if isSequence(v) && def.Coll == table.One {
			detail += " Write one value, without brackets."
		}
		if v.Type() == cty.String {
			detail = fmt.Sprintf("It has the text %q.", v.AsString())
		}
		return cty.NilVal, diag.New(diag.WrongType, at, fmt.Sprintf("%q takes %s", def.Name, what), detail)
	}
	return out, nil
}

func checkNumber(def *table.Attr, n cty.Value, at hcl.Range) *hcl.Diagnostic {
	f := n.AsBigFloat()
	whole := def.Type == table.Int || def.Type == table.Size || def.Type == table.Rate
	if whole && !f.IsInt() {
		return diag.New(diag.OutOfRange, at, fmt.Sprintf("%q takes a whole number", def.Name), fmt.Sprintf("It has %s.", f.Text('f', -1)))
	}
	least, most := float64(0), float64(1<<53)
	if def.Min != nil {
		least = *def.Min
	}
	if def.Max != nil {
		most = *def.Max
	}
	if def.Type == table.Int && def.Min == nil {
		least = -(1 << 31)
	}
	if f.Cmp(big.NewFloat(least)) >= 0 && f.Cmp(big.NewFloat(most)) <= 0 {
		return nil
	}
	unit := ""
	if def.Unit != "" {
		unit = " " + def.Unit
	}
	limits := fmt.Sprintf("from %s to %s%s", show(least), show(most), unit)
	if def.Max == nil {
		limits = fmt.Sprintf("at least %s%s", show(least), unit)
	}
	return diag.New(diag.OutOfRange, at, fmt.Sprintf("%q is out of range", def.Name),
		fmt.Sprintf("It is %s%s, and must be %s.", f.Text('f', -1), unit, limits))
}

func show(f float64) string { return big.NewFloat(f).Text('f', -1) }

// form checks text that must have one form.
func form(def *table.Attr, text cty.Value, at hcl.Range) (cty.Value, *hcl.Diagnostic) {
	s := text.AsString()
	if len(def.Enum) > 0 && !slices.Contains(def.Enum, s) {
		return cty.NilVal, diag.New(diag.NotAllowed, at, fmt.Sprintf("%q is no value for %q", s, def.Name), oneOf(s, def.Enum))
	}
	var problem *hcl.Diagnostic
	switch def.Type {
	case table.IP:
		s, problem = ip(def, s, at)
	case table.Address:
		s, problem = address(def, s, at)
	case table.Prefix:
		s, problem = prefix(def, s, at)
	case table.MAC:
		s, problem = macAddress(def, s, at)
	}
	if problem != nil {
		return cty.NilVal, problem
	}
	if strings.ContainsRune(s, 0) {
		return cty.NilVal, diag.New(diag.Malformed, at, fmt.Sprintf("%q holds a NUL character", def.Name), "No system takes such text.")
	}
	return cty.StringVal(s), nil
}
