package machine

import (
	"reflect"
	"strings"

	"github.com/labctl/labctl/provider/libvirt/domainxml"
	"github.com/labctl/labctl/schema"
)

// seeKernel puts what the kernel says of the host's ends of the network cards over what libvirt's XML says.
func (m *Machine) seeKernel(live *schema.Domain) {
	declared := m.Meta.Declared
	if declared == nil {
		declared = &schema.Domain{}
	}
	for _, card := range m.Live.Devices.Interfaces {
		if card.Target == nil {
			continue
		}
		kernel, known := m.Taps[card.Target.Dev]
		if !known {
			continue // a daemon on another machine, or a card with no tap
		}
		name := domainxml.ReadNIC(card, declared.Interfaces).Name
		for i := range live.Interfaces {
			nic := &live.Interfaces[i]
			if nic.Name != name {
				continue
			}
			if nic.Bridge != "" {
				nic.Bridge = kernel.Master
			}
			was := NICNamed(declared.Interfaces, name)
			nic.MTU = kernelMTU(nic.MTU, kernel.MTU, was.MTU)
			nic.Impair = kernelImpair(kernel.Rate, was.Impair)
		}
	}
}

// DefaultMTU is Ethernet's.
const DefaultMTU = 1500

// kernelMTU is the MTU that counts: the tap's own, unless none is declared and it is as any other: then libvirt takes the bridge's.
func kernelMTU(xml, kernel, declared int) int {
	if declared == 0 && (kernel >= DefaultMTU || xml == 0) {
		return 0
	}
	return kernel
}

// NICNamed is the element with the name, or an empty one.
func NICNamed(list []schema.NIC, name string) schema.NIC {
	for _, nic := range list {
		if nic.Name == name {
			return nic
		}
	}
	return schema.NIC{}
}

// overlay puts on the body, which is the definition's, what differs in the running machine. Where both differ from what was
// declared the running machine's word is shown: it is what the user meets.
func overlay(body, live, declared *schema.Domain) {
	if declared == nil {
		declared = body
	}
	if live.Memory != declared.Memory {
		body.Memory = live.Memory
	}
	if declared.MaxMemory != 0 && live.MaxMemory < declared.MaxMemory {
		body.MaxMemory = live.MaxMemory
	}
	if live.VCPUs != declared.VCPUs {
		body.VCPUs = live.VCPUs
	}
	if declared.MaxVCPUs != 0 && live.MaxVCPUs < declared.MaxVCPUs {
		body.MaxVCPUs = live.MaxVCPUs
	}
	if live.CDROM != declared.CDROM {
		body.CDROM = live.CDROM
	}
	body.Interfaces = overlayList(body.Interfaces, live.Interfaces, declared.Interfaces,
		func(n schema.NIC) string { return n.Name })
	body.Disks = overlayList(body.Disks, live.Disks, declared.Disks,
		func(d schema.Disk) string { return d.Name })
}

func overlayList[T any](defined, live, declared []T, name func(T) string) []T {
	find := func(list []T, wanted string) *T {
		for i := range list {
			if name(list[i]) == wanted {
				return &list[i]
			}
		}
		return nil
	}
	var out []T
	seen := map[string]bool{}
	for _, list := range [][]T{defined, live} {
		for _, element := range list {
			key := name(element)
			if seen[key] {
				continue
			}
			seen[key] = true
			now := find(live, key)
			if reflect.DeepEqual(now, find(declared, key)) {
				now = find(defined, key)
			}
			if now != nil {
				out = append(out, *now)
			}
		}
	}
	return out
}

// pending shows what the machine was started with where its definition says otherwise since, and only a restart brings
// it about: a definition that was changed is not done before the machine runs on it. The running machine keeps the mark
// that it was started with.
func (m *Machine) pending(body *schema.Domain) error {
	if m.Live.Metadata == nil || m.Meta.Declared == nil {
		return nil
	}
	began, _, ok, err := domainxml.ParseMeta(m.Live.Metadata.XML)
	if err != nil || !ok || began.Declared == nil || began.Mark.Fingerprint == m.Meta.Mark.Fingerprint {
		return err
	}
	was, is, shown := reflect.ValueOf(began.Declared).Elem(), reflect.ValueOf(m.Meta.Declared).Elem(), reflect.ValueOf(body).Elem()
	for i := range was.NumField() {
		kind, _, _ := strings.Cut(was.Type().Field(i).Tag.Get("json"), ",")
		if restarts(kind) && !reflect.DeepEqual(was.Field(i).Interface(), is.Field(i).Interface()) {
			shown.Field(i).Set(was.Field(i))
		}
	}
	return nil
}
