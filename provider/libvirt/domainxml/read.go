package domainxml

import (
	"path/filepath"
	"slices"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/labctl/labctl/schema"
)

// Read is what a domain's XML says in the lab's terms. What its XML has no place for is taken from meta's declaration,
// and so is what was left to libvirt and still is. Running and Autostart are not in the XML: the caller sets them.
func Read(x *libvirtxml.Domain, meta Meta) *schema.Domain {
	var b schema.Domain
	if meta.Declared != nil {
		b = *meta.Declared
	}
	was := b
	b.Name, b.Description, b.Virt = x.Name, x.Description, x.Type
	readMemory(x, was, &b)
	readCPUs(x, was, &b)
	if x.OS != nil {
		readSystem(x, meta, was, &b)
	}
	b.CPU = readCPU(x, was)
	if x.Devices == nil {
		x.Devices = &libvirtxml.DomainDeviceList{}
	}
	readDisks(x.Devices.Disks, meta, was, &b)
	b.Interfaces = nil
	for _, card := range x.Devices.Interfaces {
		b.Interfaces = append(b.Interfaces, ReadNIC(card, was.Interfaces))
	}
	b.Interfaces = inOrder(was.Interfaces, b.Interfaces, func(n schema.NIC) string { return n.Name })
	readCharacters(x.Devices, was, &b)
	readExtras(x, was, &b)
	readOS(x, was, &b)
	return &b
}

func readMemory(x *libvirtxml.Domain, was schema.Domain, b *schema.Domain) {
	var most, now uint64
	if x.Memory != nil {
		most = bytes(uint64(x.Memory.Value), x.Memory.Unit)
		now = most
	}
	if x.CurrentMemory != nil {
		now = bytes(uint64(x.CurrentMemory.Value), x.CurrentMemory.Unit)
	}
	b.Memory = sameKiB(was.Memory, now)
	b.MaxMemory = 0
	if was.MaxMemory != 0 || most != now {
		b.MaxMemory = sameKiB(was.MaxMemory, most)
	}
}

// sameKiB is the declared size where it comes to the same number of KiB, which is all that libvirt keeps.
func sameKiB(declared, actual uint64) uint64 {
	if kib(declared) == kib(actual) {
		return declared
	}
	return actual
}

// bytes is a size with libvirt's unit, KiB where none is given.
func bytes(value uint64, unit string) uint64 {
	switch strings.ToLower(unit) {
	case "b", "bytes", "byte":
		return value
	case "mib", "m":
		return value << 20
	case "gib", "g":
		return value << 30
	}
	return value << 10
}

func readCPUs(x *libvirtxml.Domain, was schema.Domain, b *schema.Domain) {
	b.VCPUs, b.MaxVCPUs = 1, 0
	if x.VCPU == nil {
		return
	}
	most := int(x.VCPU.Value)
	b.VCPUs = most
	if x.VCPU.Current != 0 {
		b.VCPUs = int(x.VCPU.Current)
	}
	if was.MaxVCPUs != 0 || most != b.VCPUs {
		b.MaxVCPUs = most
	}
}

func readSystem(x *libvirtxml.Domain, meta Meta, was schema.Domain, b *schema.Domain) {
	if kind := x.OS.Type; kind != nil {
		if !sameMachine(was.Machine, kind.Machine) {
			b.Machine = kind.Machine
		}
		if was.Arch != kind.Arch && (was.Arch != "" || kind.Arch != DefaultArch) {
			b.Arch = kind.Arch
		}
	}
	uefi := isUEFI(x.OS)
	if uefi != (was.Firmware == "uefi") {
		b.Firmware = "bios"
		if uefi {
			b.Firmware = "uefi"
		}
	}
	readKernel(x.OS, was, b)
	if ordersDisks(&was) {
		return
	}
	var order []string
	for _, device := range x.OS.BootDevices {
		order = append(order, device.Dev)
	}
	expect := bootOrder(&was)
	if meta.Declared == nil {
		expect = []string{"hd"}
	}
	if !slices.Equal(order, expect) {
		b.Boot.Order = order
	}
}

