package source

import (
	"errors"

	"libvirt.org/go/libvirtxml"

	"github.com/labctl/labctl/provider/libvirt/domainxml"
)

// Disk is one disk of a domain that is copied.
type Disk struct{ Path, Format string }

// UEFI reports whether a domain boots with UEFI.
func UEFI(x *libvirtxml.Domain) bool {
	return x.OS != nil && (x.OS.Firmware == "efi" || x.OS.Loader != nil && x.OS.Loader.Type == "pflash")
}

// Variables is the file in which a domain's UEFI keeps its variables, "" where it boots without. Where its definition does not say, it is
// in libvirt's own folder. There is none yet of a domain that never ran.
func Variables(x *libvirtxml.Domain) string {
	switch {
	case !UEFI(x):
		return ""
	case x.OS.NVRam != nil && x.OS.NVRam.NVRam != "":
		return x.OS.NVRam.NVRam
	}
	return "/var/lib/libvirt/qemu/nvram/" + x.Name + "_VARS.fd"
}

// Kernel is what a domain boots without its disk's help, which a copy needs too.
func Kernel(x *libvirtxml.Domain) domainxml.Image {
	if x.OS == nil {
		return domainxml.Image{}
	}
	return domainxml.Image{Kernel: x.OS.Kernel, Initrd: x.OS.Initrd, Cmdline: x.OS.Cmdline}
}

// Disks are the disks that a domain writes to.
func Disks(disks []libvirtxml.DomainDisk) ([]Disk, error) {
	var out []Disk
	for _, disk := range disks {
		if disk.Device != "disk" && disk.Device != "" || disk.ReadOnly != nil || disk.Source == nil {
			continue
		}
		from := Disk{Format: "raw"}
		switch {
		case disk.Source.File != nil:
			from.Path = disk.Source.File.File
		case disk.Source.Block != nil:
			from.Path = disk.Source.Block.Dev
		default:
			return nil, errors.New("one of its disks is neither a file nor a block device")
		}
		if disk.Driver != nil && disk.Driver.Type != "" {
			from.Format = disk.Driver.Type
		}
		out = append(out, from)
	}
	if len(out) == 0 {
		return nil, errors.New("it has no disk")
	}
	return out, nil
}
