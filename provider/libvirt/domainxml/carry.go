package domainxml

import (
	"libvirt.org/go/libvirtxml"
)

// Carry keeps in the new definition what libvirt chose for the old one and the lab does not say: addresses of devices
// that stay, controllers, and metadata of others. So a device that is changed or taken away never moves another one to a
// slot where the guest would see it as new.
func Carry(from, to *libvirtxml.Domain) error {
	if from.Metadata != nil && to.Metadata != nil {
		meta, others, _, err := ParseMeta(from.Metadata.XML)
		ours := meta.Declared != nil && meta.Declared.OSID != "" || osID(to.Metadata.XML) != ""
		if err == nil && ours {
			others, err = withoutOS(others)
		}
		if err != nil {
			return err
		}
		to.Metadata.XML += others
	}
	if from.OS != nil && to.OS.NVRam != nil && isUEFI(from.OS) {
		to.OS.NVRam = from.OS.NVRam // where its variables are; nil is libvirt's own place
	}
	if from.OS == nil || from.OS.Type == nil || !sameMachine(to.OS.Type.Machine, from.OS.Type.Machine) {
		return nil
	}
	// The canonical machine type stays too: an upgraded QEMU must not change a defined machine.
	to.OS.Type.Machine = from.OS.Type.Machine
	if from.Devices == nil {
		return nil
	}
	old := addresses(from.Devices)
	for i := range to.Devices.Interfaces {
		card := &to.Devices.Interfaces[i]
		carryAddress(&card.Address, old["interface/"+aliasOf(card.Alias)])
	}
	for i := range to.Devices.Disks {
		disk := &to.Devices.Disks[i]
		if disk.Target != nil {
			carryAddress(&disk.Address, old["disk/"+disk.Target.Bus+"/"+aliasOf(disk.Alias)])
		}
	}
	if to.Devices.MemBalloon != nil {
		carryAddress(&to.Devices.MemBalloon.Address, old["memballoon"])
	}
	for i := range to.Devices.RNGs {
		carryAddress(&to.Devices.RNGs[i].Address, old["rng"])
	}
	carryControllers(from.Devices, to.Devices)
	return nil
}

func isUEFI(os *libvirtxml.DomainOS) bool {
	return os.Firmware == "efi" || os.Loader != nil && os.Loader.Type == "pflash"
}

func addresses(list *libvirtxml.DomainDeviceList) map[string]*libvirtxml.DomainAddress {
	old := map[string]*libvirtxml.DomainAddress{}
	for _, card := range list.Interfaces {
		old["interface/"+aliasOf(card.Alias)] = card.Address
	}
	for _, disk := range list.Disks {
		if disk.Target != nil {
			old["disk/"+disk.Target.Bus+"/"+aliasOf(disk.Alias)] = disk.Address
		}
	}
	if list.MemBalloon != nil {
		old["memballoon"] = list.MemBalloon.Address
	}
	if len(list.RNGs) == 1 {
		old["rng"] = list.RNGs[0].Address
	}
	return old
}

// carryAddress keeps only PCI addresses: those of other buses follow from the device's name.
func carryAddress(to **libvirtxml.DomainAddress, from *libvirtxml.DomainAddress) {
	if *to == nil && from != nil && from.PCI != nil {
		*to = from
	}
}

func aliasOf(a *libvirtxml.DomainAlias) string {
	if a == nil {
		return ""
	}
	return a.Name
}

// carryControllers keeps every old controller, since devices stand on them, and adds those of a type or model that the old
// definition had none of.
func carryControllers(from, to *libvirtxml.DomainDeviceList) {
	kept := []libvirtxml.DomainController{}
	usb := usbModel(to)
	for _, c := range from.Controllers {
		if c.Type == "usb" && c.Model != usb {
			continue
		}
		kept = append(kept, c)
	}
	for _, c := range to.Controllers {
		if !hasController(kept, c) {
			kept = append(kept, c)
		}
	}
	to.Controllers = kept
}

func usbModel(list *libvirtxml.DomainDeviceList) string {
	for _, c := range list.Controllers {
		if c.Type == "usb" {
			return c.Model
		}
	}
	return ""
}

func hasController(list []libvirtxml.DomainController, c libvirtxml.DomainController) bool {
	for _, have := range list {
		if have.Type == c.Type && have.Model == c.Model {
			return true
		}
	}
	return false
}
