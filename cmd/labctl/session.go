package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/engine"
	"github.com/labctl/labctl/internal/lock"
	"github.com/labctl/labctl/internal/plan"
	"github.com/labctl/labctl/internal/view"
	"github.com/labctl/labctl/schema"
)

// session is one command's work on one lab: the lab, the hosts that carry it, and where its story is told.
type session struct {
	o      *options
	dir    string
	source *source // nil where there are no files
	lab    *schema.Lab
	hosts  []*carrier
	engine *engine.Engine
	out    output
	quiet  bool // only JSON may be written
	stdout io.Writer
	stderr io.Writer
}

// output is what view.Printer and view.Stream both are.
type output interface {
	view.Output
	Message(view.Message)
	Timings(*plan.Report)
}

func newSession(cmd *cobra.Command, o *options, json bool) *session {
	s := &session{o: o, quiet: json, stdout: cmd.OutOrStdout(), stderr: cmd.ErrOrStderr()}
	if json {
		s.out = view.NewStream(s.stdout, versionText())
	} else {
		s.out = view.New(s.stdout, view.Style{Color: o.color(s.stdout), Terminal: isTerminal(s.stdout), Width: width(s.stdout)})
	}
	return s
}

// openLab loads the lab of a folder and reaches its hosts.
func openLab(cmd *cobra.Command, o *options, dir string, json bool) (*session, error) {
	s := newSession(cmd, o, json)
	if err := s.load(dir); err != nil {
		return nil, err
	}
	return s, s.reach()
}

// openNamed is a session on a lab of which only the name is known.
func openNamed(cmd *cobra.Command, o *options, lab string, json bool) (*session, error) {
	s := newSession(cmd, o, json)
	s.lab = &schema.Lab{Name: lab, Hosts: []schema.Host{{URI: defaultURI}}}
	return s, s.reach()
}

// openSaved is a session on the lab of a saved plan. Sensitive values, which the file leaves out, come from the lab's
// files again.
func openSaved(cmd *cobra.Command, o *options, file *plan.File, json bool) (*session, error) {
	s := newSession(cmd, o, json)
	if file.NeedsSecrets() {
		again := *o
		for name, value := range file.Source.Variables {
			again.vars = append([]string{name + "=" + value}, again.vars...)
		}
		again.varFiles = append(file.Source.VarFiles, again.varFiles...)
		s.o = &again
		if err := s.load(file.Source.Dir); err != nil {
			return nil, err
		}
		if err := file.Supply(s.lab); err != nil {
			return nil, err
		}
	}
	s.lab = file.Plan.Lab
	return s, s.reach()
}

// reach connects to the hosts of the lab and makes the engine that works on them.
func (s *session) reach() error {
	if len(s.lab.Hosts) == 0 {
		s.lab.Hosts = []schema.Host{{URI: defaultURI}}
	}
	bindings := []engine.Binding{}
	for _, h := range s.lab.Hosts {
		if h.Name == "" && s.o.connect != "" {
			h.URI = s.o.connect
		}
		c, err := connect(h)
		if err != nil {
			s.close()
			return s.tell(err)
		}
		s.hosts = append(s.hosts, c)
		bindings = append(bindings, c.bindings()...)
	}
	s.engine = engine.New(bindings, engine.Options{Parallel: s.o.parallel})
	return nil
}

func (s *session) close() {
	for _, h := range s.hosts {
		h.close()
	}
}

// host is the carrier of the host with the label.
func (s *session) host(name string) (*carrier, error) {
	for _, h := range s.hosts {
		if h.host.Name == name {
			return h, nil
		}
	}
	return nil, fmt.Errorf("there is no host %q", name)
}

// plan makes a plan that can be applied; one with errors is shown, and is an error.
func (s *session) plan(ctx context.Context, asked plan.Options) (*plan.Plan, error) {
	p, err := s.engine.Plan(ctx, s.lab, asked)
	if p == nil {
		return nil, s.tell(err)
	}
	if len(p.Errors) > 0 {
		if !p.Empty() {
			s.out.Plan(p)
			s.note("\n")
		}
		return nil, s.tell(errors.Join(p.Errors...))
	}
	return p, nil
}

// lock keeps other labctl from changing the lab meanwhile.
func (s *session) lock(cmd *cobra.Command) (release func(), err error) {
	var locks []*lock.Lock
	release = func() {
		for _, l := range locks {
			_ = l.Release() // the kernel lets go of it in any case when we end
		}
	}
	for _, h := range s.hosts {
		l, err := lock.Acquire(cmd.Context(), lock.Dir, s.lab.Name, h.host.Name, cmd.CommandPath(), s.o.lockTimeout)
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

// tell shows an error with its place and what to do, and returns one that ends labctl without another word.
func (s *session) tell(err error) error {
	if exit, ok := errors.AsType[codeError](err); ok {
		return exit
	}
	out := s.out
	if !s.quiet {
		out = view.New(s.stderr, view.Style{Color: s.o.color(s.stderr), Width: width(s.stderr)})
	}
	out.Error(err, s.locate)
	return codeError{exitError, nil}
}

// locate tells where in the lab's files a resource or an attribute stands.
func (s *session) locate(addr schema.Addr, path string) view.Place {
	if s.source == nil {
		return view.Place{}
	}
	return s.source.locate(addr, path)
}

// note writes for people alone.
func (s *session) note(format string, args ...any) {
	if !s.quiet {
		fmt.Fprintf(s.stdout, format, args...)
	}
}

// warn writes beside the output.
func (s *session) warn(format string, args ...any) { fmt.Fprintf(s.stderr, format, args...) }

func (s *session) timings(r *plan.Report) { s.out.Timings(r) }

// showOutputs lists the lab's outputs as Terraform does after an apply.
func (s *session) showOutputs() {
	if len(s.lab.Outputs) == 0 || s.quiet {
		return
	}
	s.note("\nOutputs:\n\n")
	for _, o := range s.lab.Outputs {
		s.note("%s = %s\n", o.Name, shown(o))
	}
}

// plainVariables is the variables of the command line by name, for a saved plan; those that are sensitive stay out.
func (s *session) plainVariables() map[string]string {
	plain := map[string]string{}
	for _, text := range s.o.vars {
		name, value, _ := strings.Cut(text, "=")
		if s.source == nil || !s.source.sensitive(name) {
			plain[name] = value
		}
	}
	return plain
}
