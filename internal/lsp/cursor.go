package lsp

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/labctl/labctl/schema/table"
)

// cursor is where somebody types, told from the text before it alone: what comes after need not parse yet.
type cursor struct {
	blocks  []header // those that are open, outermost first
	line    []string // words of the innermost block's line so far: an argument's name and =, or a block's kind and labels
	quoted  bool     // in a text, outside of its interpolations
	nested  bool     // in brackets of the line's expression
	comment bool
	word    string // what is typed of a name
	parent  string // the reference before the last dot; "" without one
}

// header is a block's kind and labels, and the arguments that it has above the cursor.
type header struct {
	words []string
	set   map[string]bool
}

// frame is something open: a block, or brackets or a text within one.
type frame struct {
	block  *header
	quoted bool
}

// where finds the cursor behind text.
func where(text []byte) *cursor {
	tokens, _ := hclsyntax.LexConfig(text, "", hcl.InitialPos)
	c := &cursor{}
	frames := []frame{{block: &header{set: map[string]bool{}}}}
	for _, token := range tokens {
		frames = c.step(frames, token)
	}
	for _, f := range frames {
		if f.block != nil {
			c.blocks = append(c.blocks, *f.block)
		}
	}
	top := frames[len(frames)-1]
	c.quoted, c.nested = top.quoted, top.block == nil && !top.quoted
	c.parent, c.word = chain(text)
	return c
}

func (c *cursor) step(frames []frame, token hclsyntax.Token) []frame {
	top := frames[len(frames)-1]
	c.comment = token.Type == hclsyntax.TokenComment && token.Bytes[len(token.Bytes)-1] != '\n' || c.comment && token.Type == hclsyntax.TokenEOF
	switch token.Type {
	case hclsyntax.TokenNewline, hclsyntax.TokenComment:
		if top.block != nil && !c.comment {
			c.line = nil
		}
	case hclsyntax.TokenOBrace:
		if top.block != nil && len(c.line) > 0 && c.line[min(1, len(c.line)-1)] != "=" {
			opened := &header{words: c.line, set: map[string]bool{}}
			c.line = nil
			return append(frames, frame{block: opened})
		}
		return append(frames, frame{})
	case hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
		return append(frames, frame{})
	case hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc:
		return append(frames, frame{quoted: true})
	case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd,
		hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc:
		if len(frames) == 1 {
			return frames
		}
		if top.block != nil {
			c.line = nil
		}
		return frames[:len(frames)-1]
	case hclsyntax.TokenEqual:
		if top.block != nil && len(c.line) == 1 {
			top.block.set[c.line[0]] = true
		}
		c.add(top, token)
	case hclsyntax.TokenEOF:
	default:
		c.add(top, token)
	}
	return frames
}

// add notes a word of the innermost block's line: at its own level, or a label between quotes.
func (c *cursor) add(top frame, token hclsyntax.Token) {
	if top.block != nil || top.quoted && len(c.line) > 0 && !c.value() {
		c.line = append(c.line, string(token.Bytes))
	}
}

// value reports whether the cursor is behind an argument's =.
func (c *cursor) value() bool { return len(c.line) > 1 && c.line[1] == "=" }

// chain splits the reference before the cursor at its last dot. Index brackets belong to it.
func chain(text []byte) (parent, word string) {
	start := len(text)
	for start > 0 {
		b := text[start-1]
		switch {
		case b == '.' || b == '_' || b == '-' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z':
			start--
			continue
		case b == ']':
			if open := strings.LastIndexByte(string(text[:start]), '['); open > 0 && !strings.ContainsRune(string(text[open:start]), '\n') {
				start = open
				continue
			}
		}
		break
	}
	whole := string(text[start:])
	if dot := strings.LastIndexByte(whole, '.'); dot >= 0 {
		return whole[:dot], whole[dot+1:]
	}
	return "", whole
}

// definition is the innermost block's definition; nil where the language has no such block.
func (c *cursor) definition(root *table.Block) *table.Block {
	s := &spot{def: root}
	for _, h := range c.blocks[1:] {
		if s.def == nil {
			return nil
		}
		s.enter(&hclsyntax.Block{Type: h.words[0], Labels: h.words[1:]}, -1)
	}
	return s.def
}
