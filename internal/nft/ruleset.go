// Package nft reads, compares and loads nftables rulesets.
//
// It has no parser of nft's language. A wanted ruleset is loaded by nft itself in a scratch network namespace and listed
// back, so that both sides of a comparison are what the same nft prints of a kernel's state: the stateless text listing
// (`nft -s list ruleset`), which is canonical and, unlike nft 1.0.6's JSON, leaves nothing out (comments of tables and
// chains, the dynamic flag of sets). Only the frame of that listing is read here: tables, the objects in them, and one
// rule or one element after the other, each kept as nft wrote it.
package nft

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Ruleset is a ruleset as listed by nft. What traffic changes is not in it: counters, used quotas, expiry times and the
// elements of sets that are filled by rules.
type Ruleset struct {
	Tables []Table `json:"tables,omitempty"` // in the kernel's order, which says nothing
}

// Table is one table of a ruleset.
type Table struct {
	Family  string   `json:"family"`
	Name    string   `json:"name"`
	Comment string   `json:"comment,omitempty"`
	Flags   string   `json:"flags,omitempty"`
	Objects []Object `json:"objects,omitempty"`
}

// ID is the table's name as commands take it: "inet filter".
func (t Table) ID() string { return t.Family + " " + t.Name }

// Object is a chain, set, map or named object in a table.
type Object struct {
	Kind     string   `json:"kind"` // "chain", "set", "map", "counter", "ct helper", "flowtable", …
	Name     string   `json:"name"`
	Props    []string `json:"props,omitempty"`    // what is said of the object as a whole: a chain's hook, a set's type
	Rules    []string `json:"rules,omitempty"`    // of a chain, in order
	Elements []string `json:"elements,omitempty"` // of a set or map, sorted
}

// Table is the table of that family and name, nil where there is none.
func (r Ruleset) Table(family, name string) *Table {
	for i := range r.Tables {
		if r.Tables[i].Family == family && r.Tables[i].Name == name {
			return &r.Tables[i]
		}
	}
	return nil
}

// Parse reads the output of `nft -s list ruleset` or of `nft -s list table …`. Handles, as -a adds, are dropped.
func Parse(listing []byte) (Ruleset, error) {
	r, err := parse(listing)
	for i := range r.Tables {
		for j := range r.Tables[i].Objects {
			r.Tables[i].Objects[j].settle()
		}
	}
	return r, err
}

// parse reads a listing as it is, with what packets have put into sets.
func parse(listing []byte) (Ruleset, error) {
	var r Ruleset
	var stack []string // open blocks: kinds of what is open
	var object *Object
	for _, line := range statements(string(listing)) {
		line, opens := strings.CutSuffix(line, "{")
		line = strings.TrimSpace(line)
		switch {
		case line == "}" && !opens:
			if len(stack) == 0 {
				return Ruleset{}, fmt.Errorf("nft listing: a closing brace too many")
			}
			if len(stack) == 2 {
				object = nil
			}
			stack = stack[:len(stack)-1]
		case opens && len(stack) == 0:
			family, name, ok := strings.Cut(strings.TrimPrefix(line, "table "), " ")
			if !ok || !strings.HasPrefix(line, "table ") {
				return Ruleset{}, fmt.Errorf("nft listing: %q is no table", line)
			}
			r.Tables = append(r.Tables, Table{Family: family, Name: name})
			stack = append(stack, "table")
		case opens && len(stack) == 1:
			kind, name := splitHeader(line)
			table := &r.Tables[len(r.Tables)-1]
			table.Objects = append(table.Objects, Object{Kind: kind, Name: name})
			object = &table.Objects[len(table.Objects)-1]
			stack = append(stack, "object")
		case opens || len(stack) == 0:
			return Ruleset{}, fmt.Errorf("nft listing: %q is out of place", line)
		case len(stack) == 1:
			tableProp(&r.Tables[len(r.Tables)-1], line)
		default:
			object.add(line)
		}
	}
	if len(stack) != 0 {
		return Ruleset{}, fmt.Errorf("nft listing: it ends inside a block")
	}
	return r, nil
}

