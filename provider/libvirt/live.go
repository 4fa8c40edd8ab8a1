package libvirt

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"time"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/daemon"
	"github.com/labctl/labctl/provider/libvirt/domainxml"
	"github.com/labctl/labctl/provider/libvirt/machine"
)

// settle is how long a running guest may take to let go of a device, or to give back memory.
const settle = 15 * time.Second

// live changes the running machine to what the new definition says.
func (j *job) live(ctx context.Context) error {
	after, err := j.reader().One(ctx, daemon.ByUUID(j.uuid))
	if err != nil {
		return err
	}
	if after == nil {
		return errors.New("the domain has vanished")
	}
	m := after.Aux.(*machine.Machine)
	if !m.Active {
		return nil // it stopped meanwhile; it is started anew from the definition
	}
	if m.Live.Description != j.body.Description {
		if err := j.step(ctx, "describe", func(dom *libvirt.Domain) error {
			return dom.SetMetadata(libvirt.DOMAIN_METADATA_DESCRIPTION, j.body.Description, "", "", libvirt.DOMAIN_AFFECT_LIVE)
		}); err != nil {
			return err
		}
	}
	if err := j.liveMemory(ctx, m); err != nil {
		return err
	}
	if n := j.body.VCPUs; m.LiveBody.VCPUs != n {
		if err := j.step(ctx, "set processors", func(dom *libvirt.Domain) error {
			return dom.SetVcpusFlags(uint(n), libvirt.DOMAIN_VCPU_LIVE)
		}); err != nil {
			return err
		}
	}
	if err := j.liveDisks(ctx, m); err != nil {
		return err
	}
	return j.liveNICs(ctx, m)
}

// step announces what is done next, and does it to the domain.
func (j *job) step(ctx context.Context, stage string, f func(*libvirt.Domain) error) error {
	if err := provider.Step(ctx, stage); err != nil {
		return err
	}
	return daemon.Failed(stage, j.conn.Domain(daemon.ByUUID(j.uuid), f))
}

// liveMemory moves the balloon and waits until the guest has followed.
func (j *job) liveMemory(ctx context.Context, m *machine.Machine) error {
	want := machine.KiB(j.body.Memory)
	if machine.KiB(m.LiveBody.Memory) == want {
		return nil
	}
	w := j.conn.Watch(j.uuid)
	defer w.Stop()
	if err := j.step(ctx, "set memory", func(dom *libvirt.Domain) error {
		return dom.SetMemoryFlags(want, libvirt.DOMAIN_MEM_LIVE)
	}); err != nil {
		return err
	}
	return j.waitMemory(ctx, w, settle)
}

// waitMemory waits until the guest's balloon is where it should be.
func (j *job) waitMemory(ctx context.Context, w *daemon.Watch, within time.Duration) error {
	want := machine.KiB(j.body.Memory)
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		now, err := j.balloon()
		if err != nil || now == want {
			return err
		}
		select {
		case <-w.C:
		case <-ctx.Done():
			return &provider.Error{
				Op: "set memory", Path: "memory",
				Err:  fmt.Errorf("%w: the guest is at %d MiB and does not move to %d MiB", provider.ErrIncomplete, now>>10, want>>10),
				Hint: "the guest needs the virtio_balloon driver, and memory that it can spare",
			}
		}
	}
}

// balloon is the running machine's memory now, in KiB.
func (j *job) balloon() (uint64, error) {
	var info *libvirt.DomainInfo
	err := j.conn.Domain(daemon.ByUUID(j.uuid), func(dom *libvirt.Domain) (err error) {
		info, err = dom.GetInfo()
		return err
	})
	if err != nil {
		return 0, daemon.Failed("read memory", err)
	}
	return info.Memory, nil
}

// deviceXML is one device as libvirt's device calls take it.
func deviceXML(device any) (string, error) {
	text, err := xml.MarshalIndent(device, "", "  ")
	return string(text), err
}

// attach adds a device to the running machine, at the address that the definition gives it; where a device that the
// definition does not know is in that place, libvirt chooses another.
func (j *job) attach(ctx context.Context, what string, device any, unplaced func() any) error {
	text, err := deviceXML(device)
	if err != nil {
		return err
	}
	return j.step(ctx, "attach "+what, func(dom *libvirt.Domain) error {
		err := dom.AttachDeviceFlags(text, libvirt.DOMAIN_DEVICE_MODIFY_LIVE)
		if !daemon.Is(err, libvirt.ERR_XML_ERROR, libvirt.ERR_INTERNAL_ERROR, libvirt.ERR_CONFIG_UNSUPPORTED, libvirt.ERR_OPERATION_FAILED) {
			return err
		}
		again, marshal := deviceXML(unplaced())
		if marshal != nil {
			return marshal
		}
		return dom.AttachDeviceFlags(again, libvirt.DOMAIN_DEVICE_MODIFY_LIVE)
	})
}

