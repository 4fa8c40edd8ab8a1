package domainxml

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/labctl/labctl/schema"
)

// readCharacters compares declared serial ports, consoles and channels; what was not declared is libvirt's own affair.
func readCharacters(list *libvirtxml.DomainDeviceList, was schema.Domain, b *schema.Domain) {
	if was.Serials != nil {
		b.Serials = nil
		for i, port := range list.Serials {
			b.Serials = append(b.Serials, readChar(port.Source, "", i, was.Serials))
		}
	}
	if was.Consoles != nil {
		b.Consoles = nil
		for _, w := range was.Consoles {
			if w.Target == "" || w.Target == "serial" {
				b.Consoles = append(b.Consoles, w)
			}
		}
		for _, c := range list.Consoles {
			if c.Target != nil && c.Target.Type != "serial" && c.Target.Type != "" {
				b.Consoles = append(b.Consoles, readChar(c.Source, c.Target.Type, len(b.Consoles), was.Consoles))
			}
		}
	}
	if was.Channels != nil {
		b.Channels = nil
		for _, c := range list.Channels {
			if c.Target == nil || c.Target.VirtIO == nil {
				continue
			}
			name := c.Target.VirtIO.Name
			if name != AgentChannel || len(b.Channels) < len(was.Channels) && was.Channels[len(b.Channels)].Target == name {
				b.Channels = append(b.Channels, readChar(c.Source, name, len(b.Channels), was.Channels))
			}
		}
	}
}

// readChar is one character device; a path that libvirt made up is no difference.
func readChar(source *libvirtxml.DomainChardevSource, target string, at int, declared []schema.CharDevice) schema.CharDevice {
	c := schema.CharDevice{Target: target}
	was := schema.CharDevice{}
	if at < len(declared) {
		was = declared[at]
	}
	switch {
	case source == nil || source.Pty != nil:
		c.Type = "pty"
	case source.UNIX != nil:
		c.Type = "unix"
		if was.Path != "" {
			c.Path = source.UNIX.Path
		}
	case source.File != nil:
		c.Type, c.Path = "file", source.File.Path
	case source.TCP != nil:
		c.Type, c.Path = "tcp", source.TCP.Host+":"+source.TCP.Service
	}
	if was.Type == "" && c.Type == "pty" || was.Target == AgentChannel && target == AgentChannel {
		c.Type = was.Type
	}
	return c
}

func readExtras(x *libvirtxml.Domain, was schema.Domain, b *schema.Domain) {
	list := x.Devices
	b.Graphics = readGraphics(list.Graphics, was.Graphics)
	if was.RNG != nil {
		b.RNG = nil
		for _, r := range list.RNGs {
			if r.Backend != nil && r.Backend.Random != nil {
				b.RNG = &schema.RNG{Source: r.Backend.Random.Device}
			}
		}
	}
	b.TPM = readTPM(list.TPMs, was.TPM)
	b.Watchdog = nil
	for _, w := range list.Watchdogs {
		if was.Watchdog != nil || w.Model != "itco" { // q35 has that one of itself
			b.Watchdog = &schema.Watchdog{Model: w.Model, Action: w.Action}
			if was.Watchdog != nil && was.Watchdog.Action == "" && w.Action == "reset" {
				b.Watchdog.Action = ""
			}
		}
	}
	b.Filesystems = nil
	for _, fs := range list.Filesystems {
		b.Filesystems = append(b.Filesystems, readFilesystem(fs))
	}
	b.HostDevs = nil
	for _, dev := range list.Hostdevs {
		b.HostDevs = append(b.HostDevs, readHostDev(dev, was.HostDevs, len(b.HostDevs)))
	}
}

func readGraphics(list []libvirtxml.DomainGraphic, was []schema.Graphics) []schema.Graphics {
	var out []schema.Graphics
	for i, g := range list {
		var screen schema.Graphics
		var auto string
		var listeners []libvirtxml.DomainGraphicListener
		switch {
		case g.VNC != nil:
			screen = schema.Graphics{Type: "vnc", Listen: g.VNC.Listen, Port: g.VNC.Port}
			auto, listeners = g.VNC.AutoPort, g.VNC.Listeners
		case g.Spice != nil:
			screen = schema.Graphics{Type: "spice", Listen: g.Spice.Listen, Port: g.Spice.Port}
			auto, listeners = g.Spice.AutoPort, g.Spice.Listeners
		default:
			screen.Type = "other"
		}
		if len(listeners) > 0 && listeners[0].Address != nil {
			screen.Listen = listeners[0].Address.Address
		}
		if auto == "yes" || screen.Port < 0 {
			screen.Port = 0
		}
		if (i >= len(was) || was[i].Listen == "") && screen.Listen == "127.0.0.1" {
			screen.Listen = ""
		}
		out = append(out, screen)
	}
	return out
}

