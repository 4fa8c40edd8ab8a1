package netplan

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
)

// Folders that netplan reads, as netplan(5) has them: a file's name in a later one hides that in an earlier one.
var folders = [...]string{"lib/netplan", "etc/netplan", "run/netplan"}

// tree is all of a host's netplan files, in the order in which netplan reads them (by base name).
type tree struct{ files []*file }

// file is one netplan file.
type file struct {
	path    string // absolute
	text    []byte
	entries []entry       // bridges, in the file's order
	rest    yaml.MapSlice // every other key under network
	err     error         // it could not be understood

	configured func(link string) bool // whether another file speaks of a link, for render
}

// entry is one bridge's stanza in a file.
type entry struct {
	name   string
	mark   provider.Mark
	stanza yaml.MapSlice
}

const (
	prefix = "90-labctl-"
	suffix = ".yaml"
)

// baseOf is the name of the file in which a lab's bridges stand.
func baseOf(lab string) string { return prefix + lab + suffix }

// labOf is the lab whose file this is, "" for a file that is no lab's.
func labOf(file string) string {
	lab, isLab := strings.CutPrefix(path.Base(file), prefix)
	if !isLab {
		return ""
	}
	return strings.TrimSuffix(lab, suffix)
}

// readTree reads every netplan file below root in one go, over whatever way the host is reached.
func readTree(ctx context.Context, h host.Host, root string) (*tree, error) {
	var patterns []string
	for _, folder := range folders {
		patterns = append(patterns, folder+"/*"+suffix)
	}
	files, err := host.ReadFiles(ctx, h, root, patterns...)
	if err != nil {
		return nil, err
	}
	found := map[string]*file{}
	for _, f := range files { // a later folder's file takes the place of an earlier one's, as in netplan
		found[path.Base(f.Path)] = parseFile(f.Path, f.Data)
	}
	t := &tree{}
	for _, f := range found {
		t.files = append(t.files, f)
	}
	slices.SortFunc(t.files, func(a, b *file) int { return strings.Compare(path.Base(a.path), path.Base(b.path)) })
	return t, nil
}

// parseFile understands a netplan file as far as labctl needs it. A file that is no YAML keeps its error and no bridges.
func parseFile(name string, text []byte) *file {
	f := &file{path: name, text: text}
	parsed, err := parser.ParseBytes(text, parser.ParseComments)
	if err != nil {
		f.err = errors.New(yaml.FormatError(err, false, false))
		return f
	}
	for _, doc := range parsed.Docs {
		for _, top := range values(doc.Body) {
			if keyOf(top) == "network" {
				f.addNetwork(top.Value)
			}
		}
	}
	return f
}

func (f *file) addNetwork(network ast.Node) {
	for _, section := range values(network) {
		if keyOf(section) == "bridges" {
			f.addBridges(section.Value)
			continue
		}
		var value any
		if err := yaml.NodeToValue(section.Value, &value, yaml.UseOrderedMap()); err != nil {
			f.err = errors.Join(f.err, err)
			continue
		}
		f.rest = append(f.rest, yaml.MapItem{Key: keyOf(section), Value: value})
	}
}

func (f *file) addBridges(bridges ast.Node) {
	for _, node := range values(bridges) {
		e := entry{name: keyOf(node)}
		if e.name == "renderer" { // a default for all bridges of the file, and no bridge
			f.rest = append(f.rest, yaml.MapItem{Key: "bridges.renderer", Value: node.Value.String()})
			continue
		}
		if comment := node.GetComment(); comment != nil {
			e.mark = markIn(comment)
		}
		if err := yaml.NodeToValue(node.Value, &e.stanza, yaml.UseOrderedMap()); err != nil {
			f.err = errors.Join(f.err, err)
		}
		if labOf(f.path) != e.mark.Lab { // a mark that was copied to somewhere else means nothing there
			e.mark = provider.Mark{}
		}
		f.entries = append(f.entries, e)
	}
}

// markIn finds the mark among the comment lines before a stanza.
func markIn(comment *ast.CommentGroupNode) provider.Mark {
	for _, line := range comment.Comments {
		text := strings.TrimSpace(strings.TrimPrefix(line.String(), "#"))
		if mark, ok := provider.ParseMark(text); ok {
			return mark
		}
	}
	return provider.Mark{}
}

// values lists the pairs of a mapping; of anything else, none.
func values(node ast.Node) []*ast.MappingValueNode {
	switch node := node.(type) {
	case *ast.MappingNode:
		return node.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{node}
	case *ast.AnchorNode:
		return values(node.Value)
	case *ast.TagNode:
		return values(node.Value)
	}
	return nil
}

func keyOf(pair *ast.MappingValueNode) string {
	if key, ok := pair.Key.(ast.ScalarNode); ok {
		return fmt.Sprint(key.GetValue())
	}
	return pair.Key.String()
}

// own is the lab's file, nil where there is none.
func (t *tree) own(lab string) *file {
	for _, f := range t.files {
		if path.Base(f.path) == baseOf(lab) {
			return f
		}
	}
	return nil
}

func (f *file) entry(name string) *entry {
	if f == nil {
		return nil
	}
	for i := range f.entries {
		if f.entries[i].name == name {
			return &f.entries[i]
		}
	}
	return nil
}

// others lists the files beside lab's own that speak of the bridge.
func (t *tree) others(lab, bridge string) []*file {
	var files []*file
	for _, f := range t.files {
		if path.Base(f.path) != baseOf(lab) && f.entry(bridge) != nil {
			files = append(files, f)
		}
	}
	return files
}

// merged is what netplan makes of a bridge from all of its files: later scalars override, lists are concatenated.
func (t *tree) merged(bridge string) yaml.MapSlice {
	var all yaml.MapSlice
	for _, f := range t.files {
		if e := f.entry(bridge); e != nil {
			all = merge(all, e.stanza)
		}
	}
	return all
}

func merge(base, over yaml.MapSlice) yaml.MapSlice {
	merged := slices.Clone(base)
	for _, item := range over {
		i := slices.IndexFunc(merged, func(m yaml.MapItem) bool { return m.Key == item.Key })
		if i < 0 {
			merged = append(merged, item)
			continue
		}
		switch value := item.Value.(type) {
		case yaml.MapSlice:
			merged[i].Value = merge(asMap(merged[i].Value), value)
		case []any:
			old, _ := merged[i].Value.([]any)
			merged[i].Value = slices.Concat(old, value)
		default:
			merged[i].Value = value
		}
	}
	return merged
}

// renderer is the back end that netplan uses for a bridge: its own, or its file's for bridges, or the last global one.
func (t *tree) renderer(bridge string) string {
	if own := lookup(t.merged(bridge), "renderer"); own != nil {
		return fmt.Sprint(own)
	}
	backend := networkd
	for _, f := range t.files {
		for _, key := range []string{"renderer", "bridges.renderer"} {
			if value := lookup(f.rest, key); value != nil && (key == "renderer" || f.entry(bridge) != nil) {
				backend = fmt.Sprint(value)
			}
		}
	}
	return backend
}

const (
	networkd       = "networkd"
	networkManager = "NetworkManager"
)

// configured reports whether a file beside lab's own speaks of a link, so that its stanza is not labctl's to write.
func (t *tree) configured(lab, link string) bool {
	for _, f := range t.files {
		if path.Base(f.path) == baseOf(lab) {
			continue
		}
		for _, section := range f.rest {
			if lookup(asMap(section.Value), link) != nil {
				return true
			}
		}
		if f.entry(link) != nil {
			return true
		}
	}
	return false
}