// detach takes a device out of the running machine and waits until the guest has let go of it: libvirt reports success
// as soon as the guest was asked.
func (j *job) detach(ctx context.Context, what, alias string, device any) error {
	text, err := deviceXML(device)
	if err != nil {
		return err
	}
	w := j.conn.Watch(j.uuid)
	defer w.Stop()
	if err := j.step(ctx, "detach "+what, func(dom *libvirt.Domain) error {
		return dom.DetachDeviceFlags(text, libvirt.DOMAIN_DEVICE_MODIFY_LIVE)
	}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	for {
		if gone, known := w.Removed(alias); known && gone {
			return nil
		} else if known {
			return &provider.Error{Op: "detach " + what, Err: errors.New("the guest refused to let go of the device")}
		}
		present, err := j.hasDevice(alias)
		if err != nil || !present {
			return err
		}
		select {
		case <-w.C:
		case <-ctx.Done():
			return &provider.Error{
				Op:   "detach " + what,
				Err:  fmt.Errorf("%w: the guest did not let go of the device in %s", provider.ErrIncomplete, settle),
				Hint: "a guest that is still booting does not; apply again, or restart the machine",
			}
		}
	}
}

// hasDevice reports whether a disk or network card with the alias is in the running machine.
func (j *job) hasDevice(alias string) (bool, error) {
	x := new(libvirtxml.Domain)
	err := j.conn.Domain(daemon.ByUUID(j.uuid), func(dom *libvirt.Domain) error {
		text, err := dom.GetXMLDesc(0)
		if err != nil {
			return err
		}
		return x.Unmarshal(text)
	})
	if err != nil {
		return false, daemon.Failed("read devices", err)
	}
	for _, card := range x.Devices.Interfaces {
		if card.Alias != nil && card.Alias.Name == alias {
			return true, nil
		}
	}
	for _, disk := range x.Devices.Disks {
		if disk.Alias != nil && disk.Alias.Name == alias {
			return true, nil
		}
	}
	return false, nil
}

// liveDisks adds and removes disks, changes the disc in the drive, and makes disks larger.
func (j *job) liveDisks(ctx context.Context, m *machine.Machine) error {
	for _, disk := range m.Live.Devices.Disks {
		kept := deviceNamed(m.Defined.Devices.Disks, aliasOfDisk(disk))
		if kept == nil && disk.Device == "disk" {
			if err := j.detach(ctx, "disk "+disk.Target.Dev, aliasOfDisk(disk), disk); err != nil {
				return err
			}
		}
		if kept != nil && disk.Device == "cdrom" && sourceFile(*kept) != sourceFile(disk) {
			if err := j.changeDisc(ctx, disk, *kept); err != nil {
				return err
			}
		}
	}
	for _, disk := range m.Defined.Devices.Disks {
		if disk.Device != "disk" || deviceNamed(m.Live.Devices.Disks, aliasOfDisk(disk)) != nil {
			continue
		}
		unplaced := func() any { disk.Address = nil; return disk }
		if err := j.attach(ctx, "disk "+disk.Target.Dev, disk, unplaced); err != nil {
			return err
		}
	}
	for _, disk := range j.body.Disks {
		placed := deviceNamed(m.Defined.Devices.Disks, domainxml.DiskAlias(disk.Name))
		if placed == nil {
			continue
		}
		err := j.grow(ctx, disk, j.diskPath(disk), func(size uint64) error {
			return j.conn.Domain(daemon.ByUUID(j.uuid), func(dom *libvirt.Domain) error {
				return dom.BlockResize(placed.Target.Dev, size, libvirt.DOMAIN_BLOCK_RESIZE_BYTES)
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (j *job) changeDisc(ctx context.Context, drive, want libvirtxml.DomainDisk) error {
	drive.Source, drive.BackingStore = want.Source, nil
	text, err := deviceXML(drive)
	if err != nil {
		return err
	}
	return j.step(ctx, "change the disc", func(dom *libvirt.Domain) error {
		err := dom.UpdateDeviceFlags(text, libvirt.DOMAIN_DEVICE_MODIFY_LIVE)
		if err != nil { // the guest has locked the tray
			return dom.UpdateDeviceFlags(text, libvirt.DOMAIN_DEVICE_MODIFY_LIVE|libvirt.DOMAIN_DEVICE_MODIFY_FORCE)
		}
		return nil
	})
}

func sourceFile(disk libvirtxml.DomainDisk) string {
	if disk.Source == nil || disk.Source.File == nil {
		return ""
	}
	return disk.Source.File.File
}

func aliasOfDisk(disk libvirtxml.DomainDisk) string {
	if disk.Alias == nil {
		return ""
	}
	return disk.Alias.Name
}

func deviceNamed(disks []libvirtxml.DomainDisk, alias string) *libvirtxml.DomainDisk {
	for i := range disks {
		if aliasOfDisk(disks[i]) == alias {
			return &disks[i]
		}
	}
	return nil
}
