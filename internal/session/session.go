// Package session is one command's work on a lab: it reads the lab's files, reaches the hosts with the providers of what
// lives on them, and tells what happens to people or programs.
package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/labctl/labctl/internal/engine"
	"github.com/labctl/labctl/internal/lock"
	"github.com/labctl/labctl/internal/parcel"
	"github.com/labctl/labctl/internal/plan"
	"github.com/labctl/labctl/internal/view"
	"github.com/labctl/labctl/schema"
)

// Session is one command's work on one lab: the lab, the hosts that carry it, and where its story is told.
type Session struct {
	Options *Options
	Lab     *schema.Lab
	Dir     string // that the lab was read from
	Hosts   []*Carrier
	Engine  *engine.Engine
	Out     Output
	Quiet   bool // only JSON may be written
	Stdout  io.Writer
	Stderr  io.Writer

	source *source // nil where there are no files
	whole  bool    // the lab is what its files say, with no error

	sending []parcel.File // files that a command which was sent away may ask for
}

// ExitError ends labctl with a code and, if Err is nil, without a word.
type ExitError struct {
	Code int
	Err  error
}

func (e ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

// Unwrap returns Err.
func (e ExitError) Unwrap() error { return e.Err }

// Output is what view.Printer and view.Stream both are.
type Output interface {
	view.Output
	Message(view.Message)
	Timings(*plan.Report)
}

// New is a session with no lab yet, which writes JSON alone where json is set.
func New(o *Options, stdout, stderr io.Writer, json bool) *Session {
	if o.veil == nil {
		o.veil = new(veil)
	}
	s := &Session{Options: o, Quiet: json, Stdout: &veiled{stdout, o.veil}, Stderr: &veiled{stderr, o.veil}}
	if json && o.inbox != nil {
		s.Out = view.Continue(s.Stdout) // where the command came from the beginning is written already
	} else if json {
		s.Out = view.NewStream(s.Stdout, o.Version)
	} else {
		s.Out = view.New(s.Stdout, view.Style{Color: o.Color(s.Stdout), Terminal: IsTerminal(s.Stdout), Width: Width(s.Stdout)})
	}
	return s
}

// Open loads the lab of a folder and reaches its hosts.
func Open(o *Options, stdout, stderr io.Writer, dir string, json bool) (*Session, error) {
	s := New(o, stdout, stderr, json)
	if err := s.Load(dir); err != nil {
		return nil, err
	}
	return s, s.Reach()
}

// OpenNamed is a session on a lab of which only the name is known.
func OpenNamed(o *Options, stdout, stderr io.Writer, lab string, json bool) (*Session, error) {
	s := New(o, stdout, stderr, json)
	s.Lab = &schema.Lab{Name: lab, Hosts: []schema.Host{{URI: DefaultURI}}}
	return s, s.Reach()
}

// OpenSaved is a session on the lab of a saved plan. Sensitive values, which the file leaves out, come from the lab's
// files again.
func OpenSaved(o *Options, stdout, stderr io.Writer, file *plan.File, json bool) (*Session, error) {
	s := New(o, stdout, stderr, json)
	if file.NeedsSecrets() {
		again := *o
		if o.parcel != nil {
			file.Source = plan.Source{Dir: file.Source.Dir} // what came with the command was made with them
		}
		for name, value := range file.Source.Variables {
			again.Vars = append([]string{name + "=" + value}, again.Vars...)
		}
		again.VarFiles = append(file.Source.VarFiles, again.VarFiles...)
		s.Options = &again
		if err := s.Load(file.Source.Dir); err != nil {
			return nil, err
		}
		if err := file.Supply(s.Lab); err != nil {
			return nil, err
		}
	}
	s.Lab = file.Plan.Lab
	return s, s.Reach()
}

// Reach connects to the hosts of the lab and makes the engine that works on them.
func (s *Session) Reach() error {
	if len(s.Lab.Hosts) == 0 {
		s.Lab.Hosts = []schema.Host{{URI: DefaultURI}}
	}
	if err := s.Away(); err != nil {
		return err
	}
	bindings := []engine.Binding{}
	for _, h := range s.Lab.Hosts {
		if h.Name == "" && s.Options.Connect != "" {
			h.URI = s.Options.Connect
		}
		c, err := connect(h)
		if err != nil {
			s.Close()
			return s.Tell(err)
		}
		s.Hosts = append(s.Hosts, c)
		bindings = append(bindings, c.bindings()...)
	}
	s.Engine = engine.New(bindings, engine.Options{Parallel: s.Options.Parallel})
	return nil
}

// Close lets go of the hosts.
func (s *Session) Close() {
	for _, h := range s.Hosts {
		h.close()
	}
}

// Host is the carrier of the host with the label.
func (s *Session) Host(name string) (*Carrier, error) {
	for _, h := range s.Hosts {
		if h.host.Name == name {
			return h, nil
		}
	}
	return nil, fmt.Errorf("there is no host %q", name)
}

// Plan makes a plan that can be applied; one with errors is shown, and is an error.
func (s *Session) Plan(ctx context.Context, asked plan.Options) (*plan.Plan, error) {
	p, err := s.Engine.Plan(ctx, s.Lab, asked)
	if p == nil {
		return nil, s.Tell(err)
	}
	if len(p.Errors) > 0 {
		if !p.Empty() {
			s.Out.Plan(p)
			s.Note("\n")
		}
		return nil, s.Tell(errors.Join(p.Errors...))
	}
	return p, nil
}

// Lock keeps other labctl from changing the lab meanwhile.
func (s *Session) Lock(ctx context.Context, command string) (release func(), err error) {
	var locks []*lock.Lock
	release = func() {
		for _, l := range locks {
			_ = l.Release() // the kernel lets go of it in any case when we end
		}
	}
	for _, h := range s.Hosts {
		l, err := lock.Acquire(ctx, lock.Dir, s.Lab.Name, h.host.Name, command, s.Options.LockTimeout)
		if err != nil {
			release()
			if held, ok := errors.AsType[*lock.HeldError](err); ok && held.Waited == 0 {
				return nil, fmt.Errorf("%w\nWait for it with -lock-timeout=60s", err)
			}
			return nil, err
		}
		locks = append(locks, l)
	}
	return release, nil
}

// Tell shows an error with its place and what to do, and returns one that ends labctl without another word.
func (s *Session) Tell(err error) error {
	if exit, ok := errors.AsType[ExitError](err); ok {
		return exit
	}
	out := s.Out
	if !s.Quiet {
		out = view.New(s.Stderr, view.Style{Color: s.Options.Color(s.Stderr), Terminal: IsTerminal(s.Stderr), Width: Width(s.Stderr)})
	}
	out.Error(err, s.locate)
	return ExitError{Code: 1}
}

// locate tells where in the lab's files a resource or an attribute stands.
func (s *Session) locate(addr schema.Addr, path string) view.Place {
	if s.source == nil {
		return view.Place{}
	}
	return s.source.locate(addr, path)
}

// Note writes for people alone.
func (s *Session) Note(format string, args ...any) {
	if !s.Quiet {
		fmt.Fprintf(s.Stdout, format, args...)
	}
}

// Aside writes beside the output, also while lines move on the terminal.
func (s *Session) Aside(text string) {
	if a, ok := s.Out.(interface{ Aside(text string) bool }); !ok || !a.Aside(text) {
		s.Warn("%s\n", text)
	}
}

// Warn writes beside the output.
func (s *Session) Warn(format string, args ...any) { fmt.Fprintf(s.Stderr, format, args...) }

// plainVariables is the variables of the command line by name, for a saved plan; those that are sensitive stay out.
func (s *Session) plainVariables() map[string]string {
	plain := map[string]string{}
	for _, text := range s.Options.Vars {
		name, value, _ := strings.Cut(text, "=")
		if s.source == nil || !s.source.sensitive(name) {
			plain[name] = value
		}
	}
	return plain
}
