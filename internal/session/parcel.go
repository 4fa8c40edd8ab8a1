package session

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/labctl/labctl/internal/courier"
	"github.com/labctl/labctl/internal/plan"
	"github.com/labctl/labctl/internal/view"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// parcel is what a command on another machine has instead of the lab's files, which stay here: what became of them.
type parcel struct {
	Lab    *schema.Lab          `json:"lab,omitempty"` // nil where the folder holds none
	Dir    string               `json:"dir"`
	Source plan.Source          `json:"source"`         // for a plan that is saved
	Places map[string]placeList `json:"places"`         // where resources and their attributes stand, by address
	Plan   []byte               `json:"plan,omitempty"` // the saved plan that is to be applied
	Hide   []string             `json:"hide,omitempty"` // texts that must not be shown
}

// placeList is where a resource ("") and the attributes of it stand that stand elsewhere than what they are within.
type placeList map[string]view.Place

// in is the place of a path, or of what it is within.
func (l placeList) in(path string) view.Place {
	for {
		if place, ok := l[path]; ok || path == "" {
			return place
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
}

// pack makes the parcel of a session that has read its lab.
func (s *Session) pack() ([]byte, error) {
	p := parcel{Dir: s.Dir}
	if s.source != nil {
		if err := s.beside(); err != nil && s.whole {
			return nil, err
		}
		p.Lab, p.Places, p.Hide = s.source.result.Lab, s.source.places(), s.source.result.Secrets()
		var err error
		if p.Source, err = s.Origin(); err != nil {
			return nil, err
		}
	}
	if s.Options.Plan != "" {
		var err error
		if p.Plan, err = os.ReadFile(s.Options.Plan); err != nil {
			return nil, err
		}
	}
	return json.Marshal(p)
}

// beside refuses files of machines and images that stand with the lab's own files: a host that is elsewhere does not have them.
func (s *Session) beside() error {
	dir, err := filepath.Abs(s.Dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range s.Lab.Resources {
		for path, file := range filesOf(r.Body) {
			if !strings.HasPrefix(file, dir+string(filepath.Separator)) {
				continue
			}
			errs = append(errs, &provider.Error{
				Op: "use " + file, Addr: r.Addr, Path: path, Err: errors.New("it is on this machine, and the lab's host is elsewhere"),
				Hint: "copy the file to the host and give its absolute path there; an image may be a URL",
			})
		}
	}
	return errors.Join(errs...)
}

// filesOf is the files of the host that a resource is made with, by attribute.
func filesOf(body any) map[string]string {
	files := make(map[string]string)
	switch b := body.(type) {
	case *schema.Image:
		files["source"] = b.Source
	case *schema.Domain:
		files["cdrom"], files["boot.kernel"], files["boot.initrd"] = b.CDROM, b.Boot.Kernel, b.Boot.Initrd
		for _, d := range b.Disks {
			files[provider.JoinPath("disk", d.Name)+".source"] = d.Source
		}
		for n, f := range b.Filesystems {
			files[fmt.Sprintf("filesystem[%d].source", n)] = f.Source
		}
	}
	return files
}

// places lists where everything stands that errors may name.
func (s *source) places() map[string]placeList {
	all := make(map[string]placeList)
	for _, r := range s.result.Lab.Resources {
		list := placeList{"": s.locate(r.Addr, "")}
		for _, path := range provider.Paths(r.Body) {
			if place := s.locate(r.Addr, path); place != list.in(path) {
				list[path] = place
			}
		}
		all[r.Addr.String()] = list
	}
	for _, c := range s.result.Lab.Checks {
		all[c.Addr.String()] = placeList{"": s.locate(c.Addr, "")}
	}
	return all
}

// Receive makes the options those of a command that came from another machine.
func (o *Options) Receive(in *courier.Inbox) error {
	o.inbox, o.parcel = in, new(parcel)
	dec := json.NewDecoder(bytes.NewReader(in.Parcel))
	dec.UseNumber() // an output's number stays as it was written
	if err := dec.Decode(o.parcel); err != nil {
		return fmt.Errorf("what came with the command: %w", err)
	}
	if o.parcel.Lab != nil {
		o.parcel.Lab.Link()
	}
	return nil
}

// unpack gives the session the lab that came with the command.
func (s *Session) unpack() error {
	p := s.Options.parcel
	if p.Lab == nil {
		return errors.New("no lab came with the command")
	}
	s.Dir, s.Lab, s.source = p.Dir, p.Lab, &source{sent: p.Places}
	s.Options.veil.hide(p.Hide)
	if len(s.Options.Vars) == 0 {
		return nil
	}
	a, err := s.Options.ask(question{Vars: s.Options.Vars}) // those of the command line stayed there
	if err != nil {
		return err
	}
	s.Lab, s.source = a.Lab, &source{sent: a.Places}
	return nil
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
