package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/labctl/labctl/provider/libvirt/daemon"
	"github.com/labctl/labctl/provider/libvirt/domainxml"
	"github.com/labctl/labctl/provider/libvirt/source"
)

// machine is one of the lab's as it is now.
type machine struct {
	Member
	files bool // whether its state is kept in files of its own, see filesOf
	state libvirt.DomainState
	xml   *libvirtxml.Domain // as it runs, or as defined where it is off
}

// active reports whether it has a process.
func (m machine) active() bool {
	return m.state != libvirt.DOMAIN_SHUTOFF && m.state != libvirt.DOMAIN_CRASHED && m.state != libvirt.DOMAIN_NOSTATE
}

// runs reports whether its processors run.
func (m machine) runs() bool {
	return m.state == libvirt.DOMAIN_RUNNING || m.state == libvirt.DOMAIN_BLOCKED
}

// machines are those that carry the lab's mark.
func (l Lab) machines(ctx context.Context) ([]machine, error) {
	var list []machine
	for _, conn := range l.Conns {
		err := conn.Use(func(link *libvirt.Connect) error {
			domains, err := link.ListAllDomains(0)
			if err != nil {
				return err
			}
			defer func() {
				for i := range domains {
					_ = domains[i].Free() // drops the reference
				}
			}()
			for i := range domains {
				m, ours, err := l.machineOf(&domains[i])
				if daemon.Is(err, libvirt.ERR_NO_DOMAIN) {
					continue // it went meanwhile
				}
				if err != nil {
					return err
				}
				if ours {
					m.conn = conn
					list = append(list, m)
				}
			}
			return ctx.Err()
		})
		if err != nil {
			return nil, daemon.Failed("look for the machines of lab "+l.Name, err)
		}
	}
	slices.SortFunc(list, func(a, b machine) int { return strings.Compare(a.address(), b.address()) })
	return list, nil
}

func (l Lab) machineOf(dom *libvirt.Domain) (m machine, ours bool, err error) {
	text, err := dom.GetXMLDesc(0)
	if err != nil || !domainxml.Marked(text) {
		return machine{}, false, err
	}
	m.xml = new(libvirtxml.Domain)
	if err := m.xml.Unmarshal(text); err != nil {
		return machine{}, false, err
	}
	if m.xml.Metadata == nil {
		return machine{}, false, nil
	}
	meta, _, ok, err := domainxml.ParseMeta(m.xml.Metadata.XML)
	if err != nil || !ok || meta.Mark.Lab != l.Name {
		return machine{}, false, err
	}
	m.Domain, m.uuid, m.Addr, m.folder = m.xml.Name, m.xml.UUID, meta.Mark.Addr.Whole(), meta.Folder
	m.files = m.needsFiles()
	m.state, _, err = dom.GetState()
	m.Running = m.runs()
	return m, true, err
}

// written are the disks that a machine writes to.
func (m machine) written() []libvirtxml.DomainDisk {
	if m.xml.Devices == nil {
		return nil
	}
	var out []libvirtxml.DomainDisk
	for _, disk := range m.xml.Devices.Disks {
		if disk.ReadOnly == nil && disk.Device != "cdrom" && !(disk.Device == "floppy" && disk.Source == nil) {
			out = append(out, disk)
		}
	}
	return out
}

func isQcow2(disk libvirtxml.DomainDisk) bool {
	return disk.Driver != nil && disk.Driver.Type == "qcow2"
}

// needsFiles reports whether QEMU cannot keep the machine's state by itself: it keeps memory and disks in one qcow2 file, so all
// that the guest writes to would have to be qcow2, and UEFI's variables are not.
func (m machine) needsFiles() bool {
	return source.UEFI(m.xml) || slices.ContainsFunc(m.written(), func(disk libvirtxml.DomainDisk) bool { return !isQcow2(disk) })
}

// unfit says why a machine's state cannot be kept, nil where it can: what is outside of QEMU, or is not this machine's alone.
func (m machine) unfit() error {
	var why []string
	devices := m.xml.Devices
	if devices == nil {
		return errors.New("it has no disk to keep its state in")
	}
	kept := 0
	for _, disk := range m.written() {
		name := strings.TrimPrefix(aliasOf(disk), "ua-disk-")
		switch {
		case disk.Shareable != nil:
			why = append(why, fmt.Sprintf("its disk %s is shared with other machines", name))
		case m.files && (disk.Source == nil || disk.Source.File == nil):
			why = append(why, fmt.Sprintf("its disk %s is no file", name))
		default:
			kept++
		}
	}
	if m.files && m.folder == "" {
		why = append(why, "labctl has no folder for files of it")
	}
	for _, share := range devices.Filesystems {
		if m.active() && share.Driver != nil && share.Driver.Type == "virtiofs" {
			why = append(why, "it shares a folder with the host through virtiofs")
		}
	}
	if m.active() && len(devices.Hostdevs) > 0 {
		why = append(why, "it has a device of the host, whose state is its own")
	}
	if len(why) == 0 && kept == 0 && !m.files {
		why = append(why, "it has no qcow2 disk to keep its state in")
	}
	if len(why) == 0 {
		return nil
	}
	return errors.New(strings.Join(why, "; "))
}

func aliasOf(disk libvirtxml.DomainDisk) string {
	if disk.Alias != nil {
		return disk.Alias.Name
	}
	if disk.Target != nil {
		return disk.Target.Dev
	}
	return "?"
}
