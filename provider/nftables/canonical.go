package nftables

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/internal/nft"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// canonical is a ruleset as nft lists it.
type canonical struct {
	tables  []nft.Table
	listing string
}

// text is one table as nft would read it again, with a comment of ours.
func (c canonical) text(id, comment string) string {
	return withComment(nft.TableText(c.listing, id), comment)
}

// canonical lets nft load a ruleset in a scratch namespace and list it back, once for each text.
func (p *Provider) canonical(ctx context.Context, r schema.Ruleset) (canonical, error) {
	p.mu.Lock()
	c, cached := p.known[r.Text]
	p.mu.Unlock()
	if cached {
		return c, nil
	}
	c, err := canonicalOf(ctx, p.host, r)
	if err == nil {
		p.mu.Lock()
		p.known[r.Text] = c
		p.mu.Unlock()
	}
	return c, err
}

// canonicalOf asks nft. A text that names interfaces by index is refused where they are not there, so it is tried again
// with interfaces of all names that it might mean.
func canonicalOf(ctx context.Context, h host.Host, r schema.Ruleset) (canonical, error) {
	ruleset, listing, err := nft.Scratch(ctx, h, r.Text)
	if links := linksIn(r.Text); err != nil && len(links) > 0 {
		ruleset, listing, err = nft.Scratch(ctx, h, r.Text, links...)
	}
	if err != nil {
		return canonical{}, err
	}
	return canonical{tables: ruleset.Tables, listing: listing}, nil
}

// linksIn are the words that stand where nft wants the name of an interface that is there. One too many does no harm in a
// scratch namespace.
func linksIn(text string) []string {
	var links []string
	after := regexp.MustCompile(`\b(?:iif|oif|devices?|define\s+\w+\s*=)(?:\s*[!=]=|\s*=|\s+vmap)?\s*(?:\{([^}]*)\}|("?[\w.@-]+"?))`)
	name := regexp.MustCompile(`^[\w.@-]+$`)
	for _, match := range after.FindAllStringSubmatch(text, -1) {
		for word := range strings.FieldsFuncSeq(match[1]+" "+match[2], func(r rune) bool { return strings.ContainsRune(" ,:\t\n\"", r) }) {
			if word != "lo" && len(word) <= maxLinkName && name.MatchString(word) {
				links = append(links, word)
			}
		}
	}
	slices.Sort(links)
	return slices.Compact(links)
}

// maxLinkName is IFNAMSIZ of if.h without the final NUL.
const maxLinkName = 15

// Check asks nft about a ruleset in a scratch namespace of the host, nothing loaded. Each error is an *provider.Error with
// nft's own words and, where it is known, the line in the lab's files. It serves hosts and guests alike.
func Check(ctx context.Context, h host.Host, addr schema.Addr, r schema.Ruleset) []error {
	if flushes.MatchString(r.Text) {
		return []error{&provider.Error{Op: "check ruleset", Addr: addr,
			Err:  errors.New("it holds a flush of the whole ruleset, which would take other people's tables away"),
			Hint: "leave it out: labctl replaces the tables that the ruleset defines, and only those"}}
	}
	if _, err := canonicalOf(ctx, h, r); err != nil {
		return refusals(addr, r, err)
	}
	return nil
}

// refusals are nft's complaints, each at its line.
func refusals(addr schema.Addr, r schema.Ruleset, err error) []error {
	refused, ok := errors.AsType[*nft.RefusedError](err)
	if !ok || len(refused.Lines) == 0 {
		return []error{&provider.Error{Op: "check ruleset", Addr: addr, Err: err}}
	}
	var errs []error
	for _, line := range refused.Lines {
		told := &provider.Error{Op: "check ruleset", Addr: addr, Err: fmt.Errorf("nft: %s", line.Message)}
		if line.File != "" {
			told.Err = fmt.Errorf("nft: %s:%d: %s", line.File, line.Line, line.Message)
		} else if n := line.Line - 1; n < len(r.Lines) {
			told.Pos = r.Lines[n]
		}
		if n := line.Line - 1; line.File == "" {
			told.Detail = lineAt(r.Text, n)
		}
		errs = append(errs, told)
	}
	return errs
}

var flushes = regexp.MustCompile(`(?m)^\s*(?:flush\s+ruleset)\b`)

// lineAt is the nth line of text, from 0.
func lineAt(text string, n int) string {
	lines := strings.Split(text, "\n")
	if n < 0 || n >= len(lines) {
		return ""
	}
	return strings.TrimSpace(lines[n])
}

// Check implements provider.Checker.
func (p *Provider) Check(ctx context.Context, want []schema.Resource) []error {
	var errs []error
	for _, r := range want {
		if body, ok := r.Body.(*schema.Ruleset); ok {
			errs = append(errs, Check(ctx, p.host, r.Addr, *body)...)
		}
	}
	return errs
}

// withComment is tables' text, as nft lists it, with the tables' comments replaced; without any for "".
func withComment(tables, comment string) string {
	var b strings.Builder
	depth := 0 // of blocks: 1 is inside a table
	for line := range strings.Lines(tables) {
		if depth == 1 && strings.HasPrefix(line, "\tcomment ") { // the table's own
			continue
		}
		if strings.HasSuffix(line, "{\n") {
			depth++
		} else if strings.TrimSpace(line) == "}" {
			depth--
		}
		b.WriteString(line)
		if comment != "" && strings.HasPrefix(line, "table ") {
			fmt.Fprintf(&b, "\tcomment \"%s\"\n", comment)
		}
	}
	return b.String()
}

// maxComment is what nft takes for a comment (NFTNL_UDATA_COMMENT_MAXLEN of libnftnl, with its final NUL).
const maxComment = 127

// comment is the mark for a table: all of it where there is room, or what the ownership hangs on.
func comment(mark provider.Mark) (string, error) {
	mark.Deps = nil
	for _, shorten := range []func(){func() {}, func() { mark.Fingerprint = "" }, func() { mark.PreventDestroy = false }} {
		shorten()
		if text := mark.String(); len(text) <= maxComment {
			return text, nil
		}
	}
	return "", fmt.Errorf("the names of the lab and of %s are too long: nft has room for %d characters in a table's comment, and %d are needed",
		mark.Addr, maxComment, len(mark.String()))
}
