package lsp

import (
	"os"
	"path/filepath"

	"github.com/hashicorp/hcl/v2"

	"github.com/labctl/labctl/schema/config"
	"github.com/labctl/labctl/schema/diag"
	"github.com/labctl/labctl/schema/source"
)

// lab is a folder as it was last read.
type lab struct {
	result *config.Result
	diags  hcl.Diagnostics
}

// outer is how many folders above a module's are searched for the lab that uses it.
const outer = 4

// load reads the lab in a folder, once until something changes.
func (s *Server) load(dir string) *lab {
	if l := s.labs[dir]; l != nil {
		return l
	}
	overlay := make(map[string][]byte, len(s.documents))
	for path, d := range s.documents {
		overlay[path] = d.text
	}
	result, diags := config.Load(dir, config.Options{Env: s.env, Version: s.version, Overlay: overlay, Systems: s.systems})
	l := &lab{result: result, diags: diags}
	s.labs[dir] = l
	for _, d := range diags {
		if diag.CodeOf(d) == diag.Syntax {
			return l
		}
	}
	s.good[dir] = l
	return l
}

// folderOf is the folder of the lab that a file belongs to: its own, or one above or open in the editor whose lab uses
// the file's folder as a module.
func (s *Server) folderOf(path string) string {
	own := filepath.Dir(path)
	if s.load(own).result.Lab != nil {
		return own
	}
	candidates := []string{}
	for dir := own; len(candidates) < outer && dir != filepath.Dir(dir); {
		dir = filepath.Dir(dir)
		candidates = append(candidates, dir)
	}
	for other := range s.documents {
		candidates = append(candidates, filepath.Dir(other))
	}
	for _, dir := range candidates {
		if files, err := filepath.Glob(filepath.Join(dir, "*.hcl")); err != nil || len(files) == 0 {
			continue
		}
		if l := s.load(dir); l.result.Lab != nil && l.result.Files[path] != nil {
			return dir
		}
	}
	return own
}

// view is what is known of a file: the modules that it is part of, and what expressions in it see.
type view struct {
	path    string
	text    []byte
	body    hcl.Body
	modules []*source.Module
	context *hcl.EvalContext
	result  *config.Result
}

// look reads a file. While it has a syntax error, values are those of before, and so are names, beside those
// that the parser still sees.
func (s *Server) look(path string) *view {
	dir := s.folderOf(path)
	l := s.load(dir)
	v := &view{path: path, text: s.text(path), result: l.result}
	if file := l.result.Files[path]; file != nil {
		v.body = file.Body
	}
	for _, l := range []*lab{s.good[dir], l} {
		if l == nil {
			continue
		}
		for _, m := range l.result.Modules() {
			if filepath.Clean(m.Dir) != filepath.Dir(path) {
				continue
			}
			v.modules = append(v.modules, m)
			if v.context == nil {
				v.context = l.result.ModuleContext(m)
			}
		}
	}
	return v
}

// text is what a file holds: what the editor shows, or else the disk.
func (s *Server) text(path string) []byte {
	if d := s.documents[path]; d != nil {
		return d.text
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return text
}

// declaration finds what a name refers to in the file's module.
func (v *view) declaration(kind, label string) *source.Decl {
	for _, m := range v.modules {
		if d := m.Decls[source.Name{Kind: kind, Label: label}]; d != nil {
			return d
		}
	}
	return nil
}
