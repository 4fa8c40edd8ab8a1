package domainxml

import (
	"fmt"
	"path/filepath"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// AgentChannel is the name of the port that qemu-guest-agent answers on.
const AgentChannel = "org.qemu.guest_agent.0"

// What a machine is where nothing is declared.
const (
	DefaultMachine = "q35"
	DefaultArch    = "x86_64"
	// spareRootPorts are PCI Express slots kept free, so that cards and disks can be added to a running q35 machine.
	spareRootPorts = 4
)

// Spec is everything that a domain's XML is made from.
type Spec struct {
	Mark   provider.Mark
	UUID   string
	Want   *schema.Domain
	Virt   string // "kvm" or "qemu": what Want.Virt comes to on this host
	Folder string // absolute path of the folder for the domain's own files
	Image  Image
	Seeded bool // whether a seed disc is attached
	// Cloned are the disks that a clone brings with it, in order; the first is its root disk.
	Cloned []string
}

// Image is where the parts of a domain's image are; each is "" where the image has none.
type Image struct {
	Kernel  string
	Initrd  string
	Disk    string
	Cmdline string // kernel's command line where the domain declares none
}

// SeedPath is where a domain's seed disc is.
func SeedPath(folder string) string { return filepath.Join(folder, "seed.iso") }

// LogPath is where what a domain says on its first serial port is kept.
func LogPath(folder string) string { return filepath.Join(folder, "console.log") }

// DiskPath is where a disk that labctl makes is.
func DiskPath(folder string, d schema.Disk) string {
	return filepath.Join(folder, fileName(d.Name)+"."+Format(d))
}

// RootPath is where the disk that stands on the image's is.
func RootPath(folder string) string { return filepath.Join(folder, "root.qcow2") }

// NVRAMPath is where a domain's UEFI keeps its variables.
func NVRAMPath(folder string) string { return filepath.Join(folder, "nvram.fd") }

// Format is the format of a disk, qcow2 unless declared.
func Format(d schema.Disk) string {
	if d.Format == "" {
		return "qcow2"
	}
	return d.Format
}

// Build is the domain's XML.
func Build(s Spec) (*libvirtxml.Domain, error) {
	d := s.Want
	meta, err := Meta{Mark: s.Mark, Folder: s.Folder, Declared: d}.XML()
	if err != nil {
		return nil, err
	}
	meta += OSMetadata(d.OSID)
	x := &libvirtxml.Domain{
		Type: s.Virt, Name: d.Name, UUID: s.UUID, Description: d.Description,
		Metadata:      &libvirtxml.DomainMetadata{XML: meta},
		Memory:        &libvirtxml.DomainMemory{Value: kib(max(d.Memory, d.MaxMemory)), Unit: "KiB"},
		CurrentMemory: &libvirtxml.DomainCurrentMemory{Value: kib(d.Memory), Unit: "KiB"},
		VCPU:          vcpus(d),
		OS:            system(s),
		Features: &libvirtxml.DomainFeatureList{
			ACPI: &libvirtxml.DomainFeature{}, APIC: &libvirtxml.DomainFeatureAPIC{},
		},
		CPU:   cpu(s),
		Clock: clock(s),
		// A machine that powers itself off stays off; one that crashes stays to be looked at by the next plan.
		OnPoweroff: "destroy", OnReboot: "restart", OnCrash: "destroy",
		Devices: &libvirtxml.DomainDeviceList{},
	}
	if isX86PC(d) {
		x.Features.VMPort = &libvirtxml.DomainFeatureState{State: "off"}
	}
	if hyperV(s) {
		x.Features.HyperV = hyperVFeatures()
	}
	if d.Firmware == "uefi" && isQ35(d) {
		x.Features.SMM = &libvirtxml.DomainFeatureSMM{State: "on"}
	}
	if err := devices(s, x); err != nil {
		return nil, err
	}
	if d.XML != "" {
		if err := mergeFragment(x, d.XML); err != nil {
			return nil, err
		}
	}
	return x, nil
}

func kib(bytes uint64) uint { return uint((bytes + 1023) / 1024) }

func vcpus(d *schema.Domain) *libvirtxml.DomainVCPU {
	v := &libvirtxml.DomainVCPU{Placement: "static", Value: uint(max(d.VCPUs, d.MaxVCPUs))}
	if d.MaxVCPUs > d.VCPUs {
		v.Current = uint(d.VCPUs)
	}
	return v
}

func isQ35(d *schema.Domain) bool {
	return d.Machine == "" || d.Machine == "q35" || strings.HasPrefix(d.Machine, "pc-q35-")
}

func isX86PC(d *schema.Domain) bool {
	return isQ35(d) || d.Machine == "pc" || strings.HasPrefix(d.Machine, "pc-i440fx-")
}

func system(s Spec) *libvirtxml.DomainOS {
	d := s.Want
	os := &libvirtxml.DomainOS{Type: &libvirtxml.DomainOSType{Type: "hvm", Arch: d.Arch, Machine: d.Machine}}
	if d.Arch == "" {
		os.Type.Arch = DefaultArch
	}
	if d.Machine == "" {
		os.Type.Machine = DefaultMachine
	}
	if d.Firmware == "uefi" {
		os.Firmware = "efi"
		if s.Folder != "" {
			os.NVRam = &libvirtxml.DomainNVRam{NVRam: NVRAMPath(s.Folder)}
		}
	}
	os.Kernel, os.Initrd, os.Cmdline = d.Boot.Kernel, d.Boot.Initrd, d.Boot.Cmdline
	if os.Kernel == "" && s.Image.Kernel != "" {
		os.Kernel = s.Image.Kernel
		if os.Initrd == "" {
			os.Initrd = s.Image.Initrd
		}
		if os.Cmdline == "" {
			os.Cmdline = s.Image.Cmdline
		}
	}
	if ordersDisks(d) {
		return os
	}
	for _, device := range bootOrder(d) {
		os.BootDevices = append(os.BootDevices, libvirtxml.DomainBootDevice{Dev: device})
	}
	return os
}

// bootOrder is the declared order. An installer's disc comes after the disk: a blank disk is passed over, and once the
// system is installed the installer is not run again.
func bootOrder(d *schema.Domain) []string {
	switch {
	case len(d.Boot.Order) > 0:
		return d.Boot.Order
	case d.CDROM != "":
		return []string{"hd", "cdrom"}
	}
	return []string{"hd"}
}

// ordersDisks reports whether a disk has a place of its own in the boot order; libvirt then takes no order by kind.
func ordersDisks(d *schema.Domain) bool {
	for _, disk := range d.Disks {
		if disk.BootOrder != 0 {
			return true
		}
	}
	return false
}

// cpu is the declared CPU, with the sockets that the operating system wants.
func cpu(s Spec) *libvirtxml.DomainCPU {
	out := cpuModel(s)
	if n := max(s.Want.VCPUs, s.Want.MaxVCPUs); s.Want.System.Cores && n > 1 {
		out.Topology = &libvirtxml.DomainCPUTopology{Sockets: 1, Dies: 1, Cores: n, Threads: 1}
	}
	return out
}

// cpuModel is the declared CPU, or the host's own under KVM and everything that QEMU can do without it.
func cpuModel(s Spec) *libvirtxml.DomainCPU {
	switch name := CPU(s.Want.CPU, s.Virt); name {
	case "host-passthrough", "host-model", "maximum":
		return &libvirtxml.DomainCPU{Mode: name}
	default:
		return &libvirtxml.DomainCPU{
			Mode: "custom", Match: "exact", Check: "none",
			Model: &libvirtxml.DomainCPUModel{Value: name, Fallback: "forbid"},
		}
	}
}

// CPU is the CPU that a declaration comes to.
func CPU(declared, virt string) string {
	switch {
	case declared != "":
		return declared
	case virt == "kvm":
		return "host-passthrough"
	}
	return "maximum"
}

// fileName is a name that is safe in a path and in QEMU's options.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '_'
	}, name)
}

