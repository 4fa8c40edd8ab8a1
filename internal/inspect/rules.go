// Package inspect shows people what works in a machine just now: its rules with what they have counted, and the connections
// that it tracks.
package inspect

import (
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/mitchellh/go-wordwrap"

	"github.com/labctl/labctl/internal/nft"
)

// Style is how things are written.
type Style struct {
	Color bool // with ANSI colours
	Width int  // columns at which rules are broken; 0 breaks none
}

func (s Style) paint(code, text string) string {
	if !s.Color || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// What the codes of SGR mean here.
const (
	bold  = "1"
	dim   = "2"
	green = "32"
	cyan  = "36"
)

// most elements of a set or map that are written; the rest is told as a number.
const mostElements = 12

// Rules writes a ruleset with what each rule has counted. What rose since before, a look some time ago, is marked; before
// is nil at the first look.
func (s Style) Rules(w io.Writer, now nft.Live, before []nft.Count) {
	counts := map[string]nft.Count{}
	for _, c := range now.Counts {
		counts[c.Table+" "+c.Chain+" "+strconv.Itoa(c.Number)] = c
	}
	rose := map[string]uint64{}
	if before != nil {
		for _, c := range nft.Rose(before, now.Counts) {
			rose[c.Key()] = c.Packets
		}
	}
	if len(now.Tables) == 0 {
		fmt.Fprintln(w, "There are no rules.")
	}
	for n, t := range now.Tables {
		if n > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s\n", s.paint(bold, "table "+t.ID()))
		for _, o := range t.Objects {
			switch o.Kind {
			case "chain":
				s.chain(w, t, o, counts, rose)
			case "counter":
				c := counts[t.ID()+" "+o.Name+" 0"]
				fmt.Fprintf(w, "  counter %s\n%s\n", s.paint(cyan, o.Name), s.counted(c, rose[c.Key()]))
			case "set", "map":
				s.elements(w, o)
			default:
				fmt.Fprintf(w, "  %s %s  %s\n", o.Kind, s.paint(cyan, o.Name), s.paint(dim, strings.Join(o.Props, " ")))
			}
		}
	}
}

// Columns of the numbers before a rule.
const numbers = "%12s %12s"

func (s Style) chain(w io.Writer, t nft.Table, o nft.Object, counts map[string]nft.Count, rose map[string]uint64) {
	about := strings.TrimSuffix(strings.Join(o.Props, " "), ";")
	if about == "" {
		about = "reached by a jump"
	}
	fmt.Fprintf(w, "  chain %s  %s\n", s.paint(cyan, o.Name), s.paint(dim, strings.ReplaceAll(about, "; ", ", ")))
	if len(o.Rules) > 0 {
		fmt.Fprintf(w, "%s\n", s.paint(dim, fmt.Sprintf(numbers, "packets", "bytes")))
	}
	for n, rule := range o.Rules {
		text, comment := cutComment(rule)
		c, ok := counts[t.ID()+" "+o.Name+" "+strconv.Itoa(n+1)]
		head := s.paint(dim, fmt.Sprintf(numbers, "-", "-"))
		if ok {
			head = s.counted(c, rose[c.Key()])
		}
		fmt.Fprintf(w, "%s  %s\n", head, s.rule(text, comment))
	}
}

// rule is a rule with its comment, both broken where the terminal ends and going on below themselves.
func (s Style) rule(text, comment string) string {
	const at = 27 // where numbers end
	if comment != "" {
		text += "  # " + comment
	}
	if s.Width >= 2*at && at+len([]rune(text)) > s.Width {
		text = strings.ReplaceAll(wordwrap.WrapString(text, uint(s.Width-at-2)), "\n", "\n"+strings.Repeat(" ", at+2))
	}
	if begin := strings.Index(text, "# "); comment != "" && begin >= 0 {
		return text[:begin] + s.paint(dim, text[begin:])
	}
	return text
}

func (s Style) counted(c nft.Count, rose uint64) string {
	text := fmt.Sprintf(numbers, strconv.FormatUint(c.Packets, 10), strconv.FormatUint(c.Bytes, 10))
	if rose > 0 {
		return s.paint(green, text) + s.paint(green, fmt.Sprintf(" (+%d)", rose))
	}
	return text
}

func (s Style) elements(w io.Writer, o nft.Object) {
	noun := "elements"
	if len(o.Elements) == 1 {
		noun = "element"
	}
	fmt.Fprintf(w, "  %s %s  %s\n", o.Kind, s.paint(cyan, o.Name), s.paint(dim, fmt.Sprintf("%d %s", len(o.Elements), noun)))
	for n, e := range o.Elements {
		if n == mostElements {
			fmt.Fprintf(w, "%27s%s\n", "", s.paint(dim, fmt.Sprintf("and %d more", len(o.Elements)-n)))
			break
		}
		fmt.Fprintf(w, "%27s%s\n", "", milliseconds.ReplaceAllString(e, "$1"))
	}
}

// milliseconds is the part of a time left that nobody can read while it changes.
var milliseconds = regexp.MustCompile(`(\d+s)\d+ms\b`)

var commentAtEnd = regexp.MustCompile(` ?comment "([^"]*)"$`)

// cutComment parts a rule from its comment.
func cutComment(rule string) (text, comment string) {
	at := commentAtEnd.FindStringSubmatchIndex(rule)
	if at == nil {
		return rule, ""
	}
	return rule[:at[0]], rule[at[2]:at[3]]
}

// Rule is a rule with its comment behind it, as people write one.
func Rule(rule string) string {
	text, comment := cutComment(rule)
	if comment == "" {
		return text
	}
	return text + "  # " + comment
}
