package machine

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"libvirt.org/go/libvirtxml"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/domainxml"
	"github.com/labctl/labctl/schema"
)

// restarts reports whether the whole attribute takes effect only when a machine starts. Memory, processors, cards and disks
// are seen in the running machine itself.
func restarts(kind string) bool {
	switch kind {
	case "-", "name", "memory", "vcpus", "interface", "disk", "cdrom":
		return false
	}
	effect, _ := effectByKind(kind)
	return effect == provider.OnRestart
}

// effects of attributes whose change costs the same whatever it is. Those that are not here are decided by effectOf.
func effectByKind(kind string) (provider.Effect, string) {
	switch kind {
	case "description", "autostart", "running", "timeouts", "os_variant", "os_id", "address", "lifecycle", "depends_on":
		return provider.Live, ""
	case "image", "clone":
		return provider.OnReplace, "the root disk stands on it"
	case "arch":
		return provider.OnReplace, "what is on the disks is made for the other processor"
	case "name":
		return provider.OnRestart, "libvirt renames only a machine that is off"
	case "cpu", "machine", "virt":
		return provider.OnRestart, "the processor and the board are fixed while a machine runs"
	case "firmware", "boot":
		return provider.OnRestart, "it is used only when a machine starts"
	case "max_memory", "max_vcpus":
		return provider.OnRestart, "the limit is fixed while a machine runs"
	case "system":
		return provider.OnRestart, "the board is fixed while a machine runs"
	case "xml":
		return provider.OnRestart, "labctl does not know what in the fragment could change while the machine runs"
	}
	return provider.OnRestart, "QEMU does not change this device while a machine runs"
}

// effectOf tells what the change of one attribute costs, and why where it is not live.
func effectOf(d provider.Detail, m *Machine, want *schema.Domain) (provider.Effect, string, error) {
	kind, _, field := splitPath(d.Path)
	switch kind {
	case "memory":
		if m.Active && KiB(want.Memory) > m.maxKiB() {
			return provider.OnRestart, fmt.Sprintf("the running machine was started with at most %d MiB; max_memory makes room to grow", m.maxKiB()>>10), nil
		}
		return provider.Live, "", nil
	case "vcpus":
		effect, why := cpuEffect(m, want)
		return effect, why, nil
	case "cdrom":
		if d.Old != nil && d.New != nil {
			return provider.Live, "", nil
		}
		return provider.OnRestart, "a drive cannot be added to or taken from a running machine", nil
	case "interface":
		effect, why := nicEffect(field, m)
		return effect, why, nil
	case "disk":
		return diskEffect(d, field, m)
	}
	effect, why := effectByKind(kind)
	return effect, why, nil
}

// KiB is a size in bytes as libvirt counts it.
func KiB(bytes uint64) uint64 { return (bytes + 1023) >> 10 }

// maxKiB is the most memory that the running machine can get.
func (m *Machine) maxKiB() uint64 {
	if m.Live == nil || m.Live.Memory == nil {
		return 0
	}
	return uint64(m.Live.Memory.Value) // libvirt prints KiB
}

func cpuEffect(m *Machine, want *schema.Domain) (provider.Effect, string) {
	if !m.Active || m.Live.VCPU == nil {
		return provider.Live, ""
	}
	most := int(m.Live.VCPU.Value)
	switch {
	case want.VCPUs > most:
		return provider.OnRestart, fmt.Sprintf("the running machine was started with at most %d; max_vcpus makes room to grow", most)
	case want.VCPUs < m.LiveBody.VCPUs:
		return provider.OnRestart, "guests seldom let go of a processor while they run"
	}
	return provider.Live, ""
}

func nicEffect(field string, m *Machine) (provider.Effect, string) {
	switch field {
	case "pci":
		return provider.OnRestart, "a card does not change its slot while a machine runs"
	case "", "mac", "model", "mtu":
		if !hotplug(m) {
			return provider.OnRestart, "this machine type takes no cards while it runs"
		}
	}
	return provider.Live, ""
}

// hotplug reports whether cards and disks can be added to the machine while it runs.
func hotplug(m *Machine) bool {
	if m.Live == nil || m.Live.OS == nil || m.Live.OS.Type == nil {
		return true
	}
	return domainxml.Hotplug(m.Live.OS.Type.Machine)
}

// diskEffect: disks come and go live where their bus takes it, and grow live; everything else of a disk is fixed.
func diskEffect(d provider.Detail, field string, m *Machine) (provider.Effect, string, error) {
	switch field {
	case "":
		effect, why := busEffect(d, m)
		return effect, why, nil
	case "size":
		if is, should := number(d.Old), number(d.New); should != 0 && should < is {
			return "", "", fmt.Errorf("from %d to %d bytes: %w", is, should, ErrShrink)
		}
		return provider.Live, "", nil
	case "format":
		return provider.OnReplace, "the disk would have to be made anew", nil
	}
	return provider.OnRestart, "a disk's " + field + " is fixed while a machine runs", nil
}

// busEffect is what it costs to add a disk or to take one away.
func busEffect(d provider.Detail, m *Machine) (provider.Effect, string) {
	bus := "virtio"
	for _, side := range []any{d.Old, d.New} {
		if disk, ok := side.(map[string]any); ok && disk["bus"] != nil {
			bus, _ = disk["bus"].(string)
		}
	}
	switch {
	case bus == "sata" || bus == "ide":
		return provider.OnRestart, "a disk on " + bus + " cannot be added to or taken from a running machine"
	case bus == "virtio" && !hotplug(m):
		return provider.OnRestart, "this machine type takes no disks while it runs"
	case bus != "virtio" && !m.hasController(bus):
		return provider.OnRestart, "the running machine has no controller for disks on " + bus
	}
	return provider.Live, ""
}

// hasController reports whether the running machine has a controller for the bus.
func (m *Machine) hasController(bus string) bool {
	if m.Live == nil || m.Live.Devices == nil {
		return false
	}
	return slices.ContainsFunc(m.Live.Devices.Controllers, func(c libvirtxml.DomainController) bool {
		return c.Type == bus && c.Model != "none"
	})
}

// number is a number as provider.Diff has it.
func number(v any) uint64 {
	text, ok := v.(json.Number)
	if !ok {
		return 0
	}
	n, err := strconv.ParseUint(text.String(), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
