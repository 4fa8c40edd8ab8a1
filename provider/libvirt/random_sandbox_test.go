//go:build sandbox

package libvirt

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/machine"
	"github.com/labctl/labctl/schema"
)

// TestNoPhantomDrift applies machines that chance made, each over the one before, and requires that every plan after an
// apply is empty. LABCTL_RANDOM sets how many, LABCTL_SEED which.
func TestNoPhantomDrift(t *testing.T) {
	w := newWorld(t)
	number := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
			return n
		}
		return otherwise
	}
	seed := number("LABCTL_SEED", rand.IntN(1_000_000))
	t.Logf("LABCTL_SEED=%d", seed)
	chance := &chance{rand.New(rand.NewPCG(uint64(seed), 0)), w}
	base := w.vm("a")
	actions := map[provider.Action]int{}
	for i := range number("LABCTL_RANDOM", 200) {
		want := base
		want.Body = chance.domain()
		if chance.IntN(8) == 0 {
			w.reset(want.Addr, nil)
		}
		c, err := w.plan(&want, want.Addr)
		if errors.Is(err, machine.ErrShrink) {
			w.reset(want.Addr, nil)
			c, err = w.plan(&want, want.Addr)
		}
		if err != nil {
			t.Fatalf("machine %d: plan: %v", i, err)
		}
		actions[c.Action]++
		err = w.p.Apply(w.ctx, testLab, c)
		if errors.Is(err, machine.ErrShrink) { // a size that was declared once and not since
			w.reset(want.Addr, nil)
			c, err = w.plan(&want, want.Addr)
			if err == nil {
				err = w.p.Apply(w.ctx, testLab, c)
			}
		}
		if err != nil {
			t.Fatalf("machine %d: %s: %v\n%+v", i, c.Action, err, want.Body)
		}
		w.empty(want)
	}
	t.Logf("actions %v", actions)
	if actions[provider.Create] == 0 || actions[provider.Update] == 0 {
		t.Error("it never created or never updated")
	}
}

// chance makes machines.
type chance struct {
	*rand.Rand
	w *world
}

func pick[T any](c *chance, list ...T) T { return list[c.IntN(len(list))] }

func (c *chance) domain() *schema.Domain {
	d := &schema.Domain{
		Name: "t-a", Virt: "qemu", VCPUs: 1 + c.IntN(3), Memory: uint64(64+c.IntN(100))<<20 + uint64(c.IntN(2)*c.IntN(1<<20)),
		Description: pick(c, "", "plain", "<&>\"' \t é 漢", "two\nlines"), Autostart: c.IntN(2) == 0,
		CPU: pick(c, "", "", "maximum", "Nehalem", "qemu64"), Machine: pick(c, "", "", "q35", "pc", "pc-q35-7.1", "pc-i440fx-6.0"),
		Timeouts: schema.Timeouts{Shutdown: float64(c.IntN(3)) / 2},
		Boot:     schema.Boot{Cmdline: pick(c, "", "", "console=ttyS0 a=\"b c\" & <d>")},
		XML:      pick(c, "", "", "", "<devices><sound model='ich9'/></devices>", "<title>a &amp; b</title>"),
	}
	if c.IntN(2) == 0 {
		d.MaxMemory = d.Memory + uint64(c.IntN(64))<<20
		d.MaxVCPUs = d.VCPUs + c.IntN(3)
	}
	if c.IntN(10) != 0 {
		d.Image, d.Seed = c.w.image(), &schema.Guest{Domain: d.Name}
	}
	if c.IntN(3) == 0 {
		d.CDROM = filepath.Join(c.w.p.root, pick(c, "one.iso", "two.iso"))
	}
	if c.IntN(3) == 0 {
		d.Boot.Order = pick(c, []string{"network"}, []string{"network", "hd"}, []string{"cdrom", "hd", "network"})
	}
	if c.IntN(4) == 0 {
		d.Boot.Kernel, d.Boot.Initrd = "/boot/kernel", pick(c, "", "/boot/initrd")
	}
	c.disks(d)
	c.cards(d)
	c.devices(d)
	return d
}

