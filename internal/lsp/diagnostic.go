package lsp

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"go.lsp.dev/protocol"
	"go.lsp.dev/uri"

	"github.com/labctl/labctl/schema/diag"
)

// publish tells the editor what is wrong with the labs of the open documents, and that nothing is with files of which it
// was told something before.
func (s *Server) publish(ctx context.Context) {
	found := map[string][]protocol.Diagnostic{}
	seen := map[string]bool{}
	for path := range s.documents {
		if !isLab(path) {
			continue
		}
		dir := s.folderOf(path)
		if seen[dir] {
			continue
		}
		seen[dir] = true
		l := s.load(dir)
		for file := range l.result.Files {
			found[file] = append(found[file], []protocol.Diagnostic{}...)
		}
		for _, d := range l.diags {
			if !s.concerns(d, l) {
				continue
			}
			file := path
			if d.Subject != nil && d.Subject.Filename != "" {
				file = d.Subject.Filename
			}
			found[file] = append(found[file], s.diagnostic(d, file))
		}
	}
	for file := range s.published {
		if _, ok := found[file]; !ok {
			found[file] = nil
		}
	}
	clear(s.published)
	for file, diagnostics := range found {
		if len(diagnostics) > 0 {
			s.published[file] = true
		}
		if diagnostics == nil {
			diagnostics = []protocol.Diagnostic{}
		}
		target := uri.File(file)
		if d := s.documents[file]; d != nil {
			target = d.uri // as the editor spells it
		}
		_ = s.conn.Notify(ctx, protocol.MethodTextDocumentPublishDiagnostics,
			&protocol.PublishDiagnosticsParams{URI: target, Diagnostics: diagnostics})
	}
}

func isLab(path string) bool {
	return filepath.Ext(path) == ".hcl" || strings.HasSuffix(path, ".hcl.json")
}

// concerns reports whether a diagnostic is of use to who edits: a variable gets its value elsewhere, and a module that no
// lab here uses has no lab block.
func (s *Server) concerns(d *hcl.Diagnostic, l *lab) bool {
	switch diag.CodeOf(d) {
	case diag.NoValue:
		return false
	case diag.NoLab:
		return !isModule(l)
	}
	return true
}

// isModule reports whether a folder without a lab block looks like a module.
func isModule(l *lab) bool {
	for _, m := range l.result.Modules() {
		for name := range m.Decls {
			if name.Kind == "var" || name.Kind == "output" {
				return true
			}
		}
	}
	return false
}

func (s *Server) diagnostic(d *hcl.Diagnostic, file string) protocol.Diagnostic {
	out := protocol.Diagnostic{Severity: protocol.DiagnosticSeverityError, Source: "labctl", Message: d.Summary}
	if d.Severity == hcl.DiagWarning {
		out.Severity = protocol.DiagnosticSeverityWarning
	}
	if d.Detail != "" {
		out.Message += "\n" + d.Detail
	}
	if code := diag.CodeOf(d); code != "" {
		out.Code = code
	}
	if d.Subject != nil {
		out.Range = rangeOf(s.text(file), *d.Subject)
	}
	return out
}
