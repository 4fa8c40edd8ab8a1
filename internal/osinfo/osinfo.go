// Package osinfo reads libosinfo's database of operating systems: which devices a system has drivers for, what firmware it
// starts with and how much it needs. The database is a tree of XML files that distributions ship as osinfo-db.
//
// Its layout is described in docs/database-layout.txt of osinfo-db-tools, its form in schema/osinfo.rng of the database.
package osinfo

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ErrAbsent is that there is no database at any of its places.
var ErrAbsent = errors.New("libosinfo's database is not installed")

// Places are where the database lies, the later over the earlier: the distribution's, the administrator's and the user's.
// Environment variables move them, as they do for libosinfo itself.
func Places(env func(string) string) []string {
	places := []string{"/usr/share/osinfo", "/etc/osinfo"}
	for i, name := range []string{"OSINFO_SYSTEM_DIR", "OSINFO_LOCAL_DIR"} {
		if dir := env(name); dir != "" {
			places[i] = dir
		}
	}
	switch {
	case env("OSINFO_USER_DIR") != "":
		return append(places, env("OSINFO_USER_DIR"))
	case env("XDG_CONFIG_HOME") != "":
		return append(places, filepath.Join(env("XDG_CONFIG_HOME"), "osinfo"))
	case env("HOME") != "":
		return append(places, filepath.Join(env("HOME"), ".config/osinfo"))
	}
	return places
}

// System is an operating system with all that it takes over from those that it derives from.
type System struct {
	ID     string   // "http://debian.org/debian/12"
	Short  []string // short names, the usual one first: "debian12", "debianbookworm"
	Name   string   // "Debian 12"
	Family string   // "linux", "winnt", …
	// Devices are those that it has a driver for, by the names that the database gives them: "virtio-net", "e1000e", "tablet",
	// "qemu-x86-q35", ….
	Devices map[string]bool

	firmware  map[[2]string]bool
	resources []resources
}

// Drives reports whether the system has a driver for one of the devices.
func (s *System) Drives(devices ...string) bool {
	return slices.ContainsFunc(devices, func(name string) bool { return s.Devices[name] })
}

// Starts reports whether the system starts from the firmware, "bios" or "efi", on the architecture. known is false where
// the database does not say.
func (s *System) Starts(arch, firmware string) (supported, known bool) {
	supported, known = s.firmware[[2]string{arch, firmware}]
	return supported, known
}

// Needs is how much of a resource the system should have on the architecture: what is recommended, or else the least that
// it works with; 0 where the database does not say. The resources are "ram" and "storage", in bytes, and "n-cpus".
func (s *System) Needs(arch, resource string) uint64 {
	for _, named := range []string{arch, "all"} {
		for _, r := range s.resources {
			if r.Arch != named {
				continue
			}
			if n := r.Recommended.amount(resource); n > 0 {
				return n
			}
			if n := r.Minimum.amount(resource); n > 0 {
				return n
			}
		}
	}
	return 0
}

// Database is what the files at all places say together.
type Database struct {
	systems map[string]*entry
	short   map[string]string // short name to identity
	devices map[string]string // identity to name
}

// Open reads the database at the places. It is ErrAbsent where none of them is there.
func Open(places ...string) (*Database, error) {
	found, err := files(places)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%w (looked in %s)", ErrAbsent, strings.Join(places, ", "))
	}
	d := &Database{systems: make(map[string]*entry), short: make(map[string]string), devices: make(map[string]string)}
	docs, err := decode(found)
	if err != nil {
		return nil, err
	}
	for _, doc := range docs {
		d.add(doc)
	}
	for id, s := range d.systems {
		for _, name := range s.Short {
			d.short[name] = id
		}
	}
	return d, nil
}

// add takes a file up. One that extends another's entity adds to it.
func (d *Database) add(doc *document) {
	for i := range doc.Devices {
		if name := plain(doc.Devices[i].Named); name != "" {
			d.devices[doc.Devices[i].ID] = name
		}
	}
	for i := range doc.Systems {
		s := &doc.Systems[i]
		if known := d.systems[s.ID]; known != nil {
			known.extend(s)
		} else {
			d.systems[s.ID] = s
		}
	}
}

// Names are the short names of all systems, in order.
func (d *Database) Names() []string { return slices.Sorted(maps.Keys(d.short)) }

// Find is the system of the short name, nil where there is none. Its identity will do too.
func (d *Database) Find(name string) (*System, error) {
	id, ok := d.short[name]
	if !ok {
		id = name
	}
	e := d.systems[id]
	if e == nil {
		return nil, nil
	}
	s := &System{ID: e.ID, Short: e.Short, Name: plain(e.Named), Devices: make(map[string]bool), firmware: make(map[[2]string]bool)}
	return s, d.collect(s, e, nil)
}

// collect adds to s what e and those before it have, the ancestors first so that what derives from them has the last word.
func (d *Database) collect(s *System, e *entry, path []string) error {
	if slices.Contains(path, e.ID) {
		return fmt.Errorf("libosinfo's database: %s derives from itself", e.ID)
	}
	path = append(path, e.ID)
	for _, id := range slices.Concat(links(e.Clones), links(e.Derives)) {
		if from := d.systems[id]; from != nil { // one that a user has masked lends nothing
			if err := d.collect(s, from, path); err != nil {
				return err
			}
		}
	}
	if e.Family != "" {
		s.Family = e.Family
	}
	for _, device := range e.Devices {
		name := d.devices[device.ID]
		if name == "" {
			name = device.ID
		}
		if device.Supported == "false" {
			delete(s.Devices, name)
		} else {
			s.Devices[name] = true
		}
	}
	for _, f := range e.Firmware {
		s.firmware[[2]string{f.Arch, f.Type}] = f.Supported != "false"
	}
	if !slices.ContainsFunc(e.Resources, func(r resources) bool { return r.Inherit == "true" }) {
		s.resources = e.Resources
	}
	return nil
}

// isFolder reports whether the path is a folder; a path that is not there is none.
func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
