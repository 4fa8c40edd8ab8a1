//go:build sandbox

package libvirt

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// TestEveryDeviceStarts adds each device to a running machine's declaration and takes it away again: QEMU has to start with
// it, the plan has to be empty with and without it, and what is not live has to say why.
func TestEveryDeviceStarts(t *testing.T) {
	w := newWorld(t)
	vm := w.vm("a", func(d *schema.Domain) { d.Timeouts.Shutdown = 0.1 })
	w.apply(vm, provider.Create)
	image := filepath.Join(w.p.root, "some.img")
	if _, err := (host.Local{}).Run(w.ctx, host.Cmd("qemu-img", "create", "-q", "-f", "raw", image, "1M")); err != nil {
		t.Fatal(err)
	}
	for _, device := range []struct {
		name   string
		action provider.Action
		add    func(d *schema.Domain)
	}{
		{"UEFI", provider.Restart, func(d *schema.Domain) { d.Firmware = "uefi" }},
		{"TPM", provider.Restart, func(d *schema.Domain) { d.TPM = &schema.TPM{Version: "2.0"} }},
		{"VNC", provider.Restart, func(d *schema.Domain) { d.Graphics = []schema.Graphics{{Type: "vnc", Port: 5950}} }},
		{"watchdog", provider.Restart, func(d *schema.Domain) { d.Watchdog = &schema.Watchdog{Model: "i6300esb", Action: "poweroff"} }},
		{"9p", provider.Restart, func(d *schema.Domain) {
			d.Filesystems = []schema.Filesystem{{Source: w.p.root, Target: "root", Driver: "9p", ReadOnly: true}}
		}},
		{"virtiofs", provider.Restart, func(d *schema.Domain) {
			d.Filesystems = []schema.Filesystem{{Source: w.p.root, Target: "root", Driver: "virtiofs"}}
		}},
		{"serial ports", provider.Restart, func(d *schema.Domain) {
			d.Serials = []schema.CharDevice{{Type: "pty"}, {Type: "tcp", Path: "127.0.0.1:4555"}}
		}},
		{"virtio console", provider.Restart, func(d *schema.Domain) { d.Consoles = []schema.CharDevice{{Type: "pty", Target: "virtio"}} }},
		{"channel", provider.Restart, func(d *schema.Domain) { d.Channels = []schema.CharDevice{{Type: "unix", Target: "org.example.0"}} }},
		{"boot order", provider.Restart, func(d *schema.Domain) { d.Boot.Order = []string{"network", "hd"} }},
		{"fragment", provider.Restart, func(d *schema.Domain) { d.XML = "<devices><sound model='ich9'/><audio id='1' type='none'/></devices>" }},
		{"disk on virtio", provider.Update, func(d *schema.Domain) { d.Disks = []schema.Disk{{Name: "d", Size: 1 << 20}} }},
		{"a disk of one's own", provider.Update, func(d *schema.Domain) {
			d.Disks = []schema.Disk{{Name: "d", Source: image, Format: "raw", ReadOnly: true}}
		}},
		{"disk on SATA", provider.Restart, func(d *schema.Domain) { d.Disks = []schema.Disk{{Name: "d", Size: 1 << 20, Bus: "sata"}} }},
		{"disk on SCSI", provider.Restart, func(d *schema.Domain) { d.Disks = []schema.Disk{{Name: "d", Size: 1 << 20, Bus: "scsi"}} }},
		{"disk on USB", provider.Restart, func(d *schema.Domain) { d.Disks = []schema.Disk{{Name: "d", Size: 1 << 20, Bus: "usb"}} }},
		{"card on a port", provider.Update, func(d *schema.Domain) {
			d.Interfaces = append(d.Interfaces, schema.NIC{Name: "eth1", Bridge: "tbr1", MAC: "52:54:00:00:00:31", Model: "e1000e"})
		}},
		{"virtual processors to spare", provider.Restart, func(d *schema.Domain) { d.MaxVCPUs = 4 }},
	} {
		with := vm
		device.add(body(&with))
		if c := w.apply(with, device.action); device.action == provider.Restart && !saysWhy(c) {
			t.Errorf("%s: the restart has no reason: %+v", device.name, c.Details)
		}
		c, err := w.plan(&vm, vm.Addr)
		if err != nil {
			t.Fatal(err)
		}
		if c.Action == provider.Update {
			w.up("t-a") // it lets go of devices once it is up
		}
		w.apply(vm, c.Action)
		t.Logf("%s: %s, taken away: %s", device.name, device.action, c.Action)
	}
}

func saysWhy(c provider.Change) bool {
	for _, d := range c.Details {
		if d.Effect == provider.OnRestart && d.Why != "" && strings.Contains(c.Why, d.Why) {
			return true
		}
	}
	return false
}

// TestInstallerDisc: the disc in the drive is changed while the machine runs.
func TestInstallerDisc(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"one.iso", "two.iso"} {
		if err := os.WriteFile(filepath.Join(w.p.root, name), make([]byte, 64<<10), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	vm := w.vm("a", func(d *schema.Domain) { d.Timeouts.Shutdown, d.CDROM = 0.1, filepath.Join(w.p.root, "one.iso") })
	w.apply(vm, provider.Create)
	first := w.id("t-a")
	body(&vm).CDROM = filepath.Join(w.p.root, "two.iso")
	c := w.apply(vm, provider.Update)
	if !hasPath(c, "cdrom") || w.id("t-a") != first {
		t.Errorf("details %+v; want the disc changed with the machine running on", c.Details)
	}
	w.virsh("change-media", "t-a", "sda", "--eject", "--force")
	if c := w.apply(vm, provider.Restart); !hasPath(c, "cdrom") {
		t.Errorf("after the disc was taken out: %+v", c.Details)
	}
}

// TestClone starts a machine as a copy of one that is stopped: its disk is the copy, and changing it leaves the first alone.
func TestClone(t *testing.T) {
	w := newWorld(t)
	first := w.vm("first", func(d *schema.Domain) { d.Timeouts.Shutdown = 0.1 })
	w.apply(first, provider.Create)
	for _, linked := range []bool{false, true} {
		copied := w.vm("copy", func(d *schema.Domain) {
			d.Image, d.Seed = nil, nil
			d.Clone = &schema.Clone{From: "t-first", Linked: linked}
			d.Boot = schema.Boot{Kernel: filepath.Join(w.p.root, "images/tiny-1/kernel"), Initrd: filepath.Join(w.p.root, "images/tiny-1/initrd"), Cmdline: "console=ttyS0"}
		})
		if !linked {
			c, err := w.plan(&copied, copied.Addr)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.p.Apply(w.ctx, testLab, c); err == nil || !strings.Contains(err.Error(), "it runs") {
				t.Errorf("a copy of a running machine: %v, want it refused", err)
			}
			body(&first).Running = false
			w.apply(first, provider.Update)
		}
		w.apply(copied, provider.Create)
		w.up("t-copy")
		body(&copied).Memory = 112 << 20
		w.apply(copied, provider.Update)
		folder := w.p.folders().Of(testLab, "t-copy", schema.UUID(testLab, copied.Addr))
		out, err := host.Local{}.Run(w.ctx, host.Cmd("qemu-img", "info", "-U", "--output=json", filepath.Join(folder, "root.qcow2")))
		if err != nil {
			t.Fatal(err)
		}
		if backed := strings.Contains(string(out.Stdout), "backing-filename"); backed != linked {
			t.Errorf("linked=%v, and the copy's disk says\n%s", linked, out.Stdout)
		}
		w.reset(copied.Addr, nil)
	}
}
