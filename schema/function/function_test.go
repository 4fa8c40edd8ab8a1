package function

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/labctl/labctl/schema"
)

func eval(t *testing.T, dir, text string) (cty.Value, hcl.Diagnostics) {
	t.Helper()
	expr, diags := hclsyntax.ParseExpression([]byte(text), "x", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatalf("%s: %v", text, diags)
	}
	return expr.Value(&hcl.EvalContext{Functions: All(dir)})
}

// Each expression must be true.
func TestFunctions(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.txt": "hello\n", "t.tpl": "%{ for n in names }<${upper(n)}>%{ endfor }", "bad.tpl": "${nobody}", "self.tpl": `${templatefile("self.tpl", {})}`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{
		`abs(-1) == 1`, `ceil(1.2) == 2`, `floor(1.8) == 1`, `max(1, 3, 2) == 3`, `min(1, 3) == 1`, `pow(2, 3) == 8`, `signum(-9) == -1`, `sum([1, 2, 3]) == 6`, `parseint("ff", 16) == 255`, `log(8, 2) == 3`,
		`chomp("a\n") == "a"`, `format("%03d", 7) == "007"`, `formatlist("%s!", ["a"])[0] == "a!"`, `indent(2, "a\nb") == "a\n  b"`, `join("-", ["a", "b"]) == "a-b"`, `lower("A") == "a"`,
		`regex("[0-9]+", "a12") == "12"`, `length(regexall("[0-9]", "a12")) == 2`, `replace("a.b", ".", "-") == "a-b"`, `replace("a1b2", "/[0-9]/", "") == "ab"`, `split(",", "a,b")[1] == "b"`,
		`startswith("abc", "ab")`, `endswith("abc", "bc")`, `strcontains("abc", "b")`, `strlen("äb") == 2`, `strrev("ab") == "ba"`, `substr("abc", 1, 1) == "b"`, `title("ab cd") == "Ab Cd"`,
		`trim("xax", "x") == "a"`, `trimprefix("abc", "a") == "bc"`, `trimsuffix("abc", "c") == "ab"`, `trimspace(" a ") == "a"`, `upper("a") == "A"`,
		`formatdate("YYYY", "2026-01-31T00:00:00Z") == "2026"`, `timeadd("2026-01-31T00:00:00Z", "1h") == "2026-01-31T01:00:00Z"`, `timecmp("2026-01-31T00:00:00Z", "2026-01-31T01:00:00+01:00") == 0`,
		`alltrue([true, true])`, `!alltrue([true, false])`, `alltrue([])`, `anytrue([false, true])`, `!anytrue([])`, `length(chunklist([1, 2, 3], 2)) == 2`, `coalesce("", "a") == "a"`, `coalesce(null, "a") == "a"`,
		`coalescelist([], [1])[0] == 1`, `compact(["", "a"])[0] == "a"`, `length(concat([1], [2])) == 2`, `contains(["a"], "a")`, `length(distinct([1, 1])) == 1`, `element([1, 2], 3) == 2`, `flatten([[1], [2]])[1] == 2`,
		`index(["a", "b"], "b") == 1`, `keys({ a = 1 })[0] == "a"`, `length("äb") == 2`, `length({ a = 1 }) == 1`, `length([1, 2]) == 2`, `length(toset(["a"])) == 1`, `lookup({ a = 1 }, "b", 2) == 2`,
		`matchkeys(["x", "y"], ["a", "b"], ["b"])[0] == "y"`, `length(matchkeys(["x"], ["a"], ["b"])) == 0`, `merge({ a = 1 }, { b = 2 }).b == 2`, `one([7]) == 7`, `one([]) == null`, `one(toset(["a"])) == "a"`, `range(3)[2] == 2`, `reverse([1, 2])[0] == 2`,
		`length(setintersection(["a", "b"], ["b"])) == 1`, `length(setproduct(["a"], ["b", "c"])) == 2`, `length(setsubtract(["a", "b"], ["b"])) == 1`, `length(setunion(["a"], ["b"])) == 2`, `slice([1, 2, 3], 1, 2)[0] == 2`,
		`sort(["b", "a"])[0] == "a"`, `transpose({ a = ["x", "y"], b = ["x"] }).x[1] == "b"`, `values({ a = 1 })[0] == 1`, `zipmap(["a"], [1]).a == 1`,
		`base64decode(base64encode("a")) == "a"`, `length(base64gzip("a")) > 10`, `csvdecode("a,b\n1,2")[0].b == "2"`, `jsondecode(jsonencode({ a = [1] })).a[0] == 1`, `urlencode("a b") == "a+b"`,
		`yamldecode("a: [1, x]").a[1] == "x"`, `yamldecode(yamlencode({ a = 1 })).a == 1`,
		`can(tonumber("1"))`, `!can(tonumber("x"))`, `try(tonumber("x"), 7) == 7`, `type("a") == "string"`, `type({ a = 1 }) == "object({a=number})"`, `tobool("true")`, `tostring(1) == "1"`, `tolist(["a"])[0] == "a"`, `tomap({ a = 1 }).a == 1`,
		`issensitive(sensitive("a"))`, `!issensitive(nonsensitive(sensitive("a")))`,
		`md5("a") == "0cc175b9c0f1b6a831c399e269772661"`, `sha1("a") == "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"`, `substr(sha256("a"), 0, 8) == "ca978112"`, `length(sha512("a")) == 128`,
		`base64sha256("a") == "ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs="`, `length(base64sha512("a")) == 88`, `uuidv5("dns", "example.org") == "aad03681-8b63-5304-89e0-8ca8f49461b5"`,
		`cidrhost("10.0.0.0/8", 300) == "10.0.1.44"`, `cidrnetmask("10.0.0.0/12") == "255.240.0.0"`, `cidrsubnet("10.0.0.0/8", 8, 2) == "10.2.0.0/16"`, `cidrsubnets("10.0.0.0/8", 8, 8)[1] == "10.1.0.0/16"`, `cidrsubnet("fd00::/48", 16, 1) == "fd00:0:0:1::/64"`,
		`file("a.txt") == "hello\n"`, `filebase64("a.txt") == base64encode("hello\n")`, `fileexists("a.txt")`, `!fileexists("b.txt")`, `length(fileset(".", "*.txt")) == 1`, `filemd5("a.txt") == md5("hello\n")`,
		`filesha1("a.txt") == sha1("hello\n")`, `filesha256("a.txt") == sha256("hello\n")`, `filesha512("a.txt") == sha512("hello\n")`, `basename("/a/b") == "b"`, `dirname("/a/b") == "/a"`, `abspath("a.txt") == "` + dir + `/a.txt"`, `pathexpand("/a") == "/a"`,
		`templatefile("t.tpl", { names = ["a", "b"] }) == "<A><B>"`, `templatestring("$${a}-$${b}", { a = 1, b = "x" }) == "1-x"`,
		`mac("x") == "` + schema.MAC("x") + `"`,
		`lookup({ a = 1 }, "a") == 1`, `lookup(tomap({ a = 1 }), "a") == 1`, `lookup({ a = null }, "a", 2) == null`, `lookup({ a = 1 }, "b", null) == null`, `urldecode("a%20b+c") == "a b c"`,
		`textencodebase64("hé", "UTF-16LE") == "aADpAA=="`, `textdecodebase64("aADpAA==", "UTF-16LE") == "hé"`, `filebase64sha256("a.txt") == base64sha256("hello\n")`, `filebase64sha512("a.txt") == base64sha512("hello\n")`,
		`cidrcontains("10.0.0.0/8", "10.1.2.3")`, `!cidrcontains("10.0.0.0/8", "11.0.0.1")`, `cidrcontains("10.0.0.0/8", "10.1.0.0/16")`, `!cidrcontains("10.1.0.0/16", "10.0.0.0/8")`, `cidrcontains("fd00::/8", "fd00::1")`, `!cidrcontains("fd00::/8", "10.0.0.1")`,
		`!can(rsadecrypt("x", "y"))`,
	} {
		v, diags := eval(t, dir, text)
		v, _ = v.Unmark()
		if diags.HasErrors() || !v.IsKnown() || v.Type() != cty.Bool || !v.True() {
			t.Errorf("%s is %#v, %v", text, v, diags)
		}
	}
	for text, want := range map[string]string{
		`templatefile("bad.tpl", {})`: "nobody", `templatefile("self.tpl", {})`: "templatefile", `file("none")`: "none", `one([1, 2])`: "2 elements", `index([1], 2)`: "no such element",
		`sum(["x"])`: "number", `timecmp("x", "y")`: "not a time", `length(1)`: "text", `matchkeys([1], [], [])`: "1 values and 0 keys", `templatestring("x", 1)`: "object", `alltrue([null])`: "null",
		`lookup({ a = 1 }, "b")`: "no default", `lookup([1], "b", 2)`: "a map or an object", `textencodebase64("a", "klingon")`: "klingon", `textencodebase64("€", "ISO-8859-1")`: "characters", `textdecodebase64("!", "UTF-8")`: "Base64",
		`cidrcontains("10.0.0.0", "10.0.0.1")`: "no prefix", `cidrcontains("10.0.0.0/8", "x")`: "neither",
	} {
		if _, diags := eval(t, dir, text); !diags.HasErrors() || !strings.Contains(diags.Error(), want) {
			t.Errorf("%s: %v", text, diags)
		}
	}
}

// A function that gives something else each time would make every plan differ from the last.
func TestFunctionsAreRepeatable(t *testing.T) {
	for name := range All(".") {
		switch name {
		case "timestamp", "plantimestamp", "uuid", "bcrypt":
			t.Errorf("there is a function %s", name)
		}
	}
}
