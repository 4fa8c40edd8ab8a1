package nftables

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/internal/nft"
)

// machine is a host whose nft takes rulesets that are written as nft lists them, and refuses those with the word "frob".
type machine struct {
	root string

	mu     sync.Mutex
	tables map[string]string // text by family and name
	order  []string
	loads  []string
	cut    bool
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{root: t.TempDir(), tables: map[string]string{}}
	if err := (host.Local{}).WriteFile(t.Context(), filepath.Join(m.root, systemdSign), []byte("[Unit]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *machine) provider() *Provider {
	p := New(m)
	p.Root = m.root
	return p
}

func (m *machine) ReadFile(ctx context.Context, path string) ([]byte, error) {
	return host.Local{}.ReadFile(ctx, path)
}

func (m *machine) WriteFile(ctx context.Context, path string, data []byte, mode os.FileMode) error {
	return host.Local{}.WriteFile(ctx, path, data, mode)
}

func (m *machine) Remove(ctx context.Context, path string) error {
	return host.Local{}.Remove(ctx, path)
}

func (m *machine) Run(ctx context.Context, c host.Command) (host.Output, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cut {
		return host.Output{}, fmt.Errorf("no answer")
	}
	words := strings.Join(c.Args, " ")
	switch {
	case strings.HasPrefix(words, "unshare -n sh"):
		if err := refuse(c); err != nil {
			return host.Output{}, err
		}
		scratch := &machine{tables: map[string]string{}}
		err := scratch.load(string(c.Stdin))
		return host.Output{Stdout: []byte(scratch.list())}, err
	case words == "nft -s list ruleset":
		return host.Output{Stdout: []byte(m.list())}, nil
	case strings.HasPrefix(words, "nft list table "):
		return host.Output{Stdout: []byte(m.tables[strings.TrimPrefix(words, "nft list table ")])}, nil
	case words == "nft -f -":
		if err := refuse(c); err != nil {
			return host.Output{}, err
		}
		m.loads = append(m.loads, string(c.Stdin))
		return host.Output{}, m.load(string(c.Stdin))
	case strings.HasPrefix(words, "sh -ec mkdir") || strings.HasPrefix(words, "sh -c cd "): // makes a link, or reads files, below the root
		return host.Local{}.Run(ctx, c)
	}
	return host.Output{}, fmt.Errorf("the fake host has no %s", words)
}

// refuse complains as nft does, at the line with the bad word.
func refuse(c host.Command) error {
	for n, line := range strings.Split(string(c.Stdin), "\n") {
		if at := strings.Index(line, "frob"); at >= 0 {
			return &host.CommandError{Args: c.Args, Exit: 1, Stderr: fmt.Sprintf(
				"/dev/stdin:%d:%d-%d: Error: syntax error, unexpected string\n%s\n%s^^^^\n", n+1, at+1, at+4, line, strings.Repeat(" ", at))}
		}
	}
	return nil
}

func (m *machine) load(text string) error {
	command := regexp.MustCompile(`^(add|delete) table (\S+ \S+)$`)
	for rest := text; rest != ""; {
		line, tail, _ := strings.Cut(rest, "\n")
		if words := command.FindStringSubmatch(line); words != nil {
			if words[1] == "add" && m.tables[words[2]] == "" {
				m.order = append(m.order, words[2])
				m.tables[words[2]] = "table " + words[2] + " {\n}\n"
			} else if words[1] == "delete" {
				delete(m.tables, words[2])
			}
			rest = tail
			continue
		}
		id, isTable := strings.CutPrefix(strings.TrimSuffix(line, " {"), "table ")
		body := nft.TableText(rest, id)
		if !isTable || body == "" {
			return fmt.Errorf("the fake nft does not know %q", line)
		}
		m.order = append(m.order, id)
		m.tables[id] = body
		rest = rest[len(body):]
	}
	return nil
}

func (m *machine) list() string {
	var b strings.Builder
	seen := map[string]bool{}
	for _, id := range m.order {
		if !seen[id] {
			b.WriteString(m.tables[id])
		}
		seen[id] = true
	}
	return b.String()
}
