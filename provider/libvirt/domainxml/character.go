package domainxml

import (
	"fmt"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/labctl/labctl/schema"
)

// characters are the serial ports, consoles and channels. The first serial port is always there and what it says is kept
// in a file: it is all that can be known of a guest that does not come up.
func characters(s Spec, list *libvirtxml.DomainDeviceList) error {
	serials := s.Want.Serials
	if len(serials) == 0 {
		serials = []schema.CharDevice{{Type: "pty"}}
	}
	for i, c := range serials {
		source, err := charSource(c)
		if err != nil {
			return fmt.Errorf("serial %d: %w", i, err)
		}
		port := libvirtxml.DomainSerial{Source: source, Target: &libvirtxml.DomainSerialTarget{Port: index(i)}}
		if i == 0 && c.Type != "file" && s.Folder != "" {
			port.Log = &libvirtxml.DomainChardevLog{File: LogPath(s.Folder), Append: "on"}
		}
		list.Serials = append(list.Serials, port)
	}
	for i, c := range s.Want.Consoles {
		if c.Target == "" || c.Target == "serial" {
			continue // the serial port of the same number, see above
		}
		source, err := charSource(c)
		if err != nil {
			return fmt.Errorf("console %d: %w", i, err)
		}
		list.Consoles = append(list.Consoles, libvirtxml.DomainConsole{
			Source: source,
			Target: &libvirtxml.DomainConsoleTarget{Type: c.Target},
		})
	}
	list.Channels = []libvirtxml.DomainChannel{channel(AgentChannel, &libvirtxml.DomainChardevSource{
		UNIX: &libvirtxml.DomainChardevSourceUNIX{Mode: "bind"},
	})}
	for _, c := range s.Want.Channels {
		if c.Target == AgentChannel {
			continue
		}
		source, err := charSource(c)
		if err != nil {
			return fmt.Errorf("channel %s: %w", c.Target, err)
		}
		list.Channels = append(list.Channels, channel(c.Target, source))
	}
	return nil
}

func channel(name string, source *libvirtxml.DomainChardevSource) libvirtxml.DomainChannel {
	return libvirtxml.DomainChannel{
		Source: source,
		Target: &libvirtxml.DomainChannelTarget{VirtIO: &libvirtxml.DomainChannelTargetVirtIO{Name: name}},
	}
}

func charSource(c schema.CharDevice) (*libvirtxml.DomainChardevSource, error) {
	switch c.Type {
	case "", "pty":
		return &libvirtxml.DomainChardevSource{Pty: &libvirtxml.DomainChardevSourcePty{}}, nil
	case "unix":
		return &libvirtxml.DomainChardevSource{UNIX: &libvirtxml.DomainChardevSourceUNIX{Mode: "bind", Path: c.Path}}, nil
	case "file":
		return &libvirtxml.DomainChardevSource{File: &libvirtxml.DomainChardevSourceFile{Path: c.Path}}, nil
	case "tcp":
		name, port, ok := strings.Cut(c.Path, ":")
		if !ok {
			return nil, fmt.Errorf("path %q: a tcp device listens on ADDRESS:PORT", c.Path)
		}
		return &libvirtxml.DomainChardevSource{TCP: &libvirtxml.DomainChardevSourceTCP{Mode: "bind", Host: name, Service: port}}, nil
	}
	return nil, fmt.Errorf("type %q is none of pty, unix, file, tcp", c.Type)
}
