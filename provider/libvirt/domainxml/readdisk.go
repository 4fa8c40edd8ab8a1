package domainxml

import (
	"path/filepath"
	"slices"

	"libvirt.org/go/libvirtxml"

	"github.com/labctl/labctl/schema"
)

// readDisks are the disks that were declared, as they are now, and those that nobody declared. The root disk and the seed
// disc come with the image: they are left out as long as they are what they should be.
func readDisks(list []libvirtxml.DomainDisk, meta Meta, was schema.Domain, b *schema.Domain) {
	b.Disks, b.CDROM = nil, ""
	for _, disk := range list {
		switch {
		case disk.Device == "cdrom" || disk.Device == "floppy":
			if disk.Alias != nil && disk.Alias.Name == DiskAlias(cdromName) || b.CDROM == "" && was.CDROM != "" {
				b.CDROM = sourcePath(disk.Source)
				continue
			}
			b.Disks = append(b.Disks, readDisk(disk, meta, was.Disks))
		case isNamed(disk, SeedName):
		case isNamed(disk, "root") && !declares(was.Disks, "root"):
			readRoot(disk, meta, was, b)
		case isNamed(disk, "root"):
			readRoot(disk, meta, was, b)
			b.Disks = append(b.Disks, readDisk(disk, meta, was.Disks))
		case was.Clone != nil && !declaresAlias(was.Disks, disk) && within(disk.Source, meta.Folder):
			// a further disk that came with the clone
		default:
			b.Disks = append(b.Disks, readDisk(disk, meta, was.Disks))
		}
	}
	b.Disks = inOrder(was.Disks, b.Disks, func(d schema.Disk) string { return d.Name })
}

// readRoot finds which image the root disk stands on: snapshots that somebody made may lie between.
func readRoot(disk libvirtxml.DomainDisk, meta Meta, was schema.Domain, b *schema.Domain) {
	if was.Image == nil {
		return
	}
	for back := disk.BackingStore; back != nil; back = back.BackingStore {
		if key := imageKey(sourcePath(back.Source)); key != "" && key != was.Image.Key {
			b.Image = &schema.ImageRef{Addr: was.Image.Addr, Key: key}
		}
	}
	if !declares(was.Disks, "root") && !standsOn(disk, RootPath(meta.Folder)) {
		b.Disks = append(b.Disks, readDisk(disk, meta, was.Disks))
	}
}

// standsOn reports whether a disk is the file path, or snapshots over it.
func standsOn(disk libvirtxml.DomainDisk, path string) bool {
	if sourcePath(disk.Source) == path {
		return true
	}
	for back := disk.BackingStore; back != nil; back = back.BackingStore {
		if sourcePath(back.Source) == path {
			return true
		}
	}
	return false
}

func readDisk(disk libvirtxml.DomainDisk, meta Meta, declared []schema.Disk) schema.Disk {
	d := schema.Disk{}
	if disk.Target != nil {
		d.Name, d.Bus = disk.Target.Dev, disk.Target.Bus
	}
	was := schema.Disk{}
	for _, w := range declared {
		if isNamed(disk, w.Name) {
			was = w
			d.Name, d.Size = w.Name, w.Size
		}
	}
	if was.Bus == "" && d.Bus == "virtio" {
		d.Bus = ""
	}
	if disk.Driver != nil && (was.Format != "" || disk.Driver.Type != "qcow2") {
		d.Format = disk.Driver.Type
	}
	expected := was.Source
	if expected == "" && was.Name != "" {
		expected = DiskPath(meta.Folder, was)
		if was.Name == "root" {
			expected = RootPath(meta.Folder)
		}
	}
	d.Source = sourcePath(disk.Source)
	if was.Name != "" && standsOn(disk, expected) {
		d.Source = was.Source
		if d.Source == "" && sourcePath(disk.Source) != expected { // a snapshot's format is not the disk's
			d.Format = was.Format
		}
	}
	d.ReadOnly, d.Shareable = disk.ReadOnly != nil, disk.Shareable != nil
	if disk.Boot != nil {
		d.BootOrder = int(disk.Boot.Order)
	}
	return d
}

func isNamed(disk libvirtxml.DomainDisk, name string) bool {
	return disk.Alias != nil && disk.Alias.Name == DiskAlias(name)
}

func declares(disks []schema.Disk, name string) bool {
	for _, d := range disks {
		if d.Name == name {
			return true
		}
	}
	return false
}

func declaresAlias(disks []schema.Disk, disk libvirtxml.DomainDisk) bool {
	for _, d := range disks {
		if isNamed(disk, d.Name) {
			return true
		}
	}
	return false
}

func within(source *libvirtxml.DomainDiskSource, folder string) bool {
	return folder != "" && filepath.Dir(sourcePath(source)) == folder
}

func sourcePath(source *libvirtxml.DomainDiskSource) string {
	switch {
	case source == nil:
		return ""
	case source.File != nil:
		return source.File.File
	case source.Block != nil:
		return source.Block.Dev
	case source.Volume != nil:
		return source.Volume.Pool + "/" + source.Volume.Volume
	}
	return ""
}

// HasDisk reports whether the domain has the disk that labctl gave the name.
func HasDisk(x *libvirtxml.Domain, name string) bool {
	return x.Devices != nil && slices.ContainsFunc(x.Devices.Disks, func(d libvirtxml.DomainDisk) bool { return isNamed(d, name) })
}
