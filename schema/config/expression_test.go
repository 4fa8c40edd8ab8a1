package config

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// Each expression of the specification's language has the value that the specification gives it, through all of labctl.
func TestExpressions(t *testing.T) {
	cases := [][2]string{
		// literals
		{`1`, `1`}, {`-1.5`, `-1.5`}, {`1e3`, `1000`}, {`true`, `true`}, {`null`, `null`}, {`"a\n\t\"\\\u00e4\U0001F600"`, `"a\n\t\"\\ä😀"`}, {`"$${x} %%{y}"`, `"${x} %{y}"`},
		{`12345678901234567890`, `12345678901234567000`},
		// operators and their order
		{`1 + 2 * 3`, `7`}, {`(1 + 2) * 3`, `9`}, {`7 % 4`, `3`}, {`-7 % 4`, `-3`}, {`1 / 4`, `0.25`}, {`2 - 3 - 4`, `-5`}, {`!true || true`, `true`}, {`true || false && false`, `true`},
		{`1 < 2 && 2 <= 2 && 3 > 2 && 3 >= 3`, `true`}, {`1 == 1 && 1 != 2`, `true`}, {`"1" == 1`, `false`}, {`[1] == [1]`, `true`}, {`{ a = 1 } == { a = 1 }`, `true`}, {`null == null`, `true`},
		{`true ? 1 : 2`, `1`}, {`false ? "a" : 1`, `"1"`}, {`true ? false ? 1 : 2 : 3`, `2`}, {`1 == 1 ? "y" : "n"`, `"y"`},
		// collections
		{`[1, "a", [true]]`, `[1,"a",[true]]`}, {`[1, 2,]`, `[1,2]`}, {"[\n1,\n2\n]", `[1,2]`}, {`{ a = 1, "b c" = 2, (upper("d")) = 3 }`, `{"D":3,"a":1,"b c":2}`}, {`{ a : 1 }`, `{"a":1}`}, {"{\na = 1\nb = 2\n}", `{"a":1,"b":2}`},
		{`{ (local.text) = 1 }`, `{"text":1}`}, {`{ "${local.text}!" = 1 }`, `{"text!":1}`}, {`{ local = 1 }`, `{"local":1}`},
		// access
		{`local.list[1]`, `2`}, {`local.list[length(local.list) - 1]`, `3`}, {`local.object.a.b`, `"c"`}, {`local.object["a"]["b"]`, `"c"`}, {`local.object["${"a"}"].b`, `"c"`}, {`local.list.0`, `1`}, {`[10, 20][1]`, `20`}, {`{ x = 5 }.x`, `5`},
		// splats
		{`local.objects[*].n`, `[1,2]`}, {`local.objects.*.n`, `[1,2]`}, {`local.object[*].a.b`, `["c"]`}, {`null[*]`, `[]`}, {`local.objects[*]["n"]`, `[1,2]`}, {`local.nested[*].l[0]`, `[1,3]`}, {`local.nested.*.l[0]`, `[1,2]`}, {`[][*].x`, `[]`},
		// for
		{`[for x in local.list : x * 2]`, `[2,4,6]`}, {`[for i, x in local.list : i * x]`, `[0,2,6]`}, {`[for x in local.list : x if x != 2]`, `[1,3]`}, {`{ for k, v in { a = 1, b = 2 } : v => k }`, `{"1":"a","2":"b"}`},
		{`{ for o in local.objects : o.g => o.n... }`, `{"g":[1,2]}`}, {`[for k, v in { b = 1, a = 2 } : k]`, `["a","b"]`}, {`[for x in toset(["b", "a"]) : x]`, `["a","b"]`}, {`[for x in [[1, 2], [3]] : [for y in x : y + 1]]`, `[[2,3],[4]]`}, {`[for local in [1] : local]`, `[1]`},
		// templates
		{`"a ${1 + 1} b"`, `"a 2 b"`}, {`"${local.list}"`, `[1,2,3]`}, {`"${true}"`, `true`}, {`"x${true}"`, `"xtrue"`}, {`"%{ if true }yes%{ else }no%{ endif }"`, `"yes"`}, {`"%{ for x in local.list }<${x}>%{ endfor }"`, `"<1><2><3>"`},
		{`"a  ${~ 1 ~}  b"`, `"a1b"`}, {`"${"${"deep"}"}"`, `"deep"`}, {`"%{ for i, x in ["a"] ~} ${i}${x} %{~ endfor }"`, `"0a"`},
		{"<<EOT\n  a\n b ${1}\nEOT\n", `"  a\n b 1\n"`}, {"<<-EOT\n    a\n      b\n    EOT\n", `"a\n  b\n"`}, {"<<EOT\n\\n $${x}\nEOT\n", `"\\n ${x}\n"`}, {"<<EOT\n%{ if true ~}\nx\n%{ endif ~}\nEOT\n", `"x\n"`},
		// functions
		{`max([1, 5, 3]...)`, `5`}, {`upper("a")`, `"A"`}, {`try(local.object.nope, "fallback")`, `"fallback"`}, {`can(local.object.nope)`, `false`}, {"max(\n1,\n2,\n)", `2`},
	}
	var lab strings.Builder
	lab.WriteString(`
lab "x" {} // one
# two
/* three
*/
locals {
  list    = [1, 2, 3]
  text    = "text"
  object  = { a = { b = "c" } }
  objects = [{ n = 1, g = "g" }, { n = 2, g = "g" }]
  nested  = [{ l = [1, 2] }, { l = [3] }]
}
`)
	for i, c := range cases {
		fmt.Fprintf(&lab, "output \"o%d\" {\n  value = %s\n}\n", i, c[0])
	}
	res := load(t, "lab", Options{Overlay: map[string][]byte{"lab/lab.hcl": []byte(lab.String())}})
	if len(res.Lab.Outputs) != len(cases) {
		t.Fatalf("%d outputs of %d expressions", len(res.Lab.Outputs), len(cases))
	}
	for i, o := range res.Lab.Outputs {
		got, err := json.Marshal(o.Value)
		if err != nil {
			t.Fatal(err)
		}
		var want, have any
		if json.Unmarshal([]byte(cases[i][1]), &want) != nil || json.Unmarshal(got, &have) != nil || fmt.Sprint(want) != fmt.Sprint(have) {
			t.Errorf("%s is %s, not %s", cases[i][0], got, cases[i][1])
		}
	}
}
