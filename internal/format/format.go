// Package format rewrites the files of labs in the canonical format of HCL.
package format

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/rogpeppe/go-internal/diff"

	"github.com/labctl/labctl/schema/diag"
)

// Run is one run over files.
type Run struct {
	Check     bool // change nothing
	Diff      bool // show what would change, and change nothing
	Recursive bool // go into folders below too
	Quiet     bool // do not list files
	Keep      bool // change nothing, though nothing else is asked for
	Out       io.Writer
	// Complain hears what is wrong with a file that does not parse.
	Complain func(hcl.Diagnostics, map[string]*hcl.File)

	unformatted, unreadable bool
}

// Outcome is what a run found.
type Outcome struct {
	Unformatted bool // a file was not in the canonical format
	Unreadable  bool // a file does not parse
}

// Files formats what args name: files, folders, or - for in, whose formatted text goes to Out. Without args it is the
// current folder. The files that it changed, or would change, are listed on Out.
func (f *Run) Files(args []string, in io.Reader) (Outcome, error) {
	if len(args) == 0 {
		args = []string{"."}
	}
	for _, arg := range args {
		if arg == "-" {
			if err := f.stdin(in); err != nil {
				return Outcome{}, err
			}
			continue
		}
		files, err := f.files(arg)
		if err != nil {
			return Outcome{}, err
		}
		for _, file := range files {
			if err := f.file(file); err != nil {
				return Outcome{}, err
			}
		}
	}
	return Outcome{Unformatted: f.unformatted, Unreadable: f.unreadable}, nil
}

// files lists what arg stands for: itself, or the files of the folder.
func (f *Run) files(arg string) ([]string, error) {
	info, err := os.Stat(arg)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(arg, ".json") {
		return nil, fmt.Errorf("%s is JSON, which has no canonical format of HCL's", arg)
	}
	if !info.IsDir() {
		return []string{arg}, nil
	}
	var files []string
	err = filepath.WalkDir(arg, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != arg && (!f.Recursive || strings.HasPrefix(entry.Name(), ".")):
			return filepath.SkipDir
		case !entry.IsDir() && slices.Contains([]string{".hcl", ".hclvars"}, filepath.Ext(path)):
			files = append(files, path)
		}
		return nil
	})
	return files, err
}

func (f *Run) file(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	formatted, ok := f.format(path, text)
	if !ok || bytes.Equal(text, formatted) {
		return nil
	}
	f.unformatted = true
	if f.Diff {
		_, err := f.Out.Write(diff.Diff(path, text, path+" (formatted)", formatted))
		return err
	}
	if !f.Quiet {
		if _, err := fmt.Fprintln(f.Out, path); err != nil {
			return err
		}
	}
	if f.Check || f.Keep {
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, formatted, info.Mode().Perm()) // in place: links and owner stay
}

func (f *Run) stdin(in io.Reader) error {
	text, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	formatted, ok := f.format("<stdin>", text)
	if !ok {
		return nil
	}
	f.unformatted = f.unformatted || !bytes.Equal(text, formatted)
	switch {
	case f.Diff:
		formatted = diff.Diff("<stdin>", text, "<stdin> (formatted)", formatted)
	case f.Check:
		return nil
	}
	_, err = f.Out.Write(formatted)
	return err
}

// format formats a file that parses, and tells what is wrong with one that does not.
func (f *Run) format(name string, text []byte) ([]byte, bool) {
	file, diags := hclsyntax.ParseConfig(text, name, hcl.InitialPos)
	if diags.HasErrors() {
		f.unreadable = true
		diags = diag.Unique(diag.Coded(diag.Syntax, diags))
		f.Complain(diags, map[string]*hcl.File{name: file})
		return nil, false
	}
	return hclwrite.Format(text), true
}
