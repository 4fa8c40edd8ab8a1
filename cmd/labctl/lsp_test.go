package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.lsp.dev/jsonrpc2"
	"go.lsp.dev/protocol"
	"go.lsp.dev/uri"
	"go.uber.org/zap"
)

// stdio is a process's two ends.
type stdio struct {
	*os.File
	out *os.File
}

func (s stdio) Write(p []byte) (int, error) { return s.out.Write(p) }

type listener struct {
	protocol.Client
	told chan *protocol.PublishDiagnosticsParams
}

func (l listener) PublishDiagnostics(_ context.Context, p *protocol.PublishDiagnosticsParams) error {
	l.told <- p
	return nil
}

// TestLSP starts `labctl lsp` as an editor does and talks with it over its standard input and output.
func TestLSP(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	labctl := filepath.Join(dir, "labctl") // the test's own binary is labctl when it is called so
	if err := os.Symlink(self, labctl); err != nil {
		t.Fatal(err)
	}
	inRead, inWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, labctl, "lsp")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = inRead, outWrite, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = inRead.Close()
	_ = outWrite.Close()
	l := listener{told: make(chan *protocol.PublishDiagnosticsParams, 10)}
	_, _, server := protocol.NewClient(ctx, l, jsonrpc2.NewStream(stdio{outRead, inWrite}), zap.NewNop())
	if _, err := server.Initialize(ctx, &protocol.InitializeParams{}); err != nil {
		t.Fatal(err)
	}
	lab := uri.File(filepath.Join(dir, "lab.hcl"))
	err = server.DidOpen(ctx, &protocol.DidOpenTextDocumentParams{
		TextDocument: protocol.TextDocumentItem{URI: lab, Text: "lab \"x\" {\n  descrption = \"y\"\n}\n"},
	})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case p := <-l.told:
		if p.URI != lab || len(p.Diagnostics) != 1 || p.Diagnostics[0].Code != "LAB0002" || p.Diagnostics[0].Range.Start.Line != 1 {
			t.Errorf("%+v", p)
		}
	case <-ctx.Done():
		t.Error("nothing is said about the mistake")
	}
	if err := server.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	_ = server.Exit(ctx)
	if err := cmd.Wait(); err != nil {
		t.Errorf("labctl lsp ends with %v", err)
	}
}
