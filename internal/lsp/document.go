package lsp

import (
	"bytes"
	"fmt"
	"net/url"
	"path/filepath"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"go.lsp.dev/jsonrpc2"
	"go.lsp.dev/protocol"
	"go.lsp.dev/uri"
)

// document is a text that is open in the editor.
type document struct {
	uri  protocol.DocumentURI
	path string
	text []byte
}

// pathOf is the file that a URI names.
func pathOf(u protocol.DocumentURI) (string, error) {
	parsed, err := url.ParseRequestURI(string(u))
	if err != nil || parsed.Scheme != uri.FileScheme || parsed.Path == "" {
		return "", fmt.Errorf("%w: %s is no file", jsonrpc2.ErrInvalidParams, u)
	}
	return filepath.Clean(parsed.Path), nil
}

// offset is the byte of text at a position, whose characters count UTF-16 units as the protocol has it.
func offset(text []byte, at protocol.Position) int {
	start := 0
	for range at.Line {
		n := bytes.IndexByte(text[start:], '\n')
		if n < 0 {
			return len(text)
		}
		start += n + 1
	}
	for units := uint32(0); units < at.Character && start < len(text) && text[start] != '\n'; {
		r, size := utf8.DecodeRune(text[start:])
		units += uint32(max(utf16.RuneLen(r), 1))
		start += size
	}
	return start
}

// position is the reverse of offset.
func position(text []byte, offset int) protocol.Position {
	before := text[:min(max(offset, 0), len(text))]
	line := bytes.Count(before, []byte("\n"))
	var units int
	for rest := before[bytes.LastIndexByte(before, '\n')+1:]; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		units += max(utf16.RuneLen(r), 1)
		rest = rest[size:]
	}
	return protocol.Position{Line: uint32(line), Character: uint32(units)}
}

// rangeOf is a range of HCL in the protocol's terms.
func rangeOf(text []byte, r hcl.Range) protocol.Range {
	return protocol.Range{Start: position(text, r.Start.Byte), End: position(text, r.End.Byte)}
}

// contains reports whether the byte is in r or just behind it, where an editor's cursor stands after a word.
func contains(r hcl.Range, at int) bool { return r.Start.Byte <= at && at <= r.End.Byte }