// readKernel is how the machine boots without a boot loader. Kernel, initrd and command line are the image's own, or those of
// the machine that it is a copy of, where none is declared.
func readKernel(os *libvirtxml.DomainOS, was schema.Domain, b *schema.Domain) {
	key := imageKey(os.Kernel)
	if was.Boot.Kernel != "" || os.Kernel != "" && was.Clone == nil && (was.Image == nil || key == "") {
		b.Boot.Kernel, b.Boot.Initrd = os.Kernel, os.Initrd
	}
	if was.Boot.Cmdline != "" || b.Boot.Kernel != "" {
		b.Boot.Cmdline = os.Cmdline
	}
	if was.Image != nil && was.Boot.Kernel == "" && key != "" && key != was.Image.Key {
		b.Image = &schema.ImageRef{Addr: was.Image.Addr, Key: key}
	}
}

// sameMachine reports whether libvirt's canonical machine type is the declared one: q35 becomes pc-q35-7.2 on definition.
func sameMachine(declared, actual string) bool {
	if declared == "" {
		declared = DefaultMachine
	}
	switch declared {
	case "q35":
		return actual == "q35" || strings.HasPrefix(actual, "pc-q35-")
	case "pc":
		return actual == "pc" || strings.HasPrefix(actual, "pc-i440fx-")
	}
	return actual == declared || strings.HasPrefix(actual, declared+"-")
}

func readCPU(x *libvirtxml.Domain, was schema.Domain) string {
	actual := ""
	if x.CPU != nil {
		actual = x.CPU.Mode
		if actual == "custom" || actual == "" {
			actual = ""
			if x.CPU.Model != nil {
				actual = x.CPU.Model.Value
			}
		}
	}
	if actual == CPU(was.CPU, x.Type) {
		return was.CPU
	}
	return actual
}

// imageKey is the folder in the pool that a path of an image's file lies in, or "".
func imageKey(path string) string {
	folder := filepath.Dir(path)
	if filepath.Base(filepath.Dir(folder)) != "images" {
		return ""
	}
	return filepath.Base(folder)
}

// ReadNIC is one network card. Its name is found by the alias that labctl gave it, and otherwise by its MAC; a card that
// nobody declared is named by its MAC, which stays.
func ReadNIC(card libvirtxml.DomainInterface, was []schema.NIC) schema.NIC {
	n := schema.NIC{Link: "up", Model: "rtl8139"}
	if card.MAC != nil {
		n.MAC = strings.ToLower(card.MAC.Address)
	}
	n.Name = n.MAC
	declared, found := schema.NIC{}, false
	for _, w := range was {
		if card.Alias != nil && card.Alias.Name == Alias(w.Name) {
			declared, found = w, true
			break
		}
		if strings.EqualFold(w.MAC, n.MAC) {
			declared, found = w, true
		}
	}
	if found {
		n.Name = declared.Name
		if strings.EqualFold(declared.MAC, n.MAC) {
			n.MAC = declared.MAC
		}
	} else if card.Alias != nil {
		if name, ok := strings.CutPrefix(card.Alias.Name, "ua-"); ok {
			n.Name = name
		}
	}
	if card.Model != nil {
		n.Model = card.Model.Type
	}
	if card.Link != nil {
		n.Link = card.Link.State
	}
	if source := card.Source; source != nil {
		switch {
		case source.Network != nil:
			n.Network = source.Network.Network
		case source.Bridge != nil:
			n.Bridge = source.Bridge.Bridge
		}
	}
	if card.MTU != nil {
		n.MTU = int(card.MTU.Size)
	}
	if declared.PCI != "" {
		n.PCI = declared.PCI
		if actual := formatPCI(card.Address); actual != canonicalPCI(declared.PCI) {
			n.PCI = actual
		}
	}
	return n
}

func canonicalPCI(text string) string {
	address, err := parsePCI(text)
	if err != nil {
		return text
	}
	return formatPCI(address)
}

// inOrder puts elements into the order in which they were declared, what was not declared at the end.
func inOrder[T any](declared, actual []T, name func(T) string) []T {
	var out []T
	taken := make([]bool, len(actual))
	for _, d := range declared {
		for i, a := range actual {
			if !taken[i] && name(a) == name(d) {
				taken[i] = true
				out = append(out, a)
				break
			}
		}
	}
	for i, a := range actual {
		if !taken[i] {
			out = append(out, a)
		}
	}
	return out
}
