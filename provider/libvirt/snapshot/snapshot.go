// Package snapshot keeps a whole lab as it is at one moment, memory and disks of all its machines, and puts it back.
//
// A snapshot is one of libvirt's in each machine, all taken while every machine is paused. Each carries the
// lab's name and how many machines belong to it, so there is no other record: it is listed from what is there, and what
// labctl did not make is left alone. It lives in the machines' own disks, or in their folders where QEMU cannot do that, and
// goes with them.
package snapshot

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"libvirt.org/go/libvirt"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/daemon"
	"github.com/labctl/labctl/schema"
)

// Lab is a lab with the daemons that its machines run under.
type Lab struct {
	Name  string
	Conns []*daemon.Conn
}

// Snapshot is one of a lab's.
type Snapshot struct {
	Name     string    `json:"name"`
	Taken    time.Time `json:"taken"`
	Machines []Member  `json:"machines"`
	Of       int       `json:"of"` // how many machines it was taken of; fewer are left where some were removed since
}

// Whole reports whether every machine that it was taken of still has it.
func (s Snapshot) Whole() bool { return len(s.Machines) == s.Of }

// Member is one machine in a snapshot.
type Member struct {
	Domain  string      `json:"domain"`
	Addr    schema.Addr `json:"address"`
	Running bool        `json:"running"` // when it was taken
	uuid    string
	folder  string // for the machine's own files
	inFiles bool   // see filesOf
	conn    *daemon.Conn
}

// mark is what labctl writes in a snapshot's description.
type mark struct {
	lab     string
	of      int
	running bool
	files   bool // see filesOf
	taken   time.Time
}

func (m mark) String() string {
	return fmt.Sprintf("labctl lab=%s machines=%d running=%t files=%t taken=%s", m.lab, m.of, m.running, m.files, m.taken.UTC().Format(time.RFC3339Nano))
}

// parseMark reads what String writes. ok is false where text is anything else.
func parseMark(text string) (m mark, ok bool) {
	words := strings.Fields(text)
	if len(words) == 0 || words[0] != "labctl" {
		return mark{}, false
	}
	var errs []error
	for _, word := range words[1:] {
		var err error
		switch key, value, _ := strings.Cut(word, "="); key {
		case "lab":
			m.lab = value
		case "machines":
			m.of, err = strconv.Atoi(value)
		case "running":
			m.running, err = strconv.ParseBool(value)
		case "files":
			m.files, err = strconv.ParseBool(value)
		case "taken":
			m.taken, err = time.Parse(time.RFC3339Nano, value)
		}
		errs = append(errs, err)
	}
	return m, errors.Join(errs...) == nil && m.lab != "" && m.of > 0 && !m.taken.IsZero()
}

// description is the part of a snapshot's XML that is of use here, see
// https://libvirt.org/formatsnapshot.html.
type description struct {
	XMLName     xml.Name `xml:"domainsnapshot"`
	Name        string   `xml:"name"`
	Description string   `xml:"description"`
}

