package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/labctl/labctl/internal/session"
	"github.com/labctl/labctl/schema/config"
)

// kept is how many lines the history holds.
const kept = 500

// history is what was typed, newest first, kept in a file of the user's.
type history struct {
	lines []string
	path  string // "" where there is no place for it
}

// newHistory reads the history of earlier prompts.
func newHistory() *history {
	dir := os.Getenv("XDG_STATE_HOME")
	if home, err := os.UserHomeDir(); dir == "" && err == nil {
		dir = filepath.Join(home, ".local", "state")
	}
	if dir == "" {
		return &history{}
	}
	h := &history{path: filepath.Join(dir, "labctl", "history")}
	text, err := os.ReadFile(h.path)
	if err != nil {
		return h
	}
	for line := range strings.Lines(string(text)) {
		h.remember(strings.TrimSuffix(line, "\n"))
	}
	return h
}

func (h *history) remember(line string) {
	if line != "" && (len(h.lines) == 0 || h.lines[0] != line) {
		h.lines = append([]string{line}, h.lines[:min(len(h.lines), kept-1)]...)
	}
}

// Add implements term.History. A history that cannot be written is no reason to stop.
func (h *history) Add(line string) {
	h.remember(line)
	if h.path == "" || os.MkdirAll(filepath.Dir(h.path), 0o700) != nil {
		return
	}
	var b strings.Builder
	for i := len(h.lines) - 1; i >= 0; i-- {
		b.WriteString(h.lines[i] + "\n")
	}
	_ = os.WriteFile(h.path, []byte(b.String()), 0o600)
}

// Len implements term.History.
func (h *history) Len() int { return len(h.lines) }

// At implements term.History.
func (h *history) At(i int) string { return h.lines[i] }

// unfinished reports whether an expression goes on in the next line: a bracket or a heredoc is open. An empty line ends it all the
// same, so that nobody is caught.
func unfinished(text string) bool {
	tokens, _ := hclsyntax.LexExpression([]byte(text+"\n"), "", hcl.InitialPos) // what is wrong is told when it is evaluated
	open, quotes := 0, 0
	for _, token := range tokens {
		switch token.Type {
		case hclsyntax.TokenOQuote:
			quotes++
		case hclsyntax.TokenCQuote:
			quotes--
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl, hclsyntax.TokenOHeredoc:
			open++
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd, hclsyntax.TokenCHeredoc:
			open--
		}
	}
	return open > 0 && quotes == 0 // a text in quotes ends on its line
}

// prompt evaluates what a person types, line by line, until they leave with exit or ^D.
func prompt(cmd *cobra.Command, o *options, result *config.Result, stdin *os.File, asJSON bool) error {
	fd := int(stdin.Fd())
	screen := struct {
		io.Reader
		io.Writer
	}{stdin, cmd.OutOrStdout()}
	terminal := term.NewTerminal(screen, "> ")
	terminal.History = newHistory()
	text := "" // of an expression that goes on for lines
	for {
		terminal.SetPrompt("> ")
		if text != "" {
			terminal.SetPrompt("… ")
		}
		if width, height, err := term.GetSize(fd); err == nil && width > 0 {
			_ = terminal.SetSize(width, height)
		}
		raw, err := term.MakeRaw(fd)
		if err != nil {
			return err
		}
		line, err := terminal.ReadLine()
		if restored := term.Restore(fd, raw); restored != nil {
			return restored
		}
		word := strings.TrimSpace(line)
		switch {
		case errors.Is(err, io.EOF), word == "exit", word == "quit":
			fmt.Fprintln(cmd.OutOrStdout())
			return nil
		case err != nil:
			return err
		case text == "" && (word == "" || word[0] == '#'):
			continue
		}
		if text += line; unfinished(text) && word != "" {
			text += "\n"
			continue
		}
		err = evaluate(cmd, o, result, text, asJSON)
		if _, told := errors.AsType[session.ExitError](err); err != nil && !told {
			fmt.Fprintf(cmd.ErrOrStderr(), "labctl: %v\n", err)
		}
		text = ""
	}
}
