package nat

import (
	"fmt"
	"strings"
)

// text builds nft's syntax, a statement a line, indented by tabs as nft lists it.
type text struct {
	strings.Builder
	depth int
}

func (t *text) line(format string, args ...any) {
	t.WriteString(strings.Repeat("\t", t.depth))
	fmt.Fprintf(&t.Builder, format, args...)
	t.WriteByte('\n')
}

func (t *text) open(head string) {
	t.line("%s {", head)
	t.depth++
}

func (t *text) close() {
	t.depth--
	t.line("}")
}

// note writes a comment that nft does not keep.
func (t *text) note(words string) { t.line("# %s", words) }

// Longest comment that nft keeps with a rule, bytes (NFTNL_UDATA_COMMENT_MAXLEN of libnftnl is 128 with the final NUL).
const maxComment = 127

// rule writes a rule with a comment that nft keeps.
func (t *text) rule(statement, comment string) {
	if comment = plain(comment); comment != "" {
		statement += ` comment "` + comment + `"`
	}
	t.line("%s", statement)
}

// plain leaves out what nft's quoted strings cannot hold.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return -1
		}
		return r
	}, s)
	return s[:min(len(s), maxComment)]
}

func braces(items []string) string { return "{ " + strings.Join(items, ", ") + " }" }

// quoteAll writes interface names as one value or as a set.
func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = `"` + name + `"`
	}
	if len(quoted) == 1 {
		return quoted[0]
	}
	return braces(quoted)
}
