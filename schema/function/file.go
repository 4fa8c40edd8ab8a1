package function

import (
	"bytes"
	"compress/gzip"
	"crypto/md5"  //nolint:gosec // the language offers it, nothing trusts it
	"crypto/sha1" //nolint:gosec // likewise
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// Path is path as the language's file functions find it: a relative one taken from dir.
func Path(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

func absPath(dir string) function.Function {
	return ofStrings(cty.String, []string{"path"}, func(args []string) (cty.Value, error) {
		abs, err := filepath.Abs(Path(dir, args[0]))
		return cty.StringVal(filepath.ToSlash(abs)), err
	})
}

type digest func([]byte) []byte

func md5Sum(data []byte) []byte    { s := md5.Sum(data); return s[:] }  //nolint:gosec // see above
func sha1Sum(data []byte) []byte   { s := sha1.Sum(data); return s[:] } //nolint:gosec // see above
func sha256Sum(data []byte) []byte { s := sha256.Sum256(data); return s[:] }
func sha512Sum(data []byte) []byte { s := sha512.Sum512(data); return s[:] }

func base64Hash(sum digest) function.Function {
	return ofStrings(cty.String, []string{"text"}, func(args []string) (cty.Value, error) {
		return cty.StringVal(base64.StdEncoding.EncodeToString(sum([]byte(args[0])))), nil
	})
}

func fileHash(dir string, sum digest) function.Function {
	return hashOfFile(dir, sum, hex.EncodeToString)
}

func base64FileHash(dir string, sum digest) function.Function {
	return hashOfFile(dir, sum, base64.StdEncoding.EncodeToString)
}

func hashOfFile(dir string, sum digest, write func([]byte) string) function.Function {
	return ofStrings(cty.String, []string{"path"}, func(args []string) (cty.Value, error) {
		data, err := os.ReadFile(Path(dir, args[0]))
		if err != nil {
			return cty.NilVal, function.NewArgError(0, err)
		}
		return cty.StringVal(write(sum(data))), nil
	})
}

func base64Gzip() function.Function {
	return ofStrings(cty.String, []string{"text"}, func(args []string) (cty.Value, error) {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		if _, err := w.Write([]byte(args[0])); err != nil {
			return cty.NilVal, err
		}
		if err := w.Close(); err != nil {
			return cty.NilVal, err
		}
		return cty.StringVal(base64.StdEncoding.EncodeToString(b.Bytes())), nil
	})
}

// templateFile renders a file that holds an HCL template; the second argument's attributes are the template's variables.
func templateFile(dir string, functions map[string]function.Function) function.Function {
	return template("path", func(arg string) (string, string, error) {
		data, err := os.ReadFile(Path(dir, arg))
		if err == nil && !utf8.Valid(data) {
			return "", "", function.NewArgErrorf(0, "%s is not UTF-8 text", arg)
		}
		return string(data), arg, err
	}, functions)
}

// templateString renders an HCL template.
func templateString(functions map[string]function.Function) function.Function {
	return template("template", func(arg string) (string, string, error) { return arg, "template", nil }, functions)
}

func template(param1 string, load func(arg string) (text, name string, err error), functions map[string]function.Function) function.Function {
	render := func(args []cty.Value) (cty.Value, error) {
		text, name, err := load(args[0].AsString())
		if err != nil {
			return cty.NilVal, function.NewArgError(0, err)
		}
		expr, diags := hclsyntax.ParseTemplate([]byte(text), name, hcl.InitialPos)
		if diags.HasErrors() {
			return cty.NilVal, function.NewArgError(0, diags)
		}
		ty := args[1].Type()
		if !ty.IsObjectType() && !ty.IsMapType() {
			return cty.NilVal, function.NewArgErrorf(1, "it takes an object: { NAME = VALUE, … }")
		}
		vars := args[1].AsValueMap()
		for _, traversal := range expr.Variables() {
			if _, ok := vars[traversal.RootName()]; !ok {
				return cty.NilVal, function.NewArgErrorf(1, "%s wants a variable %q, which is not among those given", name, traversal.RootName())
			}
		}
		value, diags := expr.Value(&hcl.EvalContext{Variables: vars, Functions: functions})
		if diags.HasErrors() {
			return cty.NilVal, diags
		}
		return value, nil
	}
	return function.New(&function.Spec{
		Params: []function.Parameter{param(param1, cty.String), param("vars", cty.DynamicPseudoType)},
		Type: func(args []cty.Value) (cty.Type, error) {
			if !args[0].IsKnown() || !args[1].IsWhollyKnown() {
				return cty.DynamicPseudoType, nil
			}
			value, err := render(args)
			return value.Type(), err
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return render(args) },
	})
}
