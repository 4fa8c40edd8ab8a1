package osinfo

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"github.com/labctl/labctl/schema"
)

// Catalogue is the database as labs ask it: it is read when the first lab does.
type Catalogue struct {
	open func() (*Database, error)
}

// NewCatalogue is the catalogue of the database at the places.
func NewCatalogue(places ...string) *Catalogue {
	return &Catalogue{sync.OnceValues(func() (*Database, error) { return Open(places...) })}
}

// Names are the short names of all systems, in order.
func (c *Catalogue) Names() ([]string, error) {
	d, err := c.open()
	if err != nil {
		return nil, missing(err)
	}
	return d.Names(), nil
}

// Defaults is what a system wants of a machine, nil where there is no such system. Without a database it is fs.ErrNotExist.
func (c *Catalogue) Defaults(name, arch, machine string) (*schema.OSDefaults, error) {
	d, err := c.open()
	if err != nil {
		return nil, missing(err)
	}
	s, err := d.Find(name)
	if s == nil || err != nil {
		return nil, err
	}
	defaults := s.Defaults(arch, machine)
	return &defaults, nil
}

// missing makes the absence of the database known to those who do not know this package.
func missing(err error) error {
	if errors.Is(err, ErrAbsent) {
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return err
}

// Defaults is what the system wants of a machine. Machine is its type, "" for the one that suits the system best.
func (s *System) Defaults(arch, machine string) schema.OSDefaults {
	x86 := arch == "x86_64" || arch == "i686"
	d := schema.OSDefaults{
		ID: s.ID, Name: s.Name, Machine: machine,
		Memory: s.Needs(arch, "ram"), VCPUs: int(s.Needs(arch, "n-cpus")), Storage: s.Needs(arch, "storage"),
	}
	if machine == "" && x86 {
		d.Machine = "pc"
		if s.Drives("qemu-x86-q35") {
			d.Machine = "q35"
		}
	}
	// What is in a PCI Express slot speaks virtio 1.0 alone: a driver for what was before it sees nothing there.
	express := !strings.HasPrefix(d.Machine, "pc-i440fx-") && d.Machine != "pc"
	d.Disk, d.NIC = s.disk(express), s.nic(express)
	if bios, known := s.Starts(arch, "bios"); known && !bios {
		d.Firmware = "uefi"
		d.TPM = s.windows() // those of its versions that refuse BIOS refuse to be without a TPM too
	}
	d.System = s.system(express)
	return d
}

func (s *System) disk(express bool) string {
	switch {
	case s.Drives("virtio1.0-block") || !express && s.Drives("virtio-block"):
		return "virtio"
	case s.Drives("virtio1.0-scsi") || !express && s.Drives("virtio-scsi"):
		return "scsi"
	case express:
		return "sata"
	}
	return "ide"
}

func (s *System) nic(express bool) string {
	if s.Drives("virtio1.0-net") || !express && s.Drives("virtio-net") {
		return "virtio"
	}
	models := []string{"e1000", "rtl8139", "ne2k_pci", "pcnet"}
	if express {
		models = append([]string{"e1000e"}, models...)
	}
	for _, model := range models {
		if s.Drives(model) {
			return model
		}
	}
	if express {
		return "e1000e"
	}
	return "rtl8139" // nearly everything has a driver for it
}

func (s *System) windows() bool {
	return s.Family == "winnt" || s.Family == "win9x" || s.Family == "win16"
}

// system is what no argument of the language says.
func (s *System) system(express bool) schema.System {
	out := schema.System{Clock: "utc", Video: "vga", USB: "piix3-uhci"}
	if s.windows() || s.Family == "msdos" {
		out.Clock = "localtime"
	}
	if s.Family == "winnt" {
		out.Cores = true // versions for desktops use few sockets, and as many cores as there are
		out.HyperV = s.Drives("qemu-x86-q35")
	}
	if s.Drives("virtio1.0-gpu") {
		out.Video = "virtio"
	}
	switch {
	case s.Drives("qemu-xhci"):
		out.USB = "qemu-xhci"
	case express:
		out.USB = "ich9-ehci1"
	}
	return out
}
