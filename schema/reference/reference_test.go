package reference

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/labctl/labctl/schema/config"
	"github.com/labctl/labctl/schema/table"
)

func compile(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := json.Marshal(JSONSchema(table.Root()))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("lab.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("lab.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// What the schema takes and refuses is what labctl does.
func TestJSONSchema(t *testing.T) {
	schema := compile(t)
	for _, test := range []struct {
		text string
		good bool
	}{
		{`{"lab": {"x": {}}}`, true},
		{`{"//": "a remark", "lab": {"x": {"description": "d"}}, "locals": {"a": 1}}`, true},
		{`{"lab": {"x": {}}, "host": {"forwarding": true}, "bridge": {"br0": {"addresses": ["10.0.0.1/24"]}}}`, true},
		{`{"lab": {"x": {}}, "bridge": {"b": {"for_each": {"a": 1}, "name": "b-${each.key}", "mtu": "${1400 + 100}"}}}`, true},
		{`{"lab": {"x": {}}, "image": {"m": {"build": "micro"}}, "vm": {"a": [{"image": "${image.m}", "memory": 134217728}]}}`, true},
		{`{"lab": {"x": {}}, "nftables": {"f": {"table": {"ip": {"t": {"chain": {"c": {"rules": ["accept"]}}}}}}}, "image": {"m": {"build": "micro"}}, "vm": {"a": {"image": "${image.m}", "nftables": ["${nftables.f}"]}}}`, true},
		{`{"lab": {"x": {}}, "bridge": {"b": {"adresses": []}}}`, false},
		{`{"lab": {"x": {}}, "brigde": {"b": {}}}`, false},
		{`{"lab": {"x": {}}, "bridge": {"b": {"mtu": 7}}}`, false},
		{`{"lab": {"x": {}}, "bridge": {"b": {"addresses": ["10.0.0.1"]}}}`, false},
		{`{"lab": {"x": {}}, "image": {"m": {"build": "macro"}}}`, false},
		{`{"lab": {"x": {}}, "nftables": {"f": {"table": {"ipv4": {"t": {}}}}}}`, false},
	} {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(test.text))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(doc); (err == nil) != test.good {
			t.Errorf("%s: the schema says %v", test.text, err)
		}
		_, diags := config.Load("lab", config.Options{Overlay: map[string][]byte{"lab/lab.hcl.json": []byte(test.text)}})
		if diags.HasErrors() == test.good {
			t.Errorf("%s: labctl says %v", test.text, diags)
		}
	}
}

func TestPages(t *testing.T) {
	root := table.Root()
	pages := Pages(root)
	if len(pages) != len(root.Blocks)+3 {
		t.Errorf("%d pages", len(pages))
	}
	for file, what := range map[string][]string{
		"vm.md":        {"## vm.interface\n", "| `memory` | size (bytes) | 512MiB; 128MiB with a micro image; what os_variant needs |", "### vm.interface.impair", "| `ip` |"},
		"README.md":    {"[bridge](bridge.md)"},
		"functions.md": {"`cidrhost(prefix string, hostnum number)`", "`mac(seed string)`", "`uuid`: It would give something else each time"},
		"errors.md":    {"## LAB0301: an address is used twice"},
		"nftables.md":  {"`dynamic`, `interval`"},
	} {
		for _, text := range what {
			if !strings.Contains(pages[file], text) {
				t.Errorf("%s lacks %q", file, text)
			}
		}
	}
	for file, text := range pages {
		for line := range strings.SplitSeq(text, "\n") {
			if strings.HasPrefix(line, "|") && !strings.HasSuffix(line, "|") {
				t.Errorf("%s: a row is broken: %s", file, line)
			}
		}
	}
}

// The examples in the table are labs that load.
func TestExamplesInTheTable(t *testing.T) {
	const around = `
image "micro" { build = "micro" }
locals { site = "a" }
bridge "br0" { addresses = ["192.168.111.1/24"] }
`
	root := table.Root()
	for i := range root.Blocks {
		b := &root.Blocks[i]
		if b.Example == "" {
			continue
		}
		text := b.Example
		switch b.Kind {
		case "lab":
		case "bridge", "image":
			text = "lab \"x\" {}\n" + text
		case "check", "moved", "module":
			continue // they speak of more than stands in them
		default:
			text = "lab \"x\" {}\n" + around + text
		}
		if _, diags := config.Load("lab", config.Options{Overlay: map[string][]byte{"lab/lab.hcl": []byte(text)}}); diags.HasErrors() {
			t.Errorf("the example of %s: %v", b.Kind, diags)
		}
	}
}
