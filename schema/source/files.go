// Package source reads the files of a lab and of the modules that it uses, and finds what they declare and what refers to what. It
// evaluates nothing but what must be written out.
package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	hcljson "github.com/hashicorp/hcl/v2/json"

	"github.com/labctl/labctl/schema/decode"
	"github.com/labctl/labctl/schema/diag"
	"github.com/labctl/labctl/schema/table"
)

// Loader reads files and collects what they declare.
type Loader struct {
	Files map[string]*hcl.File // every file read, by name
	Order []*Decl              // every declaration, those of modules where they are called
	Diags hcl.Diagnostics

	reader  *decode.Reader
	root    *table.Block
	base    string // the lab's folder as the user wrote it
	overlay map[string][]byte
	parsed  map[string]folder
}

// Load reads the lab in the folder base: what it and its modules declare, and what refers to what. Overlay holds the text of files
// that are not what the disk has. The Loader's Files are empty where there is no lab at all.
func Load(reader *decode.Reader, base string, overlay map[string][]byte) (*Loader, *Module) {
	l := &Loader{
		Files: make(map[string]*hcl.File), reader: reader, root: table.Root(), base: base, overlay: overlay, parsed: make(map[string]folder),
	}
	root := l.module(nil, base)
	if len(l.Files) > 0 {
		l.resolveAll()
	}
	return l, root
}

// folder is the files of one folder, each read as the table says. It is shared by all modules that use the folder.
type folder struct {
	shapes []*decode.Shape
	found  bool
}

// folder reads a folder once.
func (l *Loader) folder(dir string) folder {
	if f, ok := l.parsed[dir]; ok {
		return f
	}
	f := folder{}
	for _, name := range l.List(dir, ".hcl", ".hcl.json") {
		f.found = true
		file := l.parse(filepath.Join(dir, name))
		if file == nil || file.Body == nil {
			continue
		}
		shape, diags := l.reader.Shape(file.Body, l.root)
		l.Diags = append(l.Diags, diags...)
		f.shapes = append(f.shapes, shape)
	}
	l.parsed[dir] = f
	return f
}

// List names the files of a folder that end in one of the suffixes, in order, those of the overlay included.
func (l *Loader) List(dir string, suffixes ...string) []string {
	var names []string
	add := func(name string) {
		if !slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(name, s) }) {
			return
		}
		if !strings.HasPrefix(name, ".") && !strings.HasSuffix(name, "~") && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.Diags = append(l.Diags, diag.FromError(diag.NoFiles, err))
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			add(entry.Name())
		}
	}
	for path := range l.overlay {
		if filepath.Dir(path) == filepath.Clean(dir) {
			add(filepath.Base(path))
		}
	}
	slices.Sort(names)
	return names
}

// Read is a file's text, the overlay's first.
func (l *Loader) Read(path string) ([]byte, error) {
	if text, ok := l.overlay[filepath.Clean(path)]; ok {
		return text, nil
	}
	return os.ReadFile(path)
}

// parse reads one file in either syntax.
func (l *Loader) parse(path string) *hcl.File {
	if file, ok := l.Files[path]; ok {
		return file
	}
	text, err := l.Read(path)
	if err != nil {
		l.Diags = append(l.Diags, diag.FromError(diag.NoFiles, err))
		return nil
	}
	var file *hcl.File
	var diags hcl.Diagnostics
	if strings.HasSuffix(path, ".json") {
		file, diags = hcljson.Parse(text, path)
	} else {
		file, diags = hclsyntax.ParseConfig(text, path, hcl.InitialPos)
	}
	l.Diags = append(l.Diags, diag.Coded(diag.Syntax, diags)...)
	l.Files[path] = file
	return file
}

// LabName finds the lab block's label, before anything else is evaluated.
func (l *Loader) LabName(root *Module) string {
	var labs []*decode.Shape
	for _, shape := range root.Singles {
		if shape.Def.Kind == "lab" {
			labs = append(labs, shape)
		}
	}
	if len(labs) == 0 {
		at := hcl.Range{Filename: filepath.Join(l.base, l.List(l.base, ".hcl", ".hcl.json")[0]), Start: hcl.InitialPos, End: hcl.InitialPos}
		if !l.Diags.HasErrors() { // with a syntax error it may be there and not be seen
			l.Diags = append(l.Diags, diag.New(diag.NoLab, at, "The lab has no name", `Write lab "NAME" { } in one of its files. The name marks everything that the lab owns.`))
		}
		return ""
	}
	for _, second := range labs[1:] {
		first := labs[0].DefRange
		l.Diags = append(l.Diags, diag.New(diag.WrongCount, second.DefRange, "There is a second lab block",
			fmt.Sprintf("A folder holds one lab; the first block is at %s:%d.", first.Filename, first.Start.Line)))
	}
	if len(labs[0].Labels) == 0 {
		return ""
	}
	label := labs[0].Labels[0]
	if !goodLab(label.Text) {
		l.Diags = append(l.Diags, diag.In(diag.New(diag.BadName, label.Range, fmt.Sprintf("%q cannot be the name of a lab", label.Text),
			"It is used in names of files, tables and machines: at most 32 lower-case letters, digits, - and _, beginning with a letter."), labs[0].DefRange))
		return ""
	}
	return label.Text
}

func goodLab(name string) bool {
	if name == "" || len(name) > 32 || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}
