package decode

import (
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/labctl/labctl/schema/diag"
	"github.com/labctl/labctl/schema/table"
)

// decodeOne decodes a block that takes the one argument.
func decodeOne(t *testing.T, attr table.Attr, text string) (*Node, hcl.Diagnostics) {
	t.Helper()
	file, diags := hclsyntax.ParseConfig([]byte(attr.Name+" = "+text), "x.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	r := NewReader("/lab")
	shape, diags := r.Shape(file.Body, &table.Block{Kind: "test", Attrs: []table.Attr{attr}})
	node, more := r.Node(shape, &hcl.EvalContext{})
	return node, append(diags, more...)
}

func TestForms(t *testing.T) {
	for _, test := range []struct {
		ty   table.Type
		unit string
		in   string
		want string // "" where it is refused
	}{
		{table.Size, "bytes", `"512MiB"`, "536870912"}, {table.Size, "bytes", `"2GiB"`, "2147483648"}, {table.Size, "bytes", `"1.5 GiB"`, "1610612736"},
		{table.Size, "bytes", `"1GB"`, "1000000000"}, {table.Size, "bytes", `"64M"`, "67108864"}, {table.Size, "bytes", `1024`, "1024"}, {table.Size, "bytes", `"1024"`, "1024"},
		{table.Size, "bytes", `"12 parsecs"`, ""}, {table.Size, "bytes", `"MiB"`, ""}, {table.Size, "bytes", `-1`, ""}, {table.Size, "bytes", `"0.3"`, ""}, {table.Size, "bytes", `true`, ""},
		{table.Duration, "ms", `"20ms"`, "20"}, {table.Duration, "ms", `"1.5s"`, "1500"}, {table.Duration, "ms", `"100us"`, "0.1"}, {table.Duration, "s", `"1m30s"`, "90"},
		{table.Duration, "s", `15`, "15"}, {table.Duration, "s", `"15"`, "15"}, {table.Duration, "s", `"soon"`, ""}, {table.Duration, "s", `"-5s"`, ""},
		{table.Rate, "bit/s", `"10mbit"`, "10000000"}, {table.Rate, "bit/s", `"1gbit"`, "1000000000"}, {table.Rate, "bit/s", `"1kbps"`, "8000"}, {table.Rate, "bit/s", `"1 furlong"`, ""},
		{table.IP, "", `"192.0.2.1"`, "192.0.2.1"}, {table.IP, "", `"2001:DB8::0:1"`, "2001:db8::1"}, {table.IP, "", `"192.0.2.1/24"`, ""}, {table.IP, "", `"fe80::1%eth0"`, ""}, {table.IP, "", `"192.0.2.01"`, ""},
		{table.Address, "", `"192.0.2.1/24"`, "192.0.2.1/24"}, {table.Address, "", `"2001:DB8::1/64"`, "2001:db8::1/64"}, {table.Address, "", `"192.0.2.1"`, ""}, {table.Address, "", `"192.0.2.1/33"`, ""},
		{table.Prefix, "", `"10.0.0.0/8"`, "10.0.0.0/8"}, {table.Prefix, "", `"default"`, "default"}, {table.Prefix, "", `"0.0.0.0/0"`, "default"}, {table.Prefix, "", `"::/0"`, "default6"},
		{table.Prefix, "", `"10.0.0.1"`, "10.0.0.1/32"}, {table.Prefix, "", `"10.0.0.1/8"`, ""},
		{table.MAC, "", `"52-54-00-AB-CD-EF"`, "52:54:00:ab:cd:ef"}, {table.MAC, "", `"53:54:00:00:00:01"`, ""}, {table.MAC, "", `"52:54:00:00:00:00:00:01"`, ""},
		{table.Text, "", `1`, "1"}, {table.Text, "", `true`, "1"}, {table.Text, "", `"x y"`, "x y"},
		{table.Path, "", `"a/../b.iso"`, "/lab/b.iso"}, {table.Path, "", `"/abs"`, "/abs"},
		{table.Bool, "", `"true"`, "true"}, {table.Bool, "", `1`, ""}, {table.Int, "", `1.5`, ""}, {table.Int, "", `"7"`, "7"},
		{table.String, "", `7`, "7"}, {table.String, "", `"a\u0000b"`, ""}, {table.String, "", `["x"]`, ""},
	} {
		node, diags := decodeOne(t, table.Attr{Name: "a", Type: test.ty, Unit: test.unit}, test.in)
		if diags.HasErrors() != (test.want == "") || node.Failed != diags.HasErrors() {
			t.Errorf("%s %s: %v", test.ty, test.in, diags)
			continue
		}
		if test.want == "" {
			continue
		}
		v := node.Argument("a")
		got := ""
		switch v.Type() {
		case cty.Number:
			got = v.AsBigFloat().Text('g', 12)
			if v.AsBigFloat().IsInt() {
				got = v.AsBigFloat().Text('f', 0)
			}
		case cty.Bool:
			got = map[bool]string{true: "true", false: "false"}[v.True()]
		default:
			got = v.AsString()
		}
		if got != test.want {
			t.Errorf("%s %s is %s, not %s", test.ty, test.in, got, test.want)
		}
	}
}

// Each element in error is told of at its own place.
func TestElementsAreToldApart(t *testing.T) {
	_, diags := decodeOne(t, table.Attr{Name: "a", Type: table.IP, Coll: table.List}, `["192.0.2.1", "x", "192.0.2.2", "y"]`)
	var columns []int
	for _, d := range diags {
		columns = append(columns, d.Subject.Start.Column)
	}
	if len(columns) != 2 || columns[0] != 19 || columns[1] != 37 {
		t.Errorf("errors at columns %v: %v", columns, diags)
	}
	_, diags = decodeOne(t, table.Attr{Name: "a", Type: table.Int, Coll: table.Map}, `{ x = 1, y = "z" }`)
	if len(diags) != 1 || diags[0].Subject.Start.Column != 18 {
		t.Errorf("the map gives %v", diags)
	}
}

// What is unknown because something else failed is not complained about.
func TestUnknownIsSilent(t *testing.T) {
	file, diags := hclsyntax.ParseConfig([]byte("a = \"${x}/24\"\nb = y\n"), "x.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	r := NewReader("/")
	def := &table.Block{Kind: "test", Attrs: []table.Attr{{Name: "a", Type: table.Address}, {Name: "b", Type: table.Int, Required: true}}}
	shape, _ := r.Shape(file.Body, def)
	node, diags := r.Node(shape, &hcl.EvalContext{Variables: map[string]cty.Value{"x": cty.DynamicVal, "y": cty.DynamicVal}})
	if len(diags) > 0 || !node.Failed || node.Has("a") || node.Has("b") {
		t.Errorf("diagnostics %v, failed %t, node %+v", diags, node.Failed, node)
	}
}

func TestSplitPath(t *testing.T) {
	for path, want := range map[string]string{
		"memory": "memory", "interface.eth0.addresses[0]": "interface|eth0|addresses|0", `route["10.0.0.0/8"].via`: "route|10.0.0.0/8|via", "": "", `x["`: `x|["`,
	} {
		if got := strings.Join(splitPath(path), "|"); got != want {
			t.Errorf("%s is split into %s, not %s", path, got, want)
		}
	}
}

// The table's defaults are HCL, and are values that their own argument takes.
func TestDefaults(t *testing.T) {
	r, found := NewReader("/"), 0
	var walk func(b *table.Block)
	walk = func(b *table.Block) {
		found += len(r.defaultsOf(b)) // it panics on one that is not
		for i := range b.Blocks {
			walk(&b.Blocks[i])
		}
	}
	walk(table.Root())
	if found < 40 {
		t.Errorf("only %d defaults", found)
	}
}

func TestCodes(t *testing.T) {
	_, diags := decodeOne(t, table.Attr{Name: "a", Type: table.Address}, `"192.0.2.1"`)
	if code := diag.CodeOf(diags[0]); code != diag.NoPrefixLength {
		t.Errorf("the code is %s", code)
	}
}
