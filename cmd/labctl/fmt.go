package main

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
	"github.com/spf13/cobra"

	"github.com/labctl/labctl/schema/diag"
)

// exitUnformatted is what `fmt -check` ends with, as Terraform's does.
const exitUnformatted = 3

// formatting is one run of `labctl fmt`.
type formatting struct {
	o                       *options
	check, diff, recursive  bool
	out, errOut             io.Writer
	unformatted, unreadable bool
}

func newFmt(o *options) *cobra.Command {
	f := &formatting{o: o}
	cmd := &cobra.Command{
		Use:   "fmt [DIR|FILE|-]...",
		Short: "Rewrite files in the canonical format",
		Long: `Rewrites the *.hcl and *.hclvars files of DIR (default: the current folder), or the given files, in the
canonical format, and lists those that it changed. With -, it formats its standard input.

The exit code is 1 for a file that cannot be read or parsed, and 3 for 'fmt -check' where a file is not
formatted.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.out, f.errOut = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return f.run(args, cmd.InOrStdin())
		},
	}
	cmd.Flags().BoolVar(&f.check, "check", false, "change nothing; exit 3 if a file is not formatted")
	cmd.Flags().BoolVar(&f.diff, "diff", false, "show what would change, and change nothing")
	cmd.Flags().BoolVar(&f.recursive, "recursive", false, "go into folders below too")
	return cmd
}

func (f *formatting) run(args []string, in io.Reader) error {
	if len(args) == 0 {
		args = []string{"."}
	}
	for _, arg := range args {
		if arg == "-" {
			if err := f.stdin(in); err != nil {
				return err
			}
			continue
		}
		files, err := f.files(arg)
		if err != nil {
			return err
		}
		for _, file := range files {
			if err := f.file(file); err != nil {
				return err
			}
		}
	}
	switch {
	case f.unreadable:
		return codeError{exitError, nil}
	case f.unformatted && f.check:
		return codeError{exitUnformatted, nil}
	}
	return nil
}

// files lists what arg stands for: itself, or the files of the folder.
func (f *formatting) files(arg string) ([]string, error) {
	info, err := os.Stat(arg)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{arg}, nil
	}
	var files []string
	err = filepath.WalkDir(arg, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != arg && (!f.recursive || strings.HasPrefix(entry.Name(), ".")):
			return filepath.SkipDir
		case !entry.IsDir() && slices.Contains([]string{".hcl", ".hclvars"}, filepath.Ext(path)):
			files = append(files, path)
		}
		return nil
	})
	return files, err
}

func (f *formatting) file(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	formatted, ok := f.format(path, text)
	if !ok || bytes.Equal(text, formatted) {
		return nil
	}
	f.unformatted = true
	if f.diff {
		_, err := f.out.Write(diff.Diff(path, text, path+" (formatted)", formatted))
		return err
	}
	if _, err := fmt.Fprintln(f.out, path); err != nil || f.check {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, formatted, info.Mode().Perm()) // in place: links and owner stay
}

func (f *formatting) stdin(in io.Reader) error {
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
	case f.diff:
		formatted = diff.Diff("<stdin>", text, "<stdin> (formatted)", formatted)
	case f.check:
		return nil
	}
	_, err = f.out.Write(formatted)
	return err
}

// format formats a file that parses, and tells what is wrong with one that does not.
func (f *formatting) format(name string, text []byte) ([]byte, bool) {
	file, diags := hclsyntax.ParseConfig(text, name, hcl.InitialPos)
	if diags.HasErrors() {
		f.unreadable = true
		diags = diag.Unique(diag.Coded(diag.Syntax, diags))
		_ = diag.Text(f.errOut, diags, map[string]*hcl.File{name: file}, f.o.color(f.errOut), width(f.errOut))
		return nil, false
	}
	return hclwrite.Format(text), true
}
