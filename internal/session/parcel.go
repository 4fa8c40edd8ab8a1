package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/labctl/labctl/internal/courier"
	"github.com/labctl/labctl/internal/parcel"
	"github.com/labctl/labctl/internal/plan"
	"github.com/labctl/labctl/schema/config"
)

// pack makes the parcel of a session that has read its lab.
func (s *Session) pack() ([]byte, error) {
	p := parcel.Parcel{Dir: s.Dir}
	var err error
	if s.source != nil {
		p.Lab = wrapped(s.source.result)
		if s.whole {
			if err := s.take(&p.Lab); err != nil {
				return nil, err
			}
		}
		if p.Source, err = s.Origin(); err != nil {
			return nil, err
		}
	}
	if s.Options.Plan != "" {
		if p.Plan, err = os.ReadFile(s.Options.Plan); err != nil {
			return nil, err
		}
	}
	return json.Marshal(p)
}

// wrapped is a lab that was read here, for another machine.
func wrapped(r *config.Result) parcel.Lab {
	from := source{result: r}
	return parcel.Lab{Lab: r.Lab, Places: parcel.NewPlaces(r.Lab, from.locate), Hide: r.Secrets()}
}

// take adds the files that stand with the lab's own, which the command may ask for from then on.
func (s *Session) take(l *parcel.Lab) (err error) {
	l.Lab, l.Files, err = parcel.Beside(l.Lab, s.Dir, DataRoot)
	s.sending = slices.Concat(s.sending, l.Files)
	return err
}

// answer answers a question of the command that was sent away.
func (s *Session) answer(text []byte) ([]byte, error) {
	var q parcel.Question
	if err := json.Unmarshal(text, &q); err != nil {
		return nil, err
	}
	if q.File != "" {
		if q.From == 0 && IsTerminal(s.Stderr) {
			s.Warn("Sending %s to the lab's host, once for its content.\n", filepath.Base(q.File))
		}
		return parcel.Chunk(s.sending, q.File, q.From)
	}
	result, diags, err := s.Options.With(q.Vars...).read(s.Dir, q.Facts)
	if err != nil {
		return nil, err
	}
	if diags.HasErrors() || result.Lab == nil {
		return nil, fmt.Errorf("read the lab again: %w", diags)
	}
	lab := wrapped(result)
	if err := s.take(&lab); err != nil {
		return nil, err
	}
	return json.Marshal(lab)
}

// Receive makes the options those of a command that came from another machine.
func (o *Options) Receive(in *courier.Inbox) (err error) {
	o.inbox = in
	o.parcel, err = parcel.Open(in.Parcel)
	return err
}

// unpack gives the session the lab that came with the command.
func (s *Session) unpack() error {
	p := s.Options.parcel
	if p.Lab.Lab == nil {
		return errors.New("no lab came with the command")
	}
	s.Dir = p.Dir
	if len(s.Options.Vars) == 0 {
		return s.receive(p.Lab)
	}
	lab, err := s.ask(parcel.Question{Vars: s.Options.Vars}) // those of the command line stayed there
	if err != nil {
		return err
	}
	return s.receive(lab)
}

// receive takes a lab that was read elsewhere, with its files.
func (s *Session) receive(l parcel.Lab) error {
	s.Options.veil.hide(l.Hide)
	for _, f := range l.Files {
		if err := f.Fetch(DataRoot, s.Options.inbox.Ask); err != nil {
			return err
		}
	}
	s.Lab, s.source = l.Lab, &source{sent: l.Places}
	return nil
}

// ask has the lab read again where its files are.
func (s *Session) ask(q parcel.Question) (parcel.Lab, error) {
	lab, err := parcel.Asker(s.Options.inbox.Ask).Read(q)
	s.Options.veil.hide(lab.Hide)
	return lab, err
}

// Origin is what the lab was made from, for a saved plan.
func (s *Session) Origin() (plan.Source, error) {
	if p := s.Options.parcel; p != nil {
		return p.Source, nil
	}
	dir, err := filepath.Abs(s.Dir)
	if err != nil {
		return plan.Source{}, err
	}
	from := plan.Source{Dir: dir, Variables: s.plainVariables()}
	for _, path := range s.Options.VarFiles {
		whole, err := filepath.Abs(path)
		if err != nil {
			return from, err
		}
		from.VarFiles = append(from.VarFiles, whole)
	}
	return from, nil
}

// ReadPlan reads a saved plan.
func (o *Options) ReadPlan(path string) (*plan.File, error) {
	if o.inbox == nil {
		o.Plan = path
		return plan.Read(path)
	}
	if err := os.WriteFile(keptPlan, o.parcel.Plan, 0o600); err != nil {
		return nil, err
	}
	file, err := plan.Read(keptPlan)
	return file, named(err, path)
}

// named makes an error of the kept plan one of the plan that the user knows.
func named(err error, path string) error {
	if wrong, ok := errors.AsType[*plan.NotAPlanError](err); ok {
		return &plan.NotAPlanError{Path: path, Why: wrong.Why}
	}
	return err
}

// keptPlan is where a command that came from another machine has the plan that came with it: in a folder of its own.
const keptPlan = "saved.plan"

// HasPlan reports whether the path is that of a file, and so no folder of a lab.
func (o *Options) HasPlan(path string) bool {
	if o.inbox != nil {
		return o.parcel.Plan != nil
	}
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// UsePlan marks a saved plan as used, where it was read from.
func (o *Options) UsePlan(path string, file *plan.File) error {
	if o.inbox == nil {
		return file.Use(path)
	}
	if err := file.Use(keptPlan); err != nil {
		return named(err, path)
	}
	return o.takeBack(keptPlan, path)
}

// SavePlan writes a plan to a file of whoever gave the command.
func (o *Options) SavePlan(path string, p *plan.Plan, from plan.Source) error {
	if o.inbox == nil {
		return plan.Write(path, p, from, o.Version)
	}
	if err := plan.Write(keptPlan, p, from, o.Version); err != nil {
		return err
	}
	return o.takeBack(keptPlan, path)
}

// takeBack sends a file to the machine that the command came from.
func (o *Options) takeBack(file, path string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return o.inbox.WriteFile(path, text, 0o600)
}

// Create makes a file of whoever gave the command.
func (o *Options) Create(path string) (io.WriteCloser, error) {
	const mode fs.FileMode = 0o666
	if o.inbox == nil {
		return os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, mode)
	}
	return o.inbox.Create(path, mode)
}
