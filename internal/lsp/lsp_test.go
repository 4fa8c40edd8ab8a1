package lsp_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.lsp.dev/jsonrpc2"
	"go.lsp.dev/protocol"
	"go.lsp.dev/uri"
	"go.uber.org/zap"

	"github.com/labctl/labctl/internal/lsp"
	"github.com/labctl/labctl/schema"
)

// editor is a client of the protocol's own library that talks with a server over a pipe.
type editor struct {
	protocol.Client // what the server may call and no test expects
	t               *testing.T
	server          protocol.Server
	ended           chan error
	told            chan *protocol.PublishDiagnosticsParams
	dir             string
	version         int32
}

func (e *editor) PublishDiagnostics(_ context.Context, p *protocol.PublishDiagnosticsParams) error {
	e.told <- p
	return nil
}

// systems is a database of two operating systems.
type systems struct{}

func (systems) Names() ([]string, error) { return []string{"debian11", "winxp"}, nil }

func (systems) Defaults(string, string, string) (*schema.OSDefaults, error) { return nil, nil }

// newEditor opens a folder with files, whose texts are on the disk.
func newEditor(t *testing.T, files map[string]string) *editor {
	t.Helper()
	e := &editor{t: t, ended: make(chan error, 1), told: make(chan *protocol.PublishDiagnosticsParams, 1000), dir: t.TempDir()}
	for name, text := range files {
		path := filepath.Join(e.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ours, theirs := net.Pipe()
	go func() { e.ended <- lsp.New("1.0.0", nil, systems{}).Serve(context.Background(), theirs) }()
	// The test's own context ends before its clean-up, in which the editor still says goodbye.
	_, _, e.server = protocol.NewClient(context.Background(), e, jsonrpc2.NewStream(ours), zap.NewNop())
	init, err := e.server.Initialize(t.Context(), &protocol.InitializeParams{Capabilities: protocol.ClientCapabilities{
		TextDocument: &protocol.TextDocumentClientCapabilities{Completion: &protocol.CompletionTextDocumentClientCapabilities{
			CompletionItem: &protocol.CompletionTextDocumentClientCapabilitiesItem{SnippetSupport: true},
		}},
	}})
	if err != nil || init.ServerInfo.Name != "labctl" {
		t.Fatal(init, err)
	}
	t.Cleanup(e.leave)
	return e
}

// leave says goodbye, and demands that the server ends without complaint.
func (e *editor) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := e.server.Shutdown(ctx); err != nil {
		e.t.Error(err)
	}
	_ = e.server.Exit(ctx)
	select {
	case err := <-e.ended:
		if err != nil {
			e.t.Error(err)
		}
	case <-ctx.Done():
		e.t.Error("the server does not end")
	}
}

func (e *editor) uri(name string) protocol.DocumentURI { return uri.File(filepath.Join(e.dir, name)) }

func (e *editor) open(name, text string) {
	e.t.Helper()
	err := e.server.DidOpen(e.t.Context(), &protocol.DidOpenTextDocumentParams{
		TextDocument: protocol.TextDocumentItem{URI: e.uri(name), LanguageID: "hcl", Text: text},
	})
	if err != nil {
		e.t.Fatal(err)
	}
}

func (e *editor) change(name, text string) {
	e.t.Helper()
	e.version++
	err := e.server.DidChange(e.t.Context(), &protocol.DidChangeTextDocumentParams{
		TextDocument:   protocol.VersionedTextDocumentIdentifier{TextDocumentIdentifier: protocol.TextDocumentIdentifier{URI: e.uri(name)}, Version: e.version},
		ContentChanges: []protocol.TextDocumentContentChangeEvent{{Text: text}},
	})
	if err != nil {
		e.t.Fatal(err)
	}
}

// diagnostics waits until the server has told what is wrong with a file, for as long as want says no.
func (e *editor) diagnostics(name string, want func([]protocol.Diagnostic) bool) []protocol.Diagnostic {
	e.t.Helper()
	var last []protocol.Diagnostic
	for deadline := time.After(10 * time.Second); ; {
		select {
		case p := <-e.told:
			if p.URI != e.uri(name) {
				continue
			}
			if last = p.Diagnostics; want(last) {
				return last
			}
		case <-deadline:
			e.t.Fatalf("what is wrong with %s was last told as %+v", name, last)
		}
	}
}

// at is the text without its mark ‸, and the mark's position.
func at(t *testing.T, text string) (string, protocol.Position) {
	t.Helper()
	before, after, ok := strings.Cut(text, "‸")
	if !ok {
		t.Fatal("no mark in the text")
	}
	line := before[strings.LastIndexByte(before, '\n')+1:]
	units := 0
	for _, r := range line {
		units++
		if r > 0xffff {
			units++
		}
	}
	return before + after, protocol.Position{Line: uint32(strings.Count(before, "\n")), Character: uint32(units)}
}

func (e *editor) place(name string, p protocol.Position) protocol.TextDocumentPositionParams {
	return protocol.TextDocumentPositionParams{TextDocument: protocol.TextDocumentIdentifier{URI: e.uri(name)}, Position: p}
}

// complete opens the text with the cursor at its mark and gives what is offered there.
func (e *editor) complete(name, marked string) map[string]protocol.CompletionItem {
	e.t.Helper()
	text, p := at(e.t, marked)
	e.open(name, text)
	list, err := e.server.Completion(e.t.Context(), &protocol.CompletionParams{TextDocumentPositionParams: e.place(name, p)})
	if err != nil {
		e.t.Fatal(err)
	}
	items := map[string]protocol.CompletionItem{}
	for _, item := range list.Items {
		items[item.Label] = item
	}
	return items
}

const base = `lab "test" {}

variable "size" {
  description = "How much memory"
  type        = string
  default     = "256MiB"
}

variable "secret" {
  type      = string
  default   = "hunter2"
  sensitive = true
}

locals {
  sites = { a = { net = "10.0.1" }, b = { net = "10.0.2" } }
}

bridge "br0" {
  addresses = ["10.0.1.1/24"]
}

image "micro" {
  build = "micro"
}

vm "client" {
  for_each = local.sites
  image    = image.micro
  interface "eth0" {
    bridge    = bridge.br0
    addresses = ["${each.value.net}.5/24"]
  }
}
`

func TestDiagnostics(t *testing.T) {
	e := newEditor(t, map[string]string{"lab.hcl": base})
	e.open("lab.hcl", base)
	e.diagnostics("lab.hcl", func(d []protocol.Diagnostic) bool { return len(d) == 0 })

	e.change("lab.hcl", base+"\nvm \"𝄞\" {\n  memroy = 1\n}\n")
	wrong := e.diagnostics("lab.hcl", func(d []protocol.Diagnostic) bool { return len(d) > 1 })
	i := slices.IndexFunc(wrong, func(d protocol.Diagnostic) bool { return d.Code == "LAB0002" })
	if i < 0 || !strings.Contains(wrong[i].Message, `"memory"`) || wrong[i].Source != "labctl" {
		t.Fatalf("%+v", wrong)
	}
	line := uint32(strings.Count(base, "\n") + 2)
	if got, want := wrong[i].Range, (protocol.Range{Start: protocol.Position{Line: line, Character: 2}, End: protocol.Position{Line: line, Character: 8}}); got != want {
		t.Errorf("it is at %v, not %v", got, want)
	}
	i = slices.IndexFunc(wrong, func(d protocol.Diagnostic) bool { return d.Code == "LAB0014" })
	if i < 0 || wrong[i].Range.End.Character != 7 { // vm "𝄞": two units in UTF-16
		t.Errorf("the name's end is not told in UTF-16: %+v", wrong)
	}

	e.change("lab.hcl", base)
	e.diagnostics("lab.hcl", func(d []protocol.Diagnostic) bool { return len(d) == 0 })
}

func TestDiagnosticsOfAModule(t *testing.T) {
	module := "variable \"name\" {}\n\nbridge \"b\" {\n  name = var.nome\n}\n"
	e := newEditor(t, map[string]string{
		"lab.hcl":      "lab \"test\" {}\n\nmodule \"m\" {\n  source = \"./site\"\n  name   = \"x\"\n}\n",
		"site/lab.hcl": module, "alone/lab.hcl": "variable \"x\" {}\n\nbridge \"b\" {}\n",
	})
	e.open("site/lab.hcl", module)
	e.diagnostics("site/lab.hcl", func(d []protocol.Diagnostic) bool { return len(d) == 1 && d[0].Code == "LAB0102" })
	e.open("alone/lab.hcl", "variable \"x\" {}\n\nbridge \"b\" {}\n")
	e.diagnostics("alone/lab.hcl", func(d []protocol.Diagnostic) bool { return len(d) == 0 })
}

func TestCompletion(t *testing.T) {
	for name, test := range map[string]struct {
		text  string
		offer []string
		never []string
	}{
		"top":          {base + "v‸", []string{"vm", "variable", "bridge", "check"}, []string{"memory"}},
		"arguments":    {base + "vm \"x\" {\n  memory = 1\n  ‸\n}\n", []string{"vcpus", "interface", "lifecycle", "for_each"}, []string{"memory", "ip", "vm"}},
		"nested":       {base + "vm \"x\" {\n  interface \"eth0\" {\n    ‸\n  }\n}\n", []string{"bridge", "addresses", "impair"}, []string{"vcpus"}},
		"dynamic":      {base + "vm \"x\" {\n  dynamic \"interface\" {\n    for_each = []\n    content {\n      ‸\n    }\n  }\n}\n", []string{"bridge"}, []string{"vcpus"}},
		"enum":         {base + "vm \"x\" {\n  firmware = ‸\n}\n", []string{`"bios"`, `"uefi"`}, nil},
		"quoted enum":  {base + "vm \"x\" {\n  firmware = \"‸\"\n}\n", []string{"bios", "uefi"}, []string{`"bios"`}},
		"a system":     {base + "vm \"x\" {\n  os_variant = \"deb‸\"\n}\n", []string{"debian11", "winxp"}, []string{"bios"}},
		"reference":    {base + "vm \"x\" {\n  image = ‸\n}\n", []string{"image.micro", "var", "local", "cidrhost"}, []string{"bridge.br0", "each"}},
		"labels":       {base + "vm \"x\" {\n  image = image.‸\n}\n", []string{"micro"}, []string{"br0"}},
		"variables":    {base + "vm \"x\" {\n  memory = var.‸\n}\n", []string{"size", "secret"}, []string{"sites"}},
		"in a list":    {base + "bridge \"x\" {\n  addresses = [\n    local.‸\n  ]\n}\n", []string{"sites"}, []string{"size"}},
		"in a text":    {base + "bridge \"x\" {\n  name = \"${var.‸}\"\n}\n", []string{"size"}, nil},
		"attributes":   {base + "output \"x\" {\n  value = vm.client[\"a\"].‸\n}\n", []string{"ip", "interface", "name"}, []string{"client"}},
		"each":         {base + "vm \"x\" {\n  for_each = local.sites\n  name = each.value.‸\n}\n", []string{"net"}, nil},
		"a plain text": {base + "bridge \"x\" {\n  name = \"var.‸\"\n}\n", nil, []string{"size"}},
		"comment":      {base + "# v‸", nil, []string{"vm"}},
		"label":        {base + "nftables \"x\" {\n  table \"‸\" \"f\" {}\n}\n", []string{"ip", "inet"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEditor(t, map[string]string{"lab.hcl": base})
			e.complete("lab.hcl", base+"‸")
			items := e.complete("lab.hcl", test.text)
			for _, want := range test.offer {
				if _, ok := items[want]; !ok {
					t.Errorf("%q is not offered", want)
				}
			}
			for _, no := range test.never {
				if _, ok := items[no]; ok {
					t.Errorf("%q is offered", no)
				}
			}
		})
	}
}

func TestCompletionDetails(t *testing.T) {
	e := newEditor(t, map[string]string{"lab.hcl": base})
	items := e.complete("lab.hcl", base+"vm \"x\" {\n  memory = var.‸ \n}\n")
	if items["size"].Detail != `"256MiB"` || items["size"].Documentation != "How much memory" {
		t.Errorf("%+v", items["size"])
	}
	if items["secret"].Detail != "(sensitive value)" {
		t.Errorf("%+v", items["secret"])
	}
	items = e.complete("lab.hcl", "‸")
	if items["image"].InsertTextFormat != protocol.InsertTextFormatSnippet || !strings.HasPrefix(items["image"].InsertText, `image "${1:label}" {`) {
		t.Errorf("%+v", items["image"])
	}
}
