// Package tree is netplan's side of a bridge: all YAML files of a host as netplan merges them, the stanza of a bridge and its
// mark, and the text of a lab's own file.
package tree

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

// Folders are those that netplan reads, relative to the root, as netplan(5) has them: a file in a later one hides the one of
// the same name in an earlier.
func Folders() []string { return []string{"lib/netplan", "etc/netplan", "run/netplan"} }

// Tree is all of a host's netplan files, in the order in which netplan reads them (by base name).
type Tree struct{ Files []*File }

// File is one netplan file.
type File struct {
	Path    string // absolute
	Text    []byte
	Entries []Entry       // bridges, in the file's order
	Rest    yaml.MapSlice // every other key under network
	Err     error         // it could not be understood

	Configured func(link string) bool // whether another file speaks of a link, for render
}

// Entry is one bridge's stanza in a file.
type Entry struct {
	Name   string
	Mark   provider.Mark
	Stanza yaml.MapSlice
}

const (
	prefix = "90-labctl-"
	suffix = ".yaml"
)

// Base is the name of the file in which a lab's bridges stand.
func Base(lab string) string { return prefix + lab + suffix }

// labOf is the lab whose file this is, "" for a file that is no lab's.
func labOf(file string) string {
	lab, isLab := strings.CutPrefix(path.Base(file), prefix)
	if !isLab {
		return ""
	}
	return strings.TrimSuffix(lab, suffix)
}

// Read reads every netplan file below root in one go, over whatever way the host is reached.
func Read(ctx context.Context, h host.Host, root string) (*Tree, error) {
	var patterns []string
	for _, folder := range Folders() {
		patterns = append(patterns, folder+"/*"+suffix)
	}
	files, err := host.ReadFiles(ctx, h, root, patterns...)
	if err != nil {
		return nil, err
	}
	found := map[string]*File{}
	for _, f := range files { // a later folder's file takes the place of an earlier one's, as in netplan
		found[path.Base(f.Path)] = Parse(f.Path, f.Data)
	}
	t := &Tree{}
	for _, f := range found {
		t.Files = append(t.Files, f)
	}
	slices.SortFunc(t.Files, func(a, b *File) int { return strings.Compare(path.Base(a.Path), path.Base(b.Path)) })
	return t, nil
}

// Parse understands a netplan file as far as labctl needs it. A file that is no YAML keeps its error and no bridges.
func Parse(name string, text []byte) *File {
	f := &File{Path: name, Text: text}
	parsed, err := parser.ParseBytes(text, parser.ParseComments)
	if err != nil {
		f.Err = errors.New(yaml.FormatError(err, false, false))
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

func (f *File) addNetwork(network ast.Node) {
	for _, section := range values(network) {
		if keyOf(section) == "bridges" {
			f.addBridges(section.Value)
			continue
		}
		var value any
		if err := yaml.NodeToValue(section.Value, &value, yaml.UseOrderedMap()); err != nil {
			f.Err = errors.Join(f.Err, err)
			continue
		}
		f.Rest = append(f.Rest, yaml.MapItem{Key: keyOf(section), Value: value})
	}
}

func (f *File) addBridges(bridges ast.Node) {
	for _, node := range values(bridges) {
		e := Entry{Name: keyOf(node)}
		if e.Name == "renderer" { // a default for all bridges of the file, and no bridge
			f.Rest = append(f.Rest, yaml.MapItem{Key: "bridges.renderer", Value: node.Value.String()})
			continue
		}
		if comment := node.GetComment(); comment != nil {
			e.Mark = markIn(comment)
		}
		if err := yaml.NodeToValue(node.Value, &e.Stanza, yaml.UseOrderedMap()); err != nil {
			f.Err = errors.Join(f.Err, err)
		}
		if labOf(f.Path) != e.Mark.Lab { // a mark that was copied to somewhere else means nothing there
			e.Mark = provider.Mark{}
		}
		f.Entries = append(f.Entries, e)
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

// Own is the lab's file, nil where there is none.
func (t *Tree) Own(lab string) *File {
	for _, f := range t.Files {
		if path.Base(f.Path) == Base(lab) {
			return f
		}
	}
	return nil
}

// Entry is the stanza of a bridge in the file; nil where there is none, or no file.
func (f *File) Entry(name string) *Entry {
	if f == nil {
		return nil
	}
	for i := range f.Entries {
		if f.Entries[i].Name == name {
			return &f.Entries[i]
		}
	}
	return nil
}

// Others lists the files beside lab's own that speak of the bridge.
func (t *Tree) Others(lab, bridge string) []*File {
	var files []*File
	for _, f := range t.Files {
		if path.Base(f.Path) != Base(lab) && f.Entry(bridge) != nil {
			files = append(files, f)
		}
	}
	return files
}

// Merged is what netplan makes of a bridge from all of its files: later scalars override, lists are concatenated.
func (t *Tree) Merged(bridge string) yaml.MapSlice {
	var all yaml.MapSlice
	for _, f := range t.Files {
		if e := f.Entry(bridge); e != nil {
			all = merge(all, e.Stanza)
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

// Renderer is the back end that netplan uses for a bridge: its own, or its file's for bridges, or the last global one.
func (t *Tree) Renderer(bridge string) string {
	if own := lookup(t.Merged(bridge), "renderer"); own != nil {
		return fmt.Sprint(own)
	}
	backend := networkd
	for _, f := range t.Files {
		for _, key := range []string{"renderer", "bridges.renderer"} {
			if value := lookup(f.Rest, key); value != nil && (key == "renderer" || f.Entry(bridge) != nil) {
				backend = fmt.Sprint(value)
			}
		}
	}
	return backend
}

// Back ends of netplan, as `renderer` names them.
const (
	networkd       = "networkd"
	NetworkManager = "NetworkManager"
)

// Configured reports whether a file speaks of a link that is not one of those named, so that its stanza is not labctl's to
// write.
func (t *Tree) Configured(link string, beside ...string) bool {
	for _, f := range t.Files {
		if slices.Contains(beside, path.Base(f.Path)) {
			continue
		}
		for _, section := range f.Rest {
			if lookup(asMap(section.Value), link) != nil {
				return true
			}
		}
		if f.Entry(link) != nil {
			return true
		}
	}
	return false
}
