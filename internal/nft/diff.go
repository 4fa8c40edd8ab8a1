package nft

import (
	"slices"
	"strings"
)

// Difference is one thing in which two rulesets differ. Old is empty for what is missing, New for what is too much; both
// are set where something stays and is otherwise.
type Difference struct {
	Table string `json:"table"`           // "inet filter"
	Chain string `json:"chain,omitempty"` // name of the chain, set, map or other object; empty for the table itself
	Kind  string `json:"kind"`            // "table", "comment", "flags", the object's kind ("chain", "set", …), "rule", "element"
	Old   string `json:"old,omitempty"`
	New   string `json:"new,omitempty"`
}

// Equal reports whether Diff finds nothing.
func Equal(have, want Ruleset) bool { return len(Diff(have, want)) == 0 }

// Diff lists what makes want of have, table by table in order of their names, rule by rule. The order of rules counts,
// the order of tables, objects and elements does not.
func Diff(have, want Ruleset) []Difference {
	var out []Difference
	ids := map[string][2]*Table{}
	for i := range have.Tables {
		id := have.Tables[i].ID()
		ids[id] = [2]*Table{&have.Tables[i], ids[id][1]}
	}
	for i := range want.Tables {
		id := want.Tables[i].ID()
		ids[id] = [2]*Table{ids[id][0], &want.Tables[i]}
	}
	for _, id := range sortedKeys(ids) {
		out = append(out, diffTable(id, ids[id][0], ids[id][1])...)
	}
	return out
}

func diffTable(id string, have, want *Table) []Difference {
	var out []Difference
	differs := func(chain, kind, old, new string) {
		if old != new {
			out = append(out, Difference{Table: id, Chain: chain, Kind: kind, Old: old, New: new})
		}
	}
	differs("", "table", header(have), header(want))
	if have == nil {
		have = &Table{}
	}
	if want == nil {
		want = &Table{}
	}
	differs("", "comment", have.Comment, want.Comment)
	differs("", "flags", have.Flags, want.Flags)
	objects := map[string][2]*Object{}
	key := func(o *Object) string { return objectRank(o.Kind) + o.Kind + " " + o.Name }
	for i := range have.Objects {
		k := key(&have.Objects[i])
		objects[k] = [2]*Object{&have.Objects[i], objects[k][1]}
	}
	for i := range want.Objects {
		k := key(&want.Objects[i])
		objects[k] = [2]*Object{objects[k][0], &want.Objects[i]}
	}
	for _, k := range sortedKeys(objects) {
		out = append(out, diffObject(id, objects[k][0], objects[k][1])...)
	}
	return out
}

func diffObject(id string, have, want *Object) []Difference {
	var out []Difference
	some := want
	if want == nil {
		some = have
	}
	add := func(kind, old, new string) {
		out = append(out, Difference{Table: id, Chain: some.Name, Kind: kind, Old: old, New: new})
	}
	if old, new := have.header(), want.header(); old != new {
		add(some.Kind, old, new)
	}
	if have == nil {
		have = &Object{}
	}
	if want == nil {
		want = &Object{}
	}
	for _, e := range edits(have.Rules, want.Rules) {
		add("rule", e.old, e.new)
	}
	for _, e := range edits(have.Elements, want.Elements) {
		add("element", e.old, e.new)
	}
	return out
}

// header is a table in one line, empty for none.
func header(t *Table) string {
	if t == nil {
		return ""
	}
	return "table " + t.ID()
}

// header is the object without rules and elements in one line, empty for none.
func (o *Object) header() string {
	if o == nil {
		return ""
	}
	if len(o.Props) == 0 {
		return o.Kind + " " + o.Name
	}
	return o.Kind + " " + o.Name + " { " + strings.Join(o.Props, "; ") + " }"
}

// objectRank puts what rules refer to before the chains.
func objectRank(kind string) string {
	if kind == "chain" {
		return "1"
	}
	return "0"
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

type edit struct{ old, new string }

// maxCells bounds the table of the exact comparison; above it, a run of changed lines is told as all old, then all new.
const maxCells = 4 << 20

// edits is the shortest list of deletions and insertions that makes b of a (longest common subsequence).
func edits(a, b []string) []edit {
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	var out []edit
	if len(a)*len(b) > maxCells {
		return append(appendOld(out, a), appendNew(nil, b)...)
	}
	width := len(b) + 1
	common := make([]int32, (len(a)+1)*width) // common[i*width+j]: length for a[i:], b[j:]
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i*width+j] = common[(i+1)*width+j+1] + 1
			} else {
				common[i*width+j] = max(common[(i+1)*width+j], common[i*width+j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case a[i] == b[j]:
			i, j = i+1, j+1
		case common[(i+1)*width+j] >= common[i*width+j+1]:
			out = append(out, edit{old: a[i]})
			i++
		default:
			out = append(out, edit{new: b[j]})
			j++
		}
	}
	return appendNew(appendOld(out, a[i:]), b[j:])
}

func appendOld(out []edit, lines []string) []edit {
	for _, line := range lines {
		out = append(out, edit{old: line})
	}
	return out
}

func appendNew(out []edit, lines []string) []edit {
	for _, line := range lines {
		out = append(out, edit{new: line})
	}
	return out
}
