package domainxml

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/labctl/labctl/schema"
)

func devices(s Spec, x *libvirtxml.Domain) error {
	d, list := s.Want, x.Devices
	list.Disks = disks(s)
	for _, nic := range d.Interfaces {
		card, err := NIC(nic)
		if err != nil {
			return fmt.Errorf("interface %s: %w", nic.Name, err)
		}
		list.Interfaces = append(list.Interfaces, card)
	}
	list.Controllers = controllers(d, list)
	if err := characters(s, list); err != nil {
		return err
	}
	graphics(d, list)
	list.MemBalloon = &libvirtxml.DomainMemBalloon{Model: "virtio", Address: onBoard(d, balloonSlot)}
	list.RNGs = []libvirtxml.DomainRNG{rng(d)}
	list.RNGs[0].Address = onBoard(d, rngSlot)
	if d.TPM != nil {
		list.TPMs = []libvirtxml.DomainTPM{tpm(d.TPM)}
	}
	if d.Watchdog != nil {
		list.Watchdogs = []libvirtxml.DomainWatchdog{{Model: d.Watchdog.Model, Action: d.Watchdog.Action}}
	}
	for _, fs := range d.Filesystems {
		list.Filesystems = append(list.Filesystems, filesystem(fs))
		if fs.Driver == "virtiofs" { // its daemon maps the guest's memory
			x.MemoryBacking = &libvirtxml.DomainMemoryBacking{
				MemorySource: &libvirtxml.DomainMemorySource{Type: "memfd"},
				MemoryAccess: &libvirtxml.DomainMemoryAccess{Mode: "shared"},
			}
		}
	}
	for _, dev := range d.HostDevs {
		hostdev, err := hostDevice(dev)
		if err != nil {
			return err
		}
		list.Hostdevs = append(list.Hostdevs, hostdev)
	}
	return nil
}

// NIC is one network card.
func NIC(n schema.NIC) (libvirtxml.DomainInterface, error) {
	card := libvirtxml.DomainInterface{
		MAC:   &libvirtxml.DomainInterfaceMAC{Address: strings.ToLower(n.MAC)},
		Model: &libvirtxml.DomainInterfaceModel{Type: n.Model},
		Alias: alias(Alias(n.Name)),
		Link:  &libvirtxml.DomainInterfaceLink{State: n.Link},
	}
	if n.Model == "" {
		card.Model.Type = "virtio"
	}
	if n.Link == "" {
		card.Link.State = "up"
	}
	if n.Network != "" {
		card.Source = &libvirtxml.DomainInterfaceSource{Network: &libvirtxml.DomainInterfaceSourceNetwork{Network: n.Network}}
	} else {
		card.Source = &libvirtxml.DomainInterfaceSource{Bridge: &libvirtxml.DomainInterfaceSourceBridge{Bridge: n.Bridge}}
	}
	if n.MTU != 0 {
		card.MTU = &libvirtxml.DomainInterfaceMTU{Size: uint(n.MTU)}
	}
	if n.PCI != "" {
		address, err := parsePCI(n.PCI)
		if err != nil {
			return card, err
		}
		card.Address = address
	}
	return card, nil
}

// Slots on a q35's board for what never changes while the machine runs. Cards there need no port of their own, and every
// port costs boot time.
const (
	serialSlot  = 0x1c
	balloonSlot = 0x1d
	rngSlot     = 0x1e
)

// onBoard is a slot on the board of a q35; on other machines libvirt chooses.
func onBoard(d *schema.Domain, slot uint) *libvirtxml.DomainAddress {
	if !isQ35(d) {
		return nil
	}
	return &libvirtxml.DomainAddress{PCI: &libvirtxml.DomainAddressPCI{
		Domain: index(0), Bus: index(0), Slot: &slot, Function: index(0),
	}}
}

// controllers are PCI Express ports for the cards and disks that there are and some spare ones, the bus of the serial
// channels, and no USB where nothing is on it.
func controllers(d *schema.Domain, list *libvirtxml.DomainDeviceList) []libvirtxml.DomainController {
	var out []libvirtxml.DomainController
	if isQ35(d) {
		out = append(out, libvirtxml.DomainController{Type: "pci", Index: index(0), Model: "pcie-root"})
		for i := range spareRootPorts + plugged(d, list) {
			out = append(out, libvirtxml.DomainController{Type: "pci", Index: index(i + 1), Model: "pcie-root-port"})
		}
	}
	if usesSCSI(list) {
		out = append(out, libvirtxml.DomainController{Type: "scsi", Index: index(0), Model: "virtio-scsi"})
	}
	out = append(out, libvirtxml.DomainController{Type: "virtio-serial", Index: index(0), Address: onBoard(d, serialSlot)})
	if usesUSB(d) {
		return append(out, libvirtxml.DomainController{Type: "usb", Index: index(0), Model: or(d.System.USB, "qemu-xhci")})
	}
	return append(out, libvirtxml.DomainController{Type: "usb", Index: index(0), Model: "none"})
}

// plugged is how many ports the domain's devices take.
func plugged(d *schema.Domain, list *libvirtxml.DomainDeviceList) int {
	n := len(list.Interfaces) + len(d.Graphics) + len(d.Filesystems) + len(d.HostDevs)
	for _, disk := range list.Disks {
		if disk.Target.Bus == "virtio" {
			n++
		}
	}
	if usesSCSI(list) {
		n++
	}
	if usesUSB(d) {
		n++
	}
	return n
}

