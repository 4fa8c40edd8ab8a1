package snapshot

import (
	"context"
	"encoding/xml"
	"path/filepath"
	"strings"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider/libvirt/domainxml"
	"github.com/labctl/labctl/provider/libvirt/source"
)

// What is kept of a machine in files, in a folder of its own in the machine's folder.
const (
	memoryFile     = "memory"     // as libvirt saves machines; only where it was active
	definitionFile = "domain.xml" // the stored definition
	diskPrefix     = "disk-"      // and the name by which the machine knows the disk
	firmwareFile   = "nvram"
)

// filesOf is the folder in which a snapshot is kept of a machine whose state QEMU cannot keep in its disks: copies of disks and of
// UEFI's variables, and its memory. libvirt has a record of it, so that it is listed and removed as any other.
func (m Member) filesOf(name string) string { return filepath.Join(m.folder, "snapshots", name) }

func (m Member) dropFiles(ctx context.Context, name string) error {
	if err := host.RemoveTree(ctx, m.conn.Host, m.filesOf(name)); err != nil {
		return err
	}
	_ = m.conn.Host.Remove(ctx, filepath.Join(m.folder, "snapshots")) // it goes with the last one
	return nil
}

// copyFile copies a file, holes and all, and puts it into place whole. It stays the owner's whose it was. There is none yet of the
// firmware's variables of a machine that never ran. Arguments: from, to.
const copyFile = `set -e
[ -e "$1" ] || exit 0
mkdir -p "${2%/*}"
cp --reflink=auto --sparse=always --preserve=mode,ownership "$1" "$2.new"
mv "$2.new" "$2"`

func (m Member) copy(ctx context.Context, from, to string) error {
	_, err := m.conn.Host.Run(ctx, host.Cmd("sh", "-c", copyFile, "sh", from, to))
	return err
}

// external is what libvirt is told of a snapshot that it keeps no disk of.
type external struct {
	XMLName     xml.Name `xml:"domainsnapshot"`
	Name        string   `xml:"name"`
	Description string   `xml:"description"`
	State       string   `xml:"state,omitempty"` // this and Taken only of one that is recorded alone
	Taken       int64    `xml:"creationTime,omitempty"`
	Memory      memory   `xml:"memory"`
	Disks       []unkept `xml:"disks>disk"`
}

type memory struct {
	Snapshot string `xml:"snapshot,attr"`
	File     string `xml:"file,attr,omitempty"`
}

type unkept struct {
	Name     string `xml:"name,attr"`
	Snapshot string `xml:"snapshot,attr"`
}

// keepFiles keeps the machine, which stands still: QEMU has written out all that it held back when it was paused. The record comes last,
// so that what is listed is whole.
func (m machine) keepFiles(ctx context.Context, name string, k mark) error {
	dir := m.filesOf(name)
	if err := m.dropFiles(ctx, name); err != nil { // left by a save that was killed
		return err
	}
	record := external{Name: name, Description: k.String(), Memory: memory{Snapshot: "no"}}
	for _, disk := range m.written() {
		if err := m.copy(ctx, disk.Source.File.File, filepath.Join(dir, diskPrefix+disk.Target.Dev)); err != nil {
			return err
		}
	}
	for _, disk := range m.xml.Devices.Disks {
		record.Disks = append(record.Disks, unkept{disk.Target.Dev, "no"})
	}
	if path := source.Variables(m.xml); path != "" {
		if err := m.copy(ctx, path, filepath.Join(dir, firmwareFile)); err != nil {
			return err
		}
	}
	return m.domain(func(dom *libvirt.Domain) error {
		stored, err := dom.GetXMLDesc(libvirt.DOMAIN_XML_INACTIVE | libvirt.DOMAIN_XML_SECURE)
		if err != nil {
			return err
		}
		if err := m.conn.Host.WriteFile(ctx, filepath.Join(dir, definitionFile), []byte(stored), 0o600); err != nil {
			return err
		}
		var flags libvirt.DomainSnapshotCreateFlags
		if m.active() {
			record.Memory = memory{Snapshot: "external", File: filepath.Join(dir, memoryFile)}
		} else { // there is nothing to take: only the record is made
			record.State, record.Taken, flags = "disk-snapshot", k.taken.Unix(), libvirt.DOMAIN_SNAPSHOT_CREATE_REDEFINE
		}
		text, err := xml.Marshal(record)
		if err != nil {
			return err
		}
		whole := string(text)
		if !m.active() {
			const end = "</domainsnapshot>"
			whole = strings.TrimSuffix(whole, end) + stored + end
		}
		snap, err := dom.CreateSnapshotXML(whole, flags)
		if err != nil {
			return err
		}
		return snap.Free()
	})
}

// hasMemory reports whether the machine was active when the snapshot was taken.
func hasMemory(dom *libvirt.Domain, name string) (bool, error) {
	snap, err := dom.SnapshotLookupByName(name, 0)
	if err != nil {
		return false, err
	}
	defer snap.Free() //nolint:errcheck // drops the reference
	text, err := snap.GetXMLDesc(0)
	if err != nil {
		return false, err
	}
	var record struct {
		Memory memory `xml:"memory"`
	}
	err = xml.Unmarshal([]byte(text), &record)
	return record.Memory.Snapshot == "external", err
}

// backFiles puts the machine back, paused where it ran.
func (m machine) backFiles(ctx context.Context, name string) error {
	dir := m.filesOf(name)
	stored, err := m.conn.Host.ReadFile(ctx, filepath.Join(dir, definitionFile))
	if err != nil {
		return err
	}
	var now domainxml.Meta
	wasActive := false
	err = m.domain(func(dom *libvirt.Domain) error {
		if now, err = metaOf(dom); err != nil {
			return err
		}
		if wasActive, err = hasMemory(dom, name); err != nil {
			return err
		}
		if active, err := dom.IsActive(); err != nil || !active {
			return err
		}
		return dom.Destroy()
	})
	if err != nil {
		return err
	}
	var then libvirtxml.Domain
	if err := then.Unmarshal(string(stored)); err != nil {
		return err
	}
	before := machine{xml: &then}
	for _, disk := range before.written() {
		if err := m.copy(ctx, filepath.Join(dir, diskPrefix+disk.Target.Dev), disk.Source.File.File); err != nil {
			return err
		}
	}
	if path := source.Variables(&then); path != "" {
		if err := m.copy(ctx, filepath.Join(dir, firmwareFile), path); err != nil {
			return err
		}
	}
	err = m.conn.Use(func(link *libvirt.Connect) error {
		dom, err := link.DomainDefineXML(string(stored))
		if err != nil || !wasActive {
			return err
		}
		defer dom.Free() //nolint:errcheck // drops the reference
		return link.DomainRestoreFlags(filepath.Join(dir, memoryFile), "", libvirt.DOMAIN_SAVE_PAUSED)
	})
	if err != nil {
		return err
	}
	return m.domain(func(dom *libvirt.Domain) error { return keepAddress(dom, now) })
}