func readTPM(list []libvirtxml.DomainTPM, was *schema.TPM) *schema.TPM {
	if len(list) == 0 {
		return nil
	}
	t := &schema.TPM{Model: list[0].Model}
	if back := list[0].Backend; back != nil && back.Emulator != nil {
		t.Version = back.Emulator.Version
	}
	if was != nil {
		if was.Model == "" && t.Model == "tpm-crb" {
			t.Model = ""
		}
		if was.Version == "" && t.Version == "2.0" {
			t.Version = ""
		}
	}
	return t
}

func readFilesystem(fs libvirtxml.DomainFilesystem) schema.Filesystem {
	out := schema.Filesystem{Driver: "9p", ReadOnly: fs.ReadOnly != nil}
	if fs.Source != nil && fs.Source.Mount != nil {
		out.Source = fs.Source.Mount.Dir
	}
	if fs.Target != nil {
		out.Target = fs.Target.Dir
	}
	if fs.Driver != nil && fs.Driver.Type == "virtiofs" {
		out.Driver = "virtiofs"
	}
	return out
}

func readHostDev(dev libvirtxml.DomainHostdev, was []schema.HostDev, at int) schema.HostDev {
	var out schema.HostDev
	switch {
	case dev.SubsysPCI != nil && dev.SubsysPCI.Source != nil:
		out.PCI = formatPCI(&libvirtxml.DomainAddress{PCI: dev.SubsysPCI.Source.Address})
		if at < len(was) && canonicalPCI(was[at].PCI) == out.PCI {
			out.PCI = was[at].PCI
		}
	case dev.SubsysUSB != nil && dev.SubsysUSB.Source != nil:
		if source := dev.SubsysUSB.Source; source.Vendor != nil && source.Product != nil {
			out.USB = strings.TrimPrefix(source.Vendor.ID, "0x") + ":" + strings.TrimPrefix(source.Product.ID, "0x")
		}
	}
	return out
}

// Screens are the addresses at which a running domain's screens can be reached, in their order, "" for one that listens
// nowhere.
func Screens(list []libvirtxml.DomainGraphic) []string {
	out := make([]string, len(list))
	for i, g := range readGraphics(list, nil) {
		port := 0
		switch {
		case list[i].VNC != nil:
			port = list[i].VNC.Port
		case list[i].Spice != nil:
			port = list[i].Spice.Port
		}
		if g.Listen == "" {
			g.Listen = "127.0.0.1"
		}
		if port > 0 {
			out[i] = fmt.Sprintf("%s://%s", g.Type, net.JoinHostPort(g.Listen, strconv.Itoa(port)))
		}
	}
	return out
}

// Terminals are the pseudo-terminals of a running domain's declared serial ports and consoles, in their order, "" for one that
// has none.
func Terminals(list *libvirtxml.DomainDeviceList, d *schema.Domain) (serials, consoles []string) {
	serial := func(i int) string {
		if i < len(list.Serials) {
			return terminal(list.Serials[i].Source)
		}
		return ""
	}
	var virtio []string
	for _, c := range list.Consoles {
		if c.Target != nil && c.Target.Type == "virtio" {
			virtio = append(virtio, terminal(c.Source))
		}
	}
	for i := range d.Serials {
		serials = append(serials, serial(i))
	}
	for i, c := range d.Consoles {
		text := ""
		switch {
		case c.Target != "virtio":
			text = serial(i) // the port of the same number
		case len(virtio) > 0:
			text, virtio = virtio[0], virtio[1:]
		}
		consoles = append(consoles, text)
	}
	return serials, consoles
}

func terminal(source *libvirtxml.DomainChardevSource) string {
	if source == nil || source.Pty == nil {
		return ""
	}
	return source.Pty.Path
}
