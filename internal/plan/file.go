package plan

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/google/renameio/v2"
	"golang.org/x/crypto/scrypt"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// FileVersion is the version of the saved plan's format that this labctl writes, and the only one that it reads.
const FileVersion = 1

// fileKind is the first thing in a saved plan, so that other files are told from it.
const fileKind = "labctl saved plan"

// Source is what a saved plan was made from. It is kept so that the values of sensitive variables, which the file does
// not hold, are evaluated again for the apply.
type Source struct {
	Dir       string            `json:"dir"`                 // of the lab, absolute
	Variables map[string]string `json:"variables,omitempty"` // as given on the command line, in HCL syntax; none that is sensitive
	VarFiles  []string          `json:"var_files,omitempty"` // absolute paths
}

// File is a saved plan.
type File struct {
	Kind    string    `json:"kind"`
	Version int       `json:"version"`
	Labctl  string    `json:"labctl"` // version of the program that wrote it
	Created time.Time `json:"created"`
	Used    time.Time `json:"used,omitzero"`
	Source  Source    `json:"source"`
	Plan    *Plan     `json:"plan"`
	Secrets *Secrets  `json:"secrets,omitempty"`
}

// Secrets tells whether the sensitive values of an apply are those of the plan, without holding them.
type Secrets struct {
	Addrs []schema.Addr `json:"addresses"` // resources of which values are left out
	Salt  string        `json:"salt"`
	Check string        `json:"check"` // scrypt of all values left out
}

// NotAPlanError is that a file is no plan which this labctl can apply.
type NotAPlanError struct {
	Path string
	Why  string
}

func (e *NotAPlanError) Error() string { return fmt.Sprintf("%s: %s", e.Path, e.Why) }

// Write saves a plan for a later apply, readable for its owner alone. Values at sensitive paths are left out.
func Write(path string, p *Plan, source Source, labctl string) error {
	if len(p.Errors) > 0 {
		return errors.New("a plan with errors is not saved")
	}
	kept, secrets, err := withoutSecrets(p)
	if err != nil {
		return fmt.Errorf("save the plan: %w", err)
	}
	return write(path, &File{
		Kind: fileKind, Version: FileVersion, Labctl: labctl, Created: time.Now().UTC().Truncate(time.Second),
		Source: source, Plan: kept, Secrets: secrets,
	})
}

func write(path string, f *File) error {
	text, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("save the plan: %w", err)
	}
	err = renameio.WriteFile(path, append(text, '\n'), 0o600, renameio.IgnoreUmask())
	if err == nil {
		return nil
	}
	if failed, ok := errors.AsType[*fs.PathError](err); ok { // of the file that is renamed at the end, which nobody knows
		err = failed.Err
	}
	return fmt.Errorf("save the plan in %s: %w", path, err)
}

// Read reads a saved plan. What is no saved plan, or one of another format, is a *NotAPlanError.
func Read(path string) (*File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var head struct {
		Kind    string `json:"kind"`
		Version int    `json:"version"`
		Labctl  string `json:"labctl"`
	}
	if err := json.Unmarshal(text, &head); err != nil || head.Kind != fileKind {
		return nil, &NotAPlanError{path, "it is no plan that labctl saved"}
	}
	if head.Version != FileVersion {
		return nil, &NotAPlanError{path, fmt.Sprintf(
			"it has format %d, written by labctl %s; this labctl reads format %d", head.Version, head.Labctl, FileVersion)}
	}
	f := new(File)
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	dec.UseNumber() // a number stays as it was written
	if err := dec.Decode(f); err != nil {
		return nil, &NotAPlanError{path, "it is damaged: " + err.Error()}
	}
	if f.Plan == nil || f.Plan.Lab == nil || f.Plan.Lab.Name == "" {
		return nil, &NotAPlanError{path, "it is damaged: it names no lab"}
	}
	f.Plan.Saved = true
	f.Plan.Lab.Link()
	return f, nil
}

// Use marks the file as used before anything is changed: a plan is carried out once. It fails where that was done before.
func (f *File) Use(path string) error {
	if !f.Used.IsZero() {
		return &NotAPlanError{path, fmt.Sprintf("it was applied at %s already; make a new plan", f.Used.Local().Format(time.DateTime))}
	}
	used := *f
	used.Used = time.Now().UTC().Truncate(time.Second)
	if err := write(path, &used); err != nil {
		return err
	}
	f.Used = used.Used
	return nil
}

// NeedsSecrets reports whether values are missing that Supply has to bring before the plan can be applied.
func (f *File) NeedsSecrets() bool { return f.Secrets != nil }