func usesSCSI(list *libvirtxml.DomainDeviceList) bool {
	return slices.ContainsFunc(list.Disks, func(d libvirtxml.DomainDisk) bool { return d.Target.Bus == "scsi" })
}

func usesUSB(d *schema.Domain) bool {
	for _, disk := range d.Disks {
		if disk.Bus == "usb" {
			return true
		}
	}
	for _, dev := range d.HostDevs {
		if dev.USB != "" {
			return true
		}
	}
	return len(d.Graphics) > 0
}

// graphics are the declared screens; with none there is no video card either.
func graphics(d *schema.Domain, list *libvirtxml.DomainDeviceList) {
	if len(d.Graphics) == 0 {
		list.Videos = []libvirtxml.DomainVideo{{Model: libvirtxml.DomainVideoModel{Type: "none"}}}
		return
	}
	list.Videos = []libvirtxml.DomainVideo{{Model: libvirtxml.DomainVideoModel{Type: or(d.System.Video, "virtio"), Heads: 1, Primary: "yes"}}}
	list.Inputs = []libvirtxml.DomainInput{{Type: "tablet", Bus: "usb"}}
	for _, g := range d.Graphics {
		listen := g.Listen
		if listen == "" {
			listen = "127.0.0.1"
		}
		port, auto := g.Port, "no"
		if port == 0 {
			port, auto = -1, "yes"
		}
		listeners := []libvirtxml.DomainGraphicListener{{Address: &libvirtxml.DomainGraphicListenerAddress{Address: listen}}}
		screen := libvirtxml.DomainGraphic{}
		if g.Type == "spice" {
			screen.Spice = &libvirtxml.DomainGraphicSpice{Port: port, AutoPort: auto, Listeners: listeners}
		} else {
			screen.VNC = &libvirtxml.DomainGraphicVNC{Port: port, AutoPort: auto, Listeners: listeners}
		}
		list.Graphics = append(list.Graphics, screen)
	}
}

// rng is declared or not: without one a guest's first key or TLS handshake waits for entropy.
func rng(d *schema.Domain) libvirtxml.DomainRNG {
	device := "/dev/urandom"
	if d.RNG != nil && d.RNG.Source != "" {
		device = d.RNG.Source
	}
	return libvirtxml.DomainRNG{
		Model:   "virtio",
		Backend: &libvirtxml.DomainRNGBackend{Random: &libvirtxml.DomainRNGBackendRandom{Device: device}},
	}
}

func tpm(t *schema.TPM) libvirtxml.DomainTPM {
	model := t.Model
	if model == "" {
		model = "tpm-crb"
	}
	version := t.Version
	if version == "" {
		version = "2.0"
	}
	return libvirtxml.DomainTPM{
		Model:   model,
		Backend: &libvirtxml.DomainTPMBackend{Emulator: &libvirtxml.DomainTPMBackendEmulator{Version: version}},
	}
}

func filesystem(f schema.Filesystem) libvirtxml.DomainFilesystem {
	fs := libvirtxml.DomainFilesystem{
		AccessMode: "passthrough",
		Source:     &libvirtxml.DomainFilesystemSource{Mount: &libvirtxml.DomainFilesystemSourceMount{Dir: f.Source}},
		Target:     &libvirtxml.DomainFilesystemTarget{Dir: f.Target},
	}
	if f.Driver == "virtiofs" {
		fs.Driver = &libvirtxml.DomainFilesystemDriver{Type: "virtiofs"}
	} else {
		fs.AccessMode = "mapped"
	}
	if f.ReadOnly {
		fs.ReadOnly = &libvirtxml.DomainFilesystemReadOnly{}
	}
	return fs
}

func hostDevice(h schema.HostDev) (libvirtxml.DomainHostdev, error) {
	if h.PCI != "" {
		address, err := parsePCI(h.PCI)
		if err != nil {
			return libvirtxml.DomainHostdev{}, fmt.Errorf("hostdev: %w", err)
		}
		return libvirtxml.DomainHostdev{Managed: "yes", SubsysPCI: &libvirtxml.DomainHostdevSubsysPCI{
			Source: &libvirtxml.DomainHostdevSubsysPCISource{Address: address.PCI},
		}}, nil
	}
	vendor, product, ok := strings.Cut(h.USB, ":")
	for _, id := range []string{vendor, product} {
		if _, err := strconv.ParseUint(id, 16, 16); err != nil || !ok {
			return libvirtxml.DomainHostdev{}, fmt.Errorf("hostdev: usb %q: write VENDOR:PRODUCT in hexadecimal, as lsusb prints it", h.USB)
		}
	}
	return libvirtxml.DomainHostdev{SubsysUSB: &libvirtxml.DomainHostdevSubsysUSB{
		Source: &libvirtxml.DomainHostdevSubsysUSBSource{
			Vendor:  &libvirtxml.DomainHostDevProductVendorID{ID: "0x" + vendor},
			Product: &libvirtxml.DomainHostDevProductVendorID{ID: "0x" + product},
		},
	}}, nil
}
