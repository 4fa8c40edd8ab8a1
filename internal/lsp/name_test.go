package lsp_test

import (
	"os"
	"strings"
	"testing"

	"go.lsp.dev/protocol"
)

func TestHover(t *testing.T) {
	for name, test := range map[string]struct{ text, want, never string }{
		"block":     {"br‸idge \"b\" {\n}\n", "A Linux bridge", ""},
		"argument":  {"vm \"x\" {\n  mem‸ory = 1\n}\n", "The machine's memory", ""},
		"nested":    {"vm \"x\" {\n  interface \"e\" {\n    mt‸u = 1500\n  }\n}\n", "mtu", ""},
		"variable":  {"output \"x\" {\n  value = var.si‸ze\n}\n", "var.size = \"256MiB\"", ""},
		"described": {"output \"x\" {\n  value = var.si‸ze\n}\n", "How much memory", ""},
		"secret":    {"output \"x\" {\n  sensitive = true\n  value = var.sec‸ret\n}\n", "(sensitive value)", "hunter2"},
		"attribute": {"output \"x\" {\n  value = vm.client[\"a\"].i‸p\n}\n", "\"10.0.1.5\"", ""},
		"each":      {"vm \"x\" {\n  for_each = local.sites\n  description = each.value.ne‸t\n}\n", "each.value.net = \"10.0.1\"", ""},
		"function":  {"output \"x\" {\n  value = cidr‸host(\"10.0.0.0/8\", 1)\n}\n", "cidrhost(", ""},
		"local":     {"locals {\n  ans‸wer = 6 * 7\n}\n", "local.answer = 42", ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEditor(t, nil)
			text, p := at(t, base+test.text)
			e.open("lab.hcl", text)
			hover, err := e.server.Hover(t.Context(), &protocol.HoverParams{TextDocumentPositionParams: e.place("lab.hcl", p)})
			if err != nil || hover == nil {
				t.Fatal(hover, err)
			}
			if got := hover.Contents.Value; !strings.Contains(got, test.want) || test.never != "" && strings.Contains(got, test.never) {
				t.Errorf("got %s, not %s", got, test.want)
			}
		})
	}
}

func TestDefinition(t *testing.T) {
	module := "variable \"net\" {}\n\noutput \"net\" {\n  value = var.net\n}\n"
	call := base + "module \"m\" {\n  source = \"./site\"\n  net = \"10\"\n}\n"
	for name, test := range map[string]struct{ text, file, line string }{
		"variable":  {base + "output \"x\" {\n  value = var.si‸ze\n}\n", "lab.hcl", `variable "size"`},
		"local":     {base + "output \"x\" {\n  value = local.sit‸es\n}\n", "lab.hcl", "  sites = "},
		"block":     {base + "output \"x\" {\n  value = bridge.b‸r0.name\n}\n", "lab.hcl", `bridge "br0"`},
		"nested":    {base + "output \"x\" {\n  value = vm.client[\"a\"].interface.eth‸0.mac\n}\n", "lab.hcl", `  interface "eth0"`},
		"address":   {base + "vm \"x\" {\n  depends_on = [vm.cli‸ent]\n}\n", "lab.hcl", `vm "client"`},
		"output":    {call + "output \"x\" {\n  value = module.m.ne‸t\n}\n", "site/lab.hcl", `output "net"`},
		"module":    {call + "output \"x\" {\n  value = modu‸le.m.net\n}\n", "lab.hcl", `module "m"`},
		"input":     {strings.Replace(call, "net = \"10\"", "ne‸t = \"10\"", 1), "site/lab.hcl", `variable "net"`},
		"source":    {strings.Replace(call, "./site", "./si‸te", 1), "site/lab.hcl", `variable "net"`},
		"no target": {base + "output \"x\" {\n  value = tru‸e\n}\n", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEditor(t, map[string]string{"site/lab.hcl": module})
			text, p := at(t, test.text)
			e.open("lab.hcl", text)
			places, err := e.server.Definition(t.Context(), &protocol.DefinitionParams{TextDocumentPositionParams: e.place("lab.hcl", p)})
			if err != nil {
				t.Fatal(err)
			}
			if test.file == "" {
				if len(places) != 0 {
					t.Errorf("%+v", places)
				}
				return
			}
			if len(places) != 1 || places[0].URI != e.uri(test.file) {
				t.Fatalf("%+v", places)
			}
			if test.file != "lab.hcl" {
				text = module
			}
			if line := strings.Split(text, "\n")[places[0].Range.Start.Line]; !strings.HasPrefix(line, test.line) {
				t.Errorf("it leads to %q", line)
			}
		})
	}
}

func TestFormatting(t *testing.T) {
	e := newEditor(t, nil)
	format := func(text string) []protocol.TextEdit {
		e.open("lab.hcl", text)
		edits, err := e.server.Formatting(t.Context(), &protocol.DocumentFormattingParams{TextDocument: protocol.TextDocumentIdentifier{URI: e.uri("lab.hcl")}})
		if err != nil {
			t.Fatal(err)
		}
		return edits
	}
	edits := format("lab \"x\" {\ndescription=\"y\"\n}\n")
	if len(edits) != 1 || edits[0].NewText != "lab \"x\" {\n  description = \"y\"\n}\n" || edits[0].Range.End.Line != 3 {
		t.Errorf("%+v", edits)
	}
	if edits := format(base); len(edits) != 0 {
		t.Errorf("a formatted text is changed: %+v", edits)
	}
	if edits := format("lab \"x\" {"); len(edits) != 0 {
		t.Errorf("a broken text is changed: %+v", edits)
	}
}

// TestEveryPlace asks for everything at every place of the examples, cut off there as it is while somebody types.
func TestEveryPlace(t *testing.T) {
	text, err := os.ReadFile("../../examples/holepunch/lab.hcl")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	e := newEditor(t, nil)
	for n, line := range lines {
		cut := min(len(line)/2, len(line)-1)
		if cut <= 0 {
			continue
		}
		e.open("lab.hcl", strings.Join(lines[:n], "")+line[:cut])
		place := e.place("lab.hcl", protocol.Position{Line: uint32(n), Character: uint32(cut)})
		if _, err := e.server.Completion(t.Context(), &protocol.CompletionParams{TextDocumentPositionParams: place}); err != nil {
			t.Fatal(n, err)
		}
		if _, err := e.server.Hover(t.Context(), &protocol.HoverParams{TextDocumentPositionParams: place}); err != nil {
			t.Fatal(n, err)
		}
		if _, err := e.server.Definition(t.Context(), &protocol.DefinitionParams{TextDocumentPositionParams: place}); err != nil {
			t.Fatal(n, err)
		}
	}
}
