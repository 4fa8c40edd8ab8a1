package lsp_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.lsp.dev/protocol"

	"github.com/labctl/labctl/schema/table"
)

// at is the place of a byte in a file, as the protocol counts: in lines, and on them in UTF-16 units, which these texts, all of
// ASCII, have as many of as bytes.
func (e *editor) at(name, text string, offset int) protocol.TextDocumentPositionParams {
	line := strings.Count(text[:offset], "\n")
	column := offset - strings.LastIndexByte(text[:offset], '\n') - 1
	return protocol.TextDocumentPositionParams{
		TextDocument: protocol.TextDocumentIdentifier{URI: e.uri(name)}, Position: protocol.Position{Line: uint32(line), Character: uint32(column)},
	}
}

// ask asks all that can be asked at a place, and returns the answers as the editor gets them.
func (e *editor) ask(name, text string, offset int) string {
	e.t.Helper()
	place := e.at(name, text, offset)
	hover, err := e.server.Hover(e.t.Context(), &protocol.HoverParams{TextDocumentPositionParams: place})
	if err != nil {
		e.t.Fatalf("hover at byte %d of %s: %v", offset, name, err)
	}
	completion, err := e.server.Completion(e.t.Context(), &protocol.CompletionParams{TextDocumentPositionParams: place})
	if err != nil {
		e.t.Fatalf("completion at byte %d of %s: %v", offset, name, err)
	}
	definition, err := e.server.Definition(e.t.Context(), &protocol.DefinitionParams{TextDocumentPositionParams: place})
	if err != nil {
		e.t.Fatalf("definition at byte %d of %s: %v", offset, name, err)
	}
	answers, err := json.Marshal([]any{hover, completion, definition})
	if err != nil {
		e.t.Fatal(err)
	}
	return string(answers)
}

// TestEveryPosition asks at the places of every example, and while each is typed, whatever half of it stands there. Every place is
// asked about where LABCTL_TEST_SOAK is set, else some of them.
func TestEveryPosition(t *testing.T) {
	step, typed := 29, 211
	if os.Getenv("LABCTL_TEST_SOAK") != "" {
		step, typed = 1, 5
	}
	paths, err := filepath.Glob("../../examples/*/lab.hcl")
	if err != nil || len(paths) < 10 {
		t.Fatalf("%d examples, %v", len(paths), err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Map(func(r rune) rune {
			if r > 127 { // so that bytes and units are the same
				return '?'
			}
			return r
		}, string(data))
		t.Run(filepath.Base(filepath.Dir(path)), func(t *testing.T) {
			e := newEditor(t, map[string]string{"lab.hcl": text})
			e.open("lab.hcl", text)
			for offset := 0; offset <= len(text); offset += step {
				e.ask("lab.hcl", text, offset)
			}
			for end := 0; end <= len(text); end += typed {
				e.change("lab.hcl", text[:end])
				e.ask("lab.hcl", text[:end], end)
			}
		})
	}
}

// What is half typed breaks no answer.
func TestHalfTyped(t *testing.T) {
	const before = "lab \"x\" {}\nlocals {\n  m = { a = { b = 1 } }\n  n = [1, 2]\n}\nbridge \"br0\" {\n  for_each = local.m\n  name     = "
	e := newEditor(t, map[string]string{"lab.hcl": before + "\"x\"\n}\n"})
	e.open("lab.hcl", before+"\"x\"\n}\n")
	for _, typed := range []string{
		"local.m[", "local.m[\"", "local.m[\"a", "local.m[\"a\"].", "local.m[each.", "local.m[each.key].", "local.n[0", "local.n[*].", "local.n[*", "local.", "\"${", "\"${local.m[", "\"${local.m.a", "each.",
		"[for ", "[for k, v in local.m : v.", "upper(", "upper(local.m[", "join(\"\", [", "cond ? ", "!", "<<EOT\n${local.m[", "bridge.br0[", "module.", "module.x[", "vm.", "-", "1 +", "{ a = ", "(", "1/0", "local.m[1/0]",
	} {
		for _, after := range []string{"", "\n}\n", "\n  mtu = 1500\n}\n"} {
			text := before + typed + after
			e.change("lab.hcl", text)
			for offset := len(before) - 3; offset <= len(before)+len(typed); offset++ {
				e.ask("lab.hcl", text, offset)
			}
		}
	}
}

// TestBlocksOfferWhatTheTableAllows opens a block of every kind, each in those that it may stand in, and asks what may be written
// there.
func TestBlocksOfferWhatTheTableAllows(t *testing.T) {
	e := newEditor(t, map[string]string{"lab.hcl": ""})
	e.open("lab.hcl", "")
	kinds := 0
	var visit func(b *table.Block, before, after string)
	visit = func(b *table.Block, before, after string) {
		kinds++
		text := before + "  "
		e.change("lab.hcl", text+"\n"+after)
		list, err := e.server.Completion(t.Context(), &protocol.CompletionParams{TextDocumentPositionParams: e.at("lab.hcl", text+"\n"+after, len(text))})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, item := range list.Items {
			got = append(got, item.Label)
		}
		attrs, blocks := b.Names()
		want := slices.Concat(attrs, blocks)
		slices.Sort(want)
		slices.Sort(got)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("in\n%s| what is offered (-want +got):\n%s", text, d)
		}
		for i := range b.Blocks {
			child := &b.Blocks[i]
			open := before + child.Kind
			for range child.Labels {
				open += ` "x"`
			}
			visit(child, open+" {\n", "}\n"+after)
		}
	}
	visit(table.Root(), "", "")
	if kinds < 50 {
		t.Errorf("there are only %d kinds of blocks", kinds)
	}
}

// No editor shows a secret, wherever the cursor stands.
func TestEditorsShowNoSecret(t *testing.T) {
	const text = `lab "x" {}
variable "pw" {
  sensitive = true
}
image "micro" { build = "micro" }
locals {
  inner = { pw = var.pw, list = [var.pw] }
  wrong = parseint(var.pw, 10)
}
nftables "fw" { ruleset = "table ip t { } # ${var.pw}" }
module "m" {
  source = "./m"
  pw     = "${local.inner.pw}!"
}
vm "a" {
  for_each    = { x = local.inner }
  image       = image.micro
  nftables    = [nftables.fw]
  description = "of ${each.value.pw} and ${module.m.pw}"
  file "/x" { content = join(",", each.value.list) }
}
output "o" {
  sensitive = true
  value     = [vm.a["x"].description, vm.a["x"].file["/x"].content, local.inner, module.m.pw, nftables.fw.ruleset]
}
`
	e := newEditor(t, map[string]string{
		"lab.hcl": text, "labctl.hclvars": "pw = \"Zq7SentinelX\"\n", "m/m.hcl": "variable \"pw\" {}\noutput \"pw\" { value = upper(var.pw) }\n",
	})
	e.open("lab.hcl", text)
	told := e.diagnostics("lab.hcl", func(list []protocol.Diagnostic) bool { return len(list) > 0 })
	if answers, err := json.Marshal(told); err != nil || strings.Contains(strings.ToLower(string(answers)), "zq7sentinelx") {
		t.Errorf("what is wrong is told with the secret: %s, %v", answers, err)
	}
	for offset := range text {
		if answers := e.ask("lab.hcl", text, offset); strings.Contains(strings.ToLower(answers), "zq7sentinelx") {
			t.Fatalf("at byte %d (%q) the secret is shown: %s", offset, text[max(0, offset-20):offset], answers)
		}
	}
}