// CheckName refuses a name that cannot be used. libvirt makes a file of it.
func CheckName(name string) error {
	if !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`).MatchString(name) {
		return fmt.Errorf("%q is no name for a snapshot: it takes up to 64 letters, digits, '_', '.' and '-', and begins with a letter or digit", name)
	}
	return nil
}

// List lists the lab's snapshots, the oldest first.
func (l Lab) List(ctx context.Context) ([]Snapshot, error) {
	machines, err := l.machines(ctx)
	if err != nil {
		return nil, err
	}
	sets := map[string]*Snapshot{}
	for _, m := range machines {
		err := m.domain(func(dom *libvirt.Domain) error {
			return each(dom, func(_ *libvirt.DomainSnapshot, name string, k mark) error {
				if k.lab != l.Name {
					return nil
				}
				key := name + "\x00" + k.taken.String() // a set that a removal broke and one of the same name are two
				set := sets[key]
				if set == nil {
					set = &Snapshot{Name: name, Taken: k.taken, Of: k.of}
					sets[key] = set
				}
				member := m.Member
				member.Running, member.inFiles = k.running, k.files
				set.Machines = append(set.Machines, member)
				return nil
			})
		})
		if err != nil {
			return nil, daemon.Failed("list the snapshots of "+m.Domain, err)
		}
	}
	list := make([]Snapshot, 0, len(sets))
	for _, set := range sets {
		list = append(list, *set)
	}
	slices.SortFunc(list, func(a, b Snapshot) int { return cmp.Or(a.Taken.Compare(b.Taken), strings.Compare(a.Name, b.Name)) })
	return list, nil
}

// named is the snapshot with the name, and all of the lab's machines.
func (l Lab) named(ctx context.Context, name string) (Snapshot, []machine, error) {
	list, err := l.List(ctx)
	if err != nil {
		return Snapshot{}, nil, err
	}
	var known []string
	for _, s := range slices.Backward(list) { // of two, the newest is meant
		if s.Name == name {
			machines, err := l.machines(ctx)
			return s, machines, err
		}
		known = append(known, s.Name)
	}
	if len(known) == 0 {
		return Snapshot{}, nil, fmt.Errorf("lab %s has no snapshot", l.Name)
	}
	slices.Sort(known)
	return Snapshot{}, nil, fmt.Errorf("lab %s has no snapshot %s; it has %s", l.Name, name, strings.Join(slices.Compact(known), ", "))
}

// Delete removes a snapshot from all machines that have it.
func (l Lab) Delete(ctx context.Context, name string) error {
	set, _, err := l.named(ctx, name)
	if err != nil {
		return err
	}
	return together(set.Machines, func(m Member) error { return m.remove(ctx, name) })
}

func (m Member) domain(f func(*libvirt.Domain) error) error {
	return m.conn.Domain(daemon.ByUUID(m.uuid), f)
}

func (m Member) remove(ctx context.Context, name string) error {
	if m.inFiles {
		if err := m.dropFiles(ctx, name); err != nil {
			return err
		}
	}
	return m.domain(func(dom *libvirt.Domain) error {
		snap, err := dom.SnapshotLookupByName(name, 0)
		if daemon.Is(err, libvirt.ERR_NO_DOMAIN_SNAPSHOT) {
			return nil
		}
		if err != nil {
			return err
		}
		defer snap.Free() //nolint:errcheck // drops the reference
		return snap.Delete(deletion(m.inFiles))
	})
}

// deletion is how a snapshot is deleted: of those in files libvirt has no more than the record.
func deletion(files bool) libvirt.DomainSnapshotDeleteFlags {
	if files {
		return libvirt.DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY
	}
	return 0
}

// RemoveAll removes all of labctl's snapshots from a domain that is about to go: they may be in disks that are not the
// lab's own and stay.
func RemoveAll(dom *libvirt.Domain) error {
	count, err := dom.SnapshotNum(0)
	if daemon.Is(err, libvirt.ERR_NO_SUPPORT) || err == nil && count == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	return each(dom, func(snap *libvirt.DomainSnapshot, _ string, k mark) error { return snap.Delete(deletion(k.files)) })
}

// each calls f with every snapshot of a domain that labctl made.
func each(dom *libvirt.Domain, f func(snap *libvirt.DomainSnapshot, name string, k mark) error) error {
	snaps, err := dom.ListAllSnapshots(0)
	if daemon.Is(err, libvirt.ERR_NO_SUPPORT) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() {
		for i := range snaps {
			_ = snaps[i].Free() // drops the reference
		}
	}()
	for i := range snaps {
		text, err := snaps[i].GetXMLDesc(0)
		if err != nil {
			return err
		}
		var d description
		if err := xml.Unmarshal([]byte(text), &d); err != nil {
			return fmt.Errorf("libvirt's description of a snapshot: %w", err)
		}
		if k, ours := parseMark(d.Description); ours {
			if err := f(&snaps[i], d.Name, k); err != nil {
				return err
			}
		}
	}
	return nil
}

// together does something with all machines side by side; each error says of which one it is.
func together[M interface{ address() string }](machines []M, do func(M) error) error {
	errs := make([]error, len(machines))
	var wait sync.WaitGroup
	for n, m := range machines {
		wait.Go(func() {
			if err := do(m); err != nil {
				errs[n] = fmt.Errorf("%s: %w", m.address(), daemon.Message(err))
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

func (m Member) address() string { return m.Addr.String() }

// steps asks whether to go on, as providers do, so that a test can stop between any two.
func step(ctx context.Context, what string) error { return provider.Step(ctx, what) }
