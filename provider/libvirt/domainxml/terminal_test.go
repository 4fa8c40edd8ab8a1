package domainxml

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"libvirt.org/go/libvirtxml"

	"github.com/labctl/labctl/schema"
)

// TestWhatLibvirtChose: screens and terminals stand in the order of the blocks, with a gap where a block has none.
func TestWhatLibvirtChose(t *testing.T) {
	pty := func(path string) *libvirtxml.DomainChardevSource {
		return &libvirtxml.DomainChardevSource{Pty: &libvirtxml.DomainChardevSourcePty{Path: path}}
	}
	list := &libvirtxml.DomainDeviceList{
		Graphics: []libvirtxml.DomainGraphic{
			{VNC: &libvirtxml.DomainGraphicVNC{Port: -1, AutoPort: "yes"}},
			{Spice: &libvirtxml.DomainGraphicSpice{Port: 5901, AutoPort: "yes", Listen: "::1"}},
		},
		Serials: []libvirtxml.DomainSerial{{Source: pty("/dev/pts/1")}, {Source: &libvirtxml.DomainChardevSource{TCP: &libvirtxml.DomainChardevSourceTCP{}}}},
		Consoles: []libvirtxml.DomainConsole{
			{Source: pty("/dev/pts/1"), Target: &libvirtxml.DomainConsoleTarget{Type: "serial"}},
			{Source: pty("/dev/pts/2"), Target: &libvirtxml.DomainConsoleTarget{Type: "virtio"}},
		},
	}
	if d := cmp.Diff([]string{"", "spice://[::1]:5901"}, Screens(list.Graphics)); d != "" {
		t.Errorf("screens (-want +got):\n%s", d)
	}
	declared := &schema.Domain{
		Serials:  []schema.CharDevice{{Type: "pty"}, {Type: "tcp"}, {Type: "pty"}},
		Consoles: []schema.CharDevice{{Target: "virtio"}, {Target: "serial"}, {Target: "virtio"}},
	}
	serials, consoles := Terminals(list, declared)
	if d := cmp.Diff([]string{"/dev/pts/1", "", ""}, serials); d != "" {
		t.Errorf("serial ports (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"/dev/pts/2", "", ""}, consoles); d != "" {
		t.Errorf("consoles (-want +got):\n%s", d)
	}
}
