package session

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/labctl/labctl/internal/osinfo"
	"github.com/labctl/labctl/internal/parcel"
	"github.com/labctl/labctl/internal/view"
	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/config"
	"github.com/labctl/labctl/schema/diag"
)

// source is the files that a lab was read from: here, or where the command came from.
type source struct {
	result *config.Result
	sent   parcel.Places
}

// Read reads the lab in dir with the variables of the command line and the environment.
func (o *Options) Read(dir string) (*config.Result, hcl.Diagnostics, error) { return o.read(dir, nil) }

// read reads the lab as Read does, with what is known of machines that run.
func (o *Options) read(dir string, facts map[schema.Addr]*schema.Facts) (*config.Result, hcl.Diagnostics, error) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, nil, fmt.Errorf("there is no %s: give the folder that holds the lab", dir)
	case err != nil:
		return nil, nil, err
	case !info.IsDir():
		return nil, nil, fmt.Errorf("%s is a file: give the folder that holds the lab", dir)
	}
	given, err := o.given()
	if err != nil {
		return nil, nil, err
	}
	result, diags := config.Load(dir, config.Options{
		Given: given, Env: os.Environ(), Version: strings.TrimPrefix(o.Version, "v"),
		Systems: osinfo.NewCatalogue(osinfo.Places(os.Getenv)...), Facts: facts,
	})
	if o.veil == nil {
		o.veil = new(veil)
	}
	o.veil.hide(result.Secrets())
	return result, diags, nil
}

// given is the variables of the command line in order: of two that give one a value the later counts.
func (o *Options) given() ([]config.Given, error) {
	var out []config.Given
	next := 0
	vars := func(end int) error {
		for ; next < min(end, len(o.Vars)); next++ {
			name, value, ok := strings.Cut(o.Vars[next], "=")
			if name = strings.TrimSpace(name); !ok || name == "" {
				return fmt.Errorf("-var %s: write it as -var 'name=value'", o.Vars[next])
			}
			out = append(out, config.Given{Name: name, Value: value})
		}
		return nil
	}
	for i, path := range o.VarFiles {
		if n := len(o.VarsAfter) - len(o.VarFiles) + i; n >= 0 {
			if err := vars(len(o.Vars) - o.VarsAfter[n]); err != nil {
				return nil, err
			}
		}
		out = append(out, config.Given{File: path})
	}
	return out, vars(len(o.Vars))
}

// Load reads the session's lab and shows what is wrong with it.
func (s *Session) Load(dir string) error {
	if s.Options.parcel != nil {
		return s.unpack()
	}
	result, diags, err := s.Options.Read(dir)
	if err != nil {
		return err
	}
	if err := s.showDiagnostics(diags, result.Files); err != nil {
		return err
	}
	if diags.HasErrors() || result.Lab == nil {
		return ExitError{Code: 1}
	}
	s.Dir, s.Lab, s.source, s.whole = dir, result.Lab, &source{result: result}, true
	return nil
}

// Files is what the lab's files came to; nil where they are on another machine.
func (s *Session) Files() *config.Result {
	if s.source == nil {
		return nil
	}
	return s.source.result
}

// loadQuietly reads the lab for its name and hosts alone, whatever else may be wrong with it.
func (s *Session) loadQuietly(dir string) error {
	if s.Options.parcel != nil {
		return s.unpack()
	}
	result, _, err := s.Options.Read(dir)
	if err == nil && result.Lab == nil {
		err = errors.New("no lab")
	}
	if err != nil {
		return err
	}
	s.Dir, s.Lab, s.source = dir, result.Lab, &source{result: result}
	return nil
}

// showDiagnostics writes diagnostics for people to standard error, and for programs into the stream of JSON.
func (s *Session) showDiagnostics(diags hcl.Diagnostics, files map[string]*hcl.File) error {
	if !s.Quiet {
		return WriteDiagnostics(s.Stderr, s.Options, diags, files)
	}
	for _, d := range diag.JSON(diags, files) {
		m := view.Message{Severity: d.Severity, Summary: d.Summary, Detail: d.Detail}
		if d.Range != nil {
			m.Pos = schema.Pos{File: d.Range.Filename, Line: d.Range.Start.Line, Column: d.Range.Start.Column}
		}
		s.Out.Message(m)
	}
	return nil
}

// WriteDiagnostics writes diagnostics for people.
func WriteDiagnostics(w io.Writer, o *Options, diags hcl.Diagnostics, files map[string]*hcl.File) error {
	if err := diag.Text(w, diags, files, o.Color(w), Width(w)); err != nil || len(diags) == 0 {
		return err
	}
	_, err := fmt.Fprintln(w)
	return err
}

// locate tells where a resource, or an attribute of it, stands.
func (s *source) locate(addr schema.Addr, path string) view.Place {
	if s.result == nil {
		return s.sent.Locate(addr, path)
	}
	place := view.Place{Pos: s.result.Pos(addr, path)}
	if file := s.result.Files[place.Pos.File]; file != nil && place.Pos.Line > 0 {
		lines := strings.Split(string(file.Bytes), "\n")
		if place.Pos.Line <= len(lines) {
			place.Source = lines[place.Pos.Line-1]
		}
	}
	return place
}

// sensitive reports whether the variable's value must not be written down.
func (s *source) sensitive(name string) bool {
	return slices.ContainsFunc(s.result.Variables, func(v config.Variable) bool { return v.Name == name && v.Sensitive })
}