// splitHeader splits "ct helper ftp" into kind and name; a name has no spaces.
func splitHeader(line string) (kind, name string) {
	at := strings.LastIndexByte(line, ' ')
	if at < 0 {
		return line, ""
	}
	return line[:at], line[at+1:]
}

func tableProp(t *Table, line string) {
	key, value, _ := strings.Cut(line, " ")
	switch key {
	case "comment":
		t.Comment = strings.Trim(value, `"`)
	case "flags":
		t.Flags = value
	}
}

// add puts one line of the object's block where it belongs.
func (o *Object) add(line string) {
	switch {
	case strings.HasPrefix(line, "elements = {") && strings.HasSuffix(line, "}"):
		inner := strings.TrimSuffix(strings.TrimPrefix(line, "elements = {"), "}")
		o.Elements = append(o.Elements, splitTop(inner)...)
	case o.Kind == "chain" && !isChainProp(line):
		o.Rules = append(o.Rules, unset(line))
	case line != "":
		o.Props = append(o.Props, line)
	}
}

// lone is an anonymous set of one element. nft makes the element alone of it when it loads a rule, but not where neighbours
// have become one interval in the kernel: such a rule is listed otherwise once its listing is loaded again.
var lone = regexp.MustCompile(`((?:^| )[a-z!=]+ )\{ ([^{},:@]+) \}`)

// unset writes sets of one as their element, outside quotes.
func unset(rule string) string {
	parts := strings.Split(rule, `"`)
	for n := 0; n < len(parts); n += 2 {
		parts[n] = lone.ReplaceAllString(parts[n], "$1$2")
	}
	return strings.Join(parts, `"`)
}

// isChainProp tells a line on the chain itself from a rule. No rule begins with these words: `comment` begins no
// statement, and `type` is always followed by a chain type and `hook`.
func isChainProp(line string) bool {
	return strings.HasPrefix(line, "comment ") ||
		strings.HasPrefix(line, "type ") && strings.Contains(line, " hook ")
}

// settle drops the elements that rules put into a set while packets pass, and sorts the rest.
func (o *Object) settle() {
	var dynamic, timeouts, defaultTimeout bool
	for _, p := range o.Props {
		if flags, ok := strings.CutPrefix(p, "flags "); ok {
			for flag := range strings.SplitSeq(flags, ",") {
				dynamic = dynamic || strings.TrimSpace(flag) == "dynamic"
				timeouts = timeouts || strings.TrimSpace(flag) == "timeout"
			}
		}
		defaultTimeout = defaultTimeout || strings.HasPrefix(p, "timeout ")
	}
	o.Elements = slices.DeleteFunc(o.Elements, func(e string) bool {
		return dynamic || timeouts && (defaultTimeout || strings.Contains(e, " timeout ") || strings.Contains(e, " expires "))
	})
	if len(o.Elements) == 0 {
		o.Elements = nil
	}
	slices.Sort(o.Elements)
}

// TableText is the text of one table ("inet filter") in a listing, "" where it is not in it. It is written so that nft reads
// it again as what it was.
func TableText(listing, id string) string {
	head := "table " + id + " {"
	twoFamilies := strings.HasPrefix(id, "inet ") || strings.HasPrefix(id, "bridge ")
	var out strings.Builder
	inside := false
	for line := range strings.Lines(listing) {
		inside = inside || strings.TrimSpace(stripHandle(strings.TrimSpace(line))) == head
		if inside && twoFamilies {
			line = rejects.ReplaceAllString(line, "${1}reject with icmpx port-unreachable$2\n")
		}
		if inside {
			out.WriteString(line)
		}
		if strings.HasPrefix(line, "}") {
			inside = false
		}
	}
	return out.String()
}

// rejects is how nft lists `reject with icmpx port-unreachable`. Behind a match of one IP version it would read the short form
// as that version's own message, which is another rule.
var rejects = regexp.MustCompile(`(^|\s)reject( comment "[^"]*")?\s*$`)
