package domainxml

import (
	"fmt"
	"slices"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/labctl/labctl/schema"
)

// SeedDev is the seed disc's name in the guest: the last of the single letters, so that it never stands between disks.
const SeedDev = "vdz"

// RootDisk is the declaration of a domain's root disk: the one named root, or nothing declared.
func RootDisk(d *schema.Domain) schema.Disk {
	for _, disk := range d.Disks {
		if disk.Name == "root" {
			return disk
		}
	}
	return schema.Disk{Name: "root"}
}

// HasRoot reports whether the domain has a root disk that labctl makes: on the image's disk, or copied from a clone.
func (s Spec) HasRoot() bool { return s.Image.Disk != "" || len(s.Cloned) > 0 }

// disks are the root disk, the declared ones, the installer's disc and the seed disc.
func disks(s Spec) []libvirtxml.DomainDisk {
	var out []libvirtxml.DomainDisk
	names := targets{}
	if s.HasRoot() {
		root := RootDisk(s.Want)
		disk := fileDisk(root, RootPath(s.Folder), "qcow2", names.next(root.Bus))
		if s.Image.Disk != "" {
			disk.BackingStore = &libvirtxml.DomainDiskBackingStore{
				Format:       &libvirtxml.DomainDiskFormat{Type: "qcow2"},
				Source:       &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: s.Image.Disk}},
				BackingStore: &libvirtxml.DomainDiskBackingStore{},
			}
		}
		out = append(out, disk)
		for i, path := range s.Cloned {
			if i > 0 {
				more := schema.Disk{Name: fmt.Sprintf("clone%d", i)}
				out = append(out, fileDisk(more, path, "qcow2", names.next("")))
			}
		}
	}
	for _, d := range s.Want.Disks {
		if d.Name == "root" && s.HasRoot() {
			continue
		}
		out = append(out, Disk(s.Folder, d, names.next(d.Bus)))
	}
	if s.Want.CDROM != "" {
		bus := discBus(s.Want)
		disc := fileDisk(schema.Disk{Name: cdromName, Bus: bus, ReadOnly: true}, s.Want.CDROM, "raw", names.next(bus))
		disc.Device = "cdrom"
		out = append(out, disc)
	}
	if s.Seeded {
		out = append(out, fileDisk(schema.Disk{Name: SeedName, ReadOnly: true}, SeedPath(s.Folder), "raw", SeedDev))
	}
	return out
}

// discBus is what the installer's disc is on: where a system has its disks on IDE, it knows nothing later.
func discBus(d *schema.Domain) string {
	if slices.ContainsFunc(d.Disks, func(disk schema.Disk) bool { return disk.Bus == "ide" }) {
		return "ide"
	}
	return "sata"
}

// Disk is one declared disk, seen in the guest as dev.
func Disk(folder string, d schema.Disk, dev string) libvirtxml.DomainDisk {
	path := d.Source
	if path == "" {
		path = DiskPath(folder, d)
	}
	return fileDisk(d, path, Format(d), dev)
}

func fileDisk(d schema.Disk, path, format, dev string) libvirtxml.DomainDisk {
	bus := d.Bus
	if bus == "" {
		bus = "virtio"
	}
	source := &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: path}}
	if strings.HasPrefix(path, "/dev/") {
		source = &libvirtxml.DomainDiskSource{Block: &libvirtxml.DomainDiskSourceBlock{Dev: path}}
	}
	disk := libvirtxml.DomainDisk{
		Device: "disk",
		Driver: &libvirtxml.DomainDiskDriver{Name: "qemu", Type: format},
		Source: source,
		Target: &libvirtxml.DomainDiskTarget{Dev: dev, Bus: bus},
		Alias:  alias(DiskAlias(d.Name)),
	}
	if d.ReadOnly {
		disk.ReadOnly = &libvirtxml.DomainDiskReadOnly{}
	} else if format == "qcow2" {
		disk.Driver.Discard = "unmap" // what the guest frees, the host gets back
	}
	if d.Shareable {
		disk.Shareable = &libvirtxml.DomainDiskShareable{}
	}
	if d.BootOrder != 0 {
		disk.Boot = &libvirtxml.DomainDeviceBoot{Order: uint(d.BootOrder)}
	}
	if len(d.Name) <= 20 { // virtio's limit; it is /dev/disk/by-id/virtio-NAME in the guest
		disk.Serial = d.Name
	}
	return disk
}

// targets gives out device names: vda, vdb, … on virtio, sda, … on SCSI, SATA and USB, hda, … on IDE.
type targets map[string]int

func (t targets) next(bus string) string {
	prefix := "vd"
	switch bus {
	case "scsi", "sata", "usb":
		prefix = "sd"
	case "ide":
		prefix = "hd"
	}
	n := t[prefix]
	t[prefix]++
	if prefix == "vd" && n >= 25 {
		n++ // vdz is the seed disc
	}
	return prefix + letters(n)
}

// letters counts as the kernel names disks: a … z, aa, ab, …
func letters(n int) string {
	text := ""
	for n++; n > 0; n = (n - 1) / 26 {
		text = string(rune('a'+(n-1)%26)) + text
	}
	return text
}
