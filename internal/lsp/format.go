package lsp

import (
	"bytes"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"go.lsp.dev/protocol"
)

// format is the document in the canonical format, as `labctl fmt` writes it. A document that does not parse is left alone.
func (s *Server) format(p *protocol.DocumentFormattingParams) (any, error) {
	path, err := pathOf(p.TextDocument.URI)
	if err != nil {
		return nil, err
	}
	edits := []protocol.TextEdit{}
	text := s.text(path)
	if _, diags := hclsyntax.ParseConfig(text, path, hcl.InitialPos); diags.HasErrors() {
		return edits, nil
	}
	formatted := hclwrite.Format(text)
	if bytes.Equal(text, formatted) {
		return edits, nil
	}
	return append(edits, protocol.TextEdit{
		Range: protocol.Range{End: position(text, len(text))}, NewText: string(formatted),
	}), nil
}
