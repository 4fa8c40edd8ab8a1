package view

import (
	"regexp"
	"slices"
	"strings"

	"github.com/labctl/labctl/provider"
)

// ruleAt is the path of a difference inside a table: nftables["ip nat"].postrouting.rule in guests,
// table["ip nat"].chain.postrouting.rule on hosts.
var ruleAt = regexp.MustCompile(`^(?:nftables|table)\["([^"]+)"\](.*)$`)

// attributes shows details, those of rulesets gathered by table and chain, in the order in which each first comes.
func attributes(details []provider.Detail) []Attribute {
	var list []Attribute
	tables := map[string]int{}     // by name: its place in list
	parts := map[string][]string{} // by table: its chains and sets in order
	lines := map[string][]Line{}   // by table and part
	for _, d := range details {
		at := ruleAt.FindStringSubmatch(d.Path)
		if at == nil || d.Sensitive {
			list = append(list, changed(d))
			continue
		}
		table, part := at[1], part(at[2])
		if _, known := tables[table]; !known {
			tables[table] = len(list)
			list = append(list, Attribute{Symbol: "~", Path: "table " + table, Why: d.Why})
		}
		key := table + "\x00" + part
		if !slices.Contains(parts[table], part) {
			parts[table] = append(parts[table], part)
		}
		lines[key] = append(lines[key], ruleLines(d)...)
	}
	for table, n := range tables {
		for _, part := range parts[table] {
			if part != "" {
				list[n].Lines = append(list[n].Lines, Line{Text: part})
			}
			list[n].Lines = append(list[n].Lines, lines[table+"\x00"+part]...)
		}
	}
	return list
}

// part names the chain or set that a difference is in: "chain postrouting" of .chain.postrouting.rule and of
// .postrouting.rule. A difference of a whole object, which its own text names, has none.
func part(path string) string {
	path = strings.TrimPrefix(path, ".")
	owner, kind, inside := cutLast(path)
	if !inside || kind != "rule" && kind != "element" {
		return ""
	}
	word := "chain "
	if kind == "element" {
		word = "set "
	}
	_, name, typed := cutLast(owner)
	if !typed {
		name = owner
	}
	return word + name
}

func cutLast(path string) (before, after string, found bool) {
	at := strings.LastIndexByte(path, '.')
	if at < 0 {
		return "", path, false
	}
	return path[:at], path[at+1:], true
}

// ruleLines is what goes and what comes.
func ruleLines(d provider.Detail) (lines []Line) {
	for _, side := range []struct {
		symbol string
		value  any
	}{{"-", d.Old}, {"+", d.New}} {
		if text, ok := side.value.(string); ok {
			for line := range strings.Lines(text) {
				lines = append(lines, Line{Symbol: side.symbol, Text: untab(strings.TrimRight(line, "\n"))})
			}
		}
	}
	return lines
}