// Alias is the name by which libvirt finds a device again, whatever else of it changes: ua- marks it as given by the
// user. libvirt allows letters, digits, - and _ in it.
func Alias(name string) string {
	return "ua-" + strings.ReplaceAll(fileName(name), ".", "_")
}

// DiskAlias is the alias of a disk.
func DiskAlias(name string) string { return Alias("disk-" + name) }

const (
	// SeedName is the name of the seed disc among a machine's devices.
	SeedName  = "labctl-seed"
	cdromName = "labctl-cdrom"
)

func alias(name string) *libvirtxml.DomainAlias { return &libvirtxml.DomainAlias{Name: name} }

func index(n int) *uint {
	u := uint(n)
	return &u
}

func parsePCI(text string) (*libvirtxml.DomainAddress, error) {
	var domain, bus, slot, function uint
	if _, err := fmt.Sscanf(text, "%x:%x:%x.%x", &domain, &bus, &slot, &function); err != nil {
		return nil, fmt.Errorf("pci address %q: write it as 0000:00:03.0", text)
	}
	return &libvirtxml.DomainAddress{PCI: &libvirtxml.DomainAddressPCI{
		Domain: &domain, Bus: &bus, Slot: &slot, Function: &function,
	}}, nil
}

func formatPCI(a *libvirtxml.DomainAddress) string {
	if a == nil || a.PCI == nil {
		return ""
	}
	value := func(p *uint) uint {
		if p == nil {
			return 0
		}
		return *p
	}
	return fmt.Sprintf("%04x:%02x:%02x.%x", value(a.PCI.Domain), value(a.PCI.Bus), value(a.PCI.Slot), value(a.PCI.Function))
}

// Hotplug reports whether the machine type takes PCI cards while it runs.
func Hotplug(machine string) bool {
	return sameMachine("q35", machine) || sameMachine("pc", machine)
}