func (c *chance) disks(d *schema.Domain) {
	for i := range c.IntN(4) {
		disk := schema.Disk{
			Name: fmt.Sprintf("d%d", i), Size: uint64(1+c.IntN(4)) << 20, Bus: pick(c, "", "virtio", "scsi", "sata", "usb"),
			Format: pick(c, "", "", "", "", "qcow2", "raw"), ReadOnly: c.IntN(4) == 0,
		}
		if c.IntN(4) == 0 {
			disk.Source, disk.Size, disk.Format = "/srv/some.img", 0, "raw"
			disk.Shareable = c.IntN(2) == 0
		}
		if disk.Bus == "sata" && disk.ReadOnly {
			disk.ReadOnly = false // AHCI knows no disk that is read only
		}
		if c.IntN(5) == 0 {
			disk.BootOrder = i + 1
		}
		d.Disks = append(d.Disks, disk)
	}
	if d.Image != nil && c.IntN(4) == 0 {
		d.Disks = append(d.Disks, schema.Disk{Name: "root", Size: uint64(16+c.IntN(8)) << 20})
	}
	c.Shuffle(len(d.Disks), func(i, j int) { d.Disks[i], d.Disks[j] = d.Disks[j], d.Disks[i] })
}

func (c *chance) cards(d *schema.Domain) {
	for i := range c.IntN(4) {
		nic := schema.NIC{
			Name: pick(c, "eth", "wan.", "lan-") + strconv.Itoa(i), Bridge: pick(c, "tbr0", "tbr1"), Link: pick(c, "up", "up", "down", ""),
			Model: pick(c, "virtio", "", "e1000", "e1000e", "rtl8139"),
			MAC:   pick(c, fmt.Sprintf("52:54:00:00:00:%02x", c.IntN(256)), schema.InterfaceMAC(testLab, schema.Addr{Kind: "vm", Name: "a"}, strconv.Itoa(i)), "52:54:00:AB:CD:0"+strconv.Itoa(i)),
			MTU:   pick(c, 0, 0, 1400, 9000),
		}
		if c.IntN(4) == 0 {
			nic.Bridge, nic.Network = "", "some"
		}
		d.Interfaces = append(d.Interfaces, nic)
	}
	seen := map[string]bool{}
	for i := range d.Interfaces {
		for seen[d.Interfaces[i].MAC] {
			d.Interfaces[i].MAC = fmt.Sprintf("52:54:00:11:11:%02x", c.IntN(256))
		}
		seen[d.Interfaces[i].MAC] = true
	}
}

func (c *chance) devices(d *schema.Domain) {
	char := func() schema.CharDevice {
		return pick(c, schema.CharDevice{Type: "pty"}, schema.CharDevice{Type: "file", Path: "/tmp/x"},
			schema.CharDevice{Type: "tcp", Path: "127.0.0.1:4444"}, schema.CharDevice{Type: "unix", Path: "/tmp/y"}, schema.CharDevice{})
	}
	for range c.IntN(3) {
		d.Serials = append(d.Serials, char())
	}
	for range c.IntN(2) {
		d.Consoles = append(d.Consoles, pick(c, schema.CharDevice{Type: "pty", Target: "virtio"}, schema.CharDevice{Type: "pty", Target: "serial"}, schema.CharDevice{}))
	}
	for i := range c.IntN(3) {
		one := char()
		one.Target = fmt.Sprintf("org.example.%d", i)
		d.Channels = append(d.Channels, one)
	}
	if c.IntN(3) == 0 {
		d.Graphics = append(d.Graphics, pick(c, schema.Graphics{Type: "vnc"}, schema.Graphics{Type: "vnc", Listen: "0.0.0.0", Port: 5999}, schema.Graphics{Type: "vnc", Listen: "127.0.0.1"}))
	}
	if c.IntN(3) == 0 {
		d.RNG = &schema.RNG{Source: pick(c, "/dev/random", "/dev/urandom", "/dev/hwrng")}
	}
	if c.IntN(3) == 0 {
		d.Watchdog = &schema.Watchdog{Model: "i6300esb", Action: pick(c, "reset", "poweroff", "none", "")}
	}
	if c.IntN(4) == 0 {
		d.Filesystems = append(d.Filesystems, schema.Filesystem{Source: "/srv", Target: "srv", Driver: pick(c, "9p", "virtiofs")})
	}
	if c.IntN(4) == 0 {
		d.HostDevs = append(d.HostDevs, pick(c, schema.HostDev{USB: "1d6b:0002"}, schema.HostDev{PCI: "0000:01:00.0"}))
	}
}
