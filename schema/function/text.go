package function

import (
	"encoding/base64"
	"errors"
	"net/netip"
	"net/url"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/ianaindex"
)

// Absent are functions of Terraform's that there are not, with what to write instead.
func Absent() map[string]string {
	const differs = "It would give something else each time, so that no plan would ever be empty. "
	return map[string]string{
		"timestamp":       differs + "Give the time as a variable: -var now=$(date -Iseconds).",
		"plantimestamp":   differs + "Give the time as a variable: -var now=$(date -Iseconds).",
		"uuid":            differs + "uuidv5(namespace, name) gives the same one for the same name.",
		"bcrypt":          differs + "Give the finished hash as a sensitive variable.",
		"list":            "Write [ … ], or tolist([ … ]).",
		"map":             "Write { NAME = VALUE, … }, or tomap({ … }).",
		"ephemeralasnull": "No value is kept between two runs, so none is ephemeral.",
	}
}

// lookup is the member of a map or object; of one that it does not have, the default where that is given.
func lookup() function.Function {
	find := func(args []cty.Value) (cty.Value, error) {
		ty, key := args[0].Type(), args[1]
		switch {
		case len(args) > 3:
			return cty.NilVal, errors.New("it takes a map, a key, and a default")
		case ty.IsObjectType() && ty.HasAttribute(key.AsString()):
			return args[0].GetAttr(key.AsString()), nil
		case ty.IsMapType() && args[0].HasIndex(key).True():
			return args[0].Index(key), nil
		case len(args) == 2:
			return cty.NilVal, function.NewArgErrorf(1, "there is no such key, and no default is given")
		case ty.IsMapType():
			v, err := convert.Convert(args[2], ty.ElementType())
			if err != nil {
				return cty.NilVal, function.NewArgErrorf(2, "the default is of another type than the map's elements: %w", err)
			}
			return v, nil
		}
		return args[2], nil
	}
	return function.New(&function.Spec{
		Params:   []function.Parameter{param("map", cty.DynamicPseudoType), param("key", cty.String)},
		VarParam: &function.Parameter{Name: "default", Type: cty.DynamicPseudoType, AllowNull: true, AllowDynamicType: true},
		Type: func(args []cty.Value) (cty.Type, error) {
			for _, arg := range args {
				if !arg.IsKnown() {
					return cty.DynamicPseudoType, nil
				}
			}
			if ty := args[0].Type(); !ty.IsMapType() && !ty.IsObjectType() {
				return cty.NilType, function.NewArgErrorf(0, "it takes a map or an object")
			}
			v, err := find(args)
			if err != nil {
				return cty.NilType, err
			}
			return v.Type(), nil
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return find(args) },
	})
}

// urlDecode undoes urlencode.
func urlDecode() function.Function {
	return ofStrings(cty.String, []string{"text"}, func(args []string) (cty.Value, error) {
		text, err := url.QueryUnescape(args[0])
		return cty.StringVal(text), err
	})
}

// charset is an encoding by its name with IANA, such as UTF-16LE.
func charset(name string) (encoding.Encoding, error) {
	e, err := ianaindex.IANA.Encoding(name)
	if err != nil || e == nil {
		return nil, function.NewArgErrorf(1, "%q is no encoding that is known, such as UTF-16LE or ISO-8859-1", name)
	}
	return e, nil
}

// textEncodeBase64 writes text in an encoding, and that in Base64: Windows takes scripts so.
func textEncodeBase64() function.Function {
	return ofStrings(cty.String, []string{"text", "encoding"}, func(args []string) (cty.Value, error) {
		e, err := charset(args[1])
		if err != nil {
			return cty.NilVal, err
		}
		text, err := e.NewEncoder().String(args[0])
		if err != nil {
			return cty.NilVal, function.NewArgErrorf(0, "the text has characters that %s has not", args[1])
		}
		return cty.StringVal(base64.StdEncoding.EncodeToString([]byte(text))), nil
	})
}

// textDecodeBase64 undoes textEncodeBase64.
func textDecodeBase64() function.Function {
	return ofStrings(cty.String, []string{"base64", "encoding"}, func(args []string) (cty.Value, error) {
		e, err := charset(args[1])
		if err != nil {
			return cty.NilVal, err
		}
		data, err := base64.StdEncoding.DecodeString(args[0])
		if err != nil {
			return cty.NilVal, function.NewArgErrorf(0, "it is not Base64")
		}
		text, err := e.NewDecoder().String(string(data))
		if err != nil {
			return cty.NilVal, function.NewArgErrorf(0, "it is not text in %s", args[1])
		}
		return cty.StringVal(text), nil
	})
}

// cidrContains reports whether an address, or a whole prefix, is in a prefix.
func cidrContains() function.Function {
	return ofStrings(cty.Bool, []string{"prefix", "part"}, func(args []string) (cty.Value, error) {
		outer, err := netip.ParsePrefix(args[0])
		if err != nil {
			return cty.NilVal, function.NewArgErrorf(0, "%q is no prefix such as 10.0.0.0/8", args[0])
		}
		inner, err := netip.ParsePrefix(args[1])
		if err != nil {
			ip, err := netip.ParseAddr(args[1])
			if err != nil {
				return cty.NilVal, function.NewArgErrorf(1, "%q is neither an address nor a prefix", args[1])
			}
			inner = netip.PrefixFrom(ip, ip.BitLen())
		}
		return cty.BoolVal(inner.Bits() >= outer.Bits() && outer.Masked().Contains(inner.Addr())), nil
	})
}