// Supply puts the sensitive values back, from the same lab evaluated again. It refuses values that are not the plan's.
func (f *File) Supply(fresh *schema.Lab) error {
	if f.Secrets == nil {
		return nil
	}
	bodies := map[schema.Addr]schema.Resource{}
	for _, r := range fresh.Resources {
		bodies[r.Addr] = r
	}
	lab := *f.Plan.Lab
	lab.Resources = slices.Clone(lab.Resources)
	for n := range lab.Resources {
		r := &lab.Resources[n]
		if !slices.Contains(f.Secrets.Addrs, r.Addr) {
			continue
		}
		now, there := bodies[r.Addr]
		if !there {
			return fmt.Errorf("%s holds sensitive values, and the lab in %s no longer declares it", r.Addr, f.Source.Dir)
		}
		body, err := restore(r, now.Body)
		if err != nil {
			return fmt.Errorf("%s: %w", r.Addr, err)
		}
		r.Body = body
	}
	salt, err := base64.StdEncoding.DecodeString(f.Secrets.Salt)
	if err != nil {
		return fmt.Errorf("the plan's secrets: %w", err)
	}
	check, err := digest(lab.Resources, f.Secrets.Addrs, salt)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(check), []byte(f.Secrets.Check)) != 1 {
		return errors.New("the sensitive values are not those that the plan was made with; give the same variables, or make a new plan")
	}
	for _, c := range fresh.Checks {
		if c.Sensitive {
			lab.Checks = append(slices.Clone(lab.Checks), c)
		}
	}
	lab.Link()
	f.Plan.Lab = &lab
	return nil
}

// withoutSecrets is a copy of the plan fit to be written down.
func withoutSecrets(p *Plan) (*Plan, *Secrets, error) {
	kept := *p
	lab := *p.Lab
	kept.Lab = &lab
	lab.Resources = slices.Clone(lab.Resources)
	lab.Outputs = slices.DeleteFunc(slices.Clone(lab.Outputs), func(o schema.Output) bool { return o.Sensitive })
	lab.Checks = slices.DeleteFunc(slices.Clone(lab.Checks), func(c schema.Check) bool { return c.Sensitive })
	var addrs []schema.Addr
	for n := range lab.Resources {
		r := &lab.Resources[n]
		if len(r.Sensitive) == 0 {
			continue
		}
		addrs = append(addrs, r.Addr)
		body, err := hide(r)
		if err != nil {
			return nil, nil, err
		}
		r.Body = body
	}
	kept.Items = slices.Clone(kept.Items)
	for n := range kept.Items {
		item := &kept.Items[n]
		item.Want = nil // it is in the lab, and made again from there
		item.Details = slices.Clone(item.Details)
		for d := range item.Details {
			if item.Details[d].Sensitive {
				item.Details[d].Old, item.Details[d].New = nil, nil
			}
		}
	}
	if len(addrs) == 0 && len(lab.Checks) == len(p.Lab.Checks) {
		return &kept, nil, nil
	}
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails, see its documentation
	check, err := digest(p.Lab.Resources, addrs, salt)
	if err != nil {
		return nil, nil, err
	}
	return &kept, &Secrets{Addrs: addrs, Salt: base64.StdEncoding.EncodeToString(salt), Check: check}, nil
}

// digest is slow on purpose: secrets that people choose are few enough to be guessed against a fast one.
func digest(resources []schema.Resource, addrs []schema.Addr, salt []byte) (string, error) {
	secrets := map[string]any{}
	for n := range resources {
		r := &resources[n]
		if !slices.Contains(addrs, r.Addr) {
			continue
		}
		values, err := pick(r)
		if err != nil {
			return "", err
		}
		secrets[r.Addr.String()] = values
	}
	text, err := json.Marshal(secrets)
	if err != nil {
		return "", err
	}
	key, err := scrypt.Key(text, salt, 1<<15, 8, 1, 32)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(key), nil
}

// hide is a resource's body without the values at its sensitive paths.
func hide(r *schema.Resource) (any, error) {
	if slices.Contains(r.Sensitive, "all") {
		return schema.NewBody(r.Addr.Type())
	}
	return provider.CarryPaths(r.Addr.Type(), r.Body, nil, r.Sensitive)
}

// restore is a resource's body with the values at its sensitive paths from another.
func restore(r *schema.Resource, from any) (any, error) {
	if slices.Contains(r.Sensitive, "all") {
		return from, nil
	}
	return provider.CarryPaths(r.Addr.Type(), r.Body, from, r.Sensitive)
}

// placeless is a resource without the places in files that its rules came from: they are written as seen from where labctl was
// started, which may be elsewhere the second time.
func placeless(r *schema.Resource) *schema.Resource {
	bare := func(set *schema.Ruleset) *schema.Ruleset {
		if set == nil {
			return nil
		}
		return &schema.Ruleset{Text: set.Text}
	}
	out := *r
	switch body := r.Body.(type) {
	case *schema.Ruleset:
		out.Body = bare(body)
	case *schema.Guest:
		guest := *body
		guest.Ruleset = bare(body.Ruleset)
		out.Body = &guest
	case *schema.Domain:
		if body.Seed != nil {
			domain, seed := *body, *body.Seed
			seed.Ruleset = bare(seed.Ruleset)
			domain.Seed = &seed
			out.Body = &domain
		}
	}
	return &out
}

// pick is the values at a resource's sensitive paths.
func pick(r *schema.Resource) (any, error) {
	r = placeless(r)
	if slices.Contains(r.Sensitive, "all") {
		return r.Body, nil
	}
	hidden, err := hide(r)
	if err != nil {
		return nil, err
	}
	return provider.Diff(hidden, r.Body), nil
}
