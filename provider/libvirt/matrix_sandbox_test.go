//go:build sandbox

package libvirt

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// attribute is one argument, or some of one block, through its life: it is given, changed and taken away again, each at the
// cost that the plan says.
type attribute struct {
	args                  string // by their paths in the table of blocks
	give, change          func(d *schema.Domain)
	given, changed, taken provider.Action
}

// TestAttributeMatrix takes each argument of a machine through its life on a running domain: the plan has to say what it
// costs, it has to cost just that (a machine that is changed live is still the same run of it), and the plan after it has to
// be empty. What other tests here take through is not repeated: network cards, memory, processors, sizes of disks.
func TestAttributeMatrix(t *testing.T) {
	w := newWorld(t)
	vm := w.vm("a", func(d *schema.Domain) { d.Timeouts.Shutdown = 0.1 })
	w.apply(vm, provider.Create)
	for _, name := range []string{"one.img", "two.img"} {
		if _, err := (host.Local{}).Run(w.ctx, host.Cmd("qemu-img", "create", "-q", "-f", "raw", filepath.Join(w.p.root, name), "1M")); err != nil {
			t.Fatal(err)
		}
	}
	w.surround()
	for _, a := range w.matrix() {
		t.Run(a.args, func(t *testing.T) {
			bare := vm
			body(&bare)
			next := vm
			a.give(body(&next))
			w.costs(t, next, a.given)
			a.change(body(&next))
			w.costs(t, next, a.changed)
			if a.taken == provider.Update && w.running() {
				w.up("t-a") // it lets go of devices once it is up
			}
			w.costs(t, bare, a.taken)
		})
	}
}

// costs applies and demands that it costs what is said.
func (w *world) costs(t *testing.T, vm schema.Resource, action provider.Action) {
	t.Helper()
	ran, before := w.running(), uint(0)
	if ran {
		before = w.id("t-a")
	}
	c, err := w.plan(&vm, vm.Addr)
	if err != nil {
		t.Fatal(err)
	}
	if c.Action != action {
		t.Fatalf("the plan is %s %q %+v, want %s", c.Action, c.Why, c.Details, action)
	}
	if action == provider.Restart && !saysWhy(c) {
		t.Errorf("the restart has no reason: %+v", c.Details)
	}
	if err := w.p.Apply(w.ctx, testLab, c); err != nil {
		t.Fatal(err)
	}
	if ran && w.running() {
		if same := w.id("t-a") == before; same != (action == provider.Update || action == provider.NoOp) {
			t.Errorf("%s: the machine runs on: %t", action, same)
		}
	}
	if c, err = w.plan(&vm, vm.Addr); err != nil || c.Action != provider.NoOp {
		t.Fatalf("the plan after it is %s %q %+v, %v", c.Action, c.Why, c.Details, err)
	}
}

// matrix is every row.
func (w *world) matrix() []attribute {
	return slices.Concat(w.devices(), w.disksAndBoot(), w.others())
}

func (w *world) running() bool { return strings.TrimSpace(w.virsh("domstate", "t-a")) == "running" }

const nothing, live, restart, replace = provider.NoOp, provider.Update, provider.Restart, provider.Replace

func (w *world) devices() []attribute {
	return []attribute{
		{"description", func(d *schema.Domain) { d.Description = "a" }, func(d *schema.Domain) { d.Description = "b" }, live, live, live},
		{"timeouts.agent timeouts.boot timeouts.shutdown", func(d *schema.Domain) { d.Timeouts.Agent, d.Timeouts.Boot = 10, 5 }, func(d *schema.Domain) { d.Timeouts = schema.Timeouts{Agent: 20, Boot: 10, Shutdown: 0.2} }, live, live, live},
		{"autostart", func(d *schema.Domain) { d.Autostart = true }, func(d *schema.Domain) { d.Description = "too" }, live, live, live},
		{"graphics.type graphics.port graphics.listen", func(d *schema.Domain) { d.Graphics = []schema.Graphics{{Type: "vnc", Port: 5951}} },
			func(d *schema.Domain) {
				d.Graphics[0] = schema.Graphics{Type: "spice", Port: 5952, Listen: "127.0.0.1"}
			}, restart, restart, restart},
		{"rng.source", func(d *schema.Domain) { d.RNG = &schema.RNG{Source: "/dev/urandom"} },
			func(d *schema.Domain) { d.RNG = &schema.RNG{Source: "/dev/random"} }, restart, restart, restart},
		{"tpm.version tpm.model", func(d *schema.Domain) { d.TPM = &schema.TPM{Version: "2.0"} },
			func(d *schema.Domain) { d.TPM = &schema.TPM{Version: "1.2", Model: "tpm-tis"} }, restart, restart, restart},
		{"watchdog.model watchdog.action", func(d *schema.Domain) { d.Watchdog = &schema.Watchdog{Model: "i6300esb", Action: "reset"} },
			func(d *schema.Domain) { d.Watchdog = &schema.Watchdog{Model: "ib700", Action: "poweroff"} }, restart, restart, restart},
		{"filesystem.target filesystem.readonly", func(d *schema.Domain) {
			d.Filesystems = []schema.Filesystem{{Source: w.p.root, Target: "one", Driver: "9p"}}
		}, func(d *schema.Domain) {
			d.Filesystems = []schema.Filesystem{{Source: w.p.root, Target: "two", Driver: "9p", ReadOnly: true}}
		}, restart, restart, restart},
		{"serial.type serial.path", func(d *schema.Domain) {
			d.Serials = []schema.CharDevice{{Type: "pty"}, {Type: "tcp", Path: "127.0.0.1:4556"}}
		},
			func(d *schema.Domain) {
				d.Serials = []schema.CharDevice{{Type: "pty"}, {Type: "tcp", Path: "127.0.0.1:4557"}}
			}, restart, restart, restart},
		{"console.type console.target console.path", func(d *schema.Domain) { d.Consoles = []schema.CharDevice{{Type: "pty", Target: "virtio"}} },
			func(d *schema.Domain) {
				d.Consoles = []schema.CharDevice{{Type: "unix", Target: "virtio", Path: filepath.Join(w.p.root, "console")}, {Type: "pty", Target: "virtio"}}
			}, restart, restart, restart},
		{"channel.type channel.target channel.path", func(d *schema.Domain) { d.Channels = []schema.CharDevice{{Type: "unix", Target: "org.example.0"}} },
			func(d *schema.Domain) {
				d.Channels = []schema.CharDevice{{Type: "unix", Target: "org.example.1", Path: filepath.Join(w.p.root, "channel")}}
			}, restart, restart, restart},
		{"xml", func(d *schema.Domain) { d.XML = "<devices><sound model='ich9'/><audio id='1' type='none'/></devices>" },
			func(d *schema.Domain) { d.XML = "<devices><sound model='ac97'/><audio id='1' type='none'/></devices>" }, restart, restart, restart},
	}
}

func (w *world) disksAndBoot() []attribute {
	disk := func(disk schema.Disk) func(d *schema.Domain) {
		return func(d *schema.Domain) { d.Disks = []schema.Disk{disk} }
	}
	one, two := filepath.Join(w.p.root, "one.img"), filepath.Join(w.p.root, "two.img")
	return []attribute{
		{"cpu", func(d *schema.Domain) { d.CPU = "Nehalem" }, func(d *schema.Domain) { d.CPU = "Westmere" }, restart, restart, restart},
		{"machine", func(d *schema.Domain) { d.Machine = "pc" }, func(d *schema.Domain) { d.Machine = "q35" }, restart, restart, nothing},
		{"firmware", func(d *schema.Domain) { d.Firmware = "uefi" }, func(d *schema.Domain) { d.Firmware = "bios" }, restart, restart, nothing},
		{"arch", func(d *schema.Domain) { d.Arch = "x86_64" }, func(d *schema.Domain) { d.Description = "with it" }, nothing, live, live},
		{"boot.cmdline", func(d *schema.Domain) { d.Boot.Cmdline = "console=ttyS0" }, func(d *schema.Domain) { d.Boot.Cmdline = "console=ttyS0 quiet x" }, restart, restart, restart},
		{"boot.order", func(d *schema.Domain) { d.Boot.Order = []string{"network", "hd"} },
			func(d *schema.Domain) { d.Boot.Order = []string{"hd", "network"} }, restart, restart, restart},
		{"max_vcpus", func(d *schema.Domain) { d.MaxVCPUs = 2 }, func(d *schema.Domain) { d.MaxVCPUs = 3 }, restart, restart, restart},
		{"max_memory", func(d *schema.Domain) { d.MaxMemory = 144 << 20 }, func(d *schema.Domain) { d.MaxMemory = 160 << 20 }, restart, restart, restart},
		{"disk.source", disk(schema.Disk{Name: "d", Source: one, Format: "raw"}), disk(schema.Disk{Name: "d", Source: two, Format: "raw"}), live, restart, live},
		{"disk.bus", disk(schema.Disk{Name: "d", Size: 1 << 20}), disk(schema.Disk{Name: "d", Size: 1 << 20, Bus: "sata"}), live, restart, restart},
		{"disk.readonly", disk(schema.Disk{Name: "d", Source: one, Format: "raw"}),
			disk(schema.Disk{Name: "d", Source: one, Format: "raw", ReadOnly: true}), live, restart, live},
		{"disk.shareable", disk(schema.Disk{Name: "d", Source: one, Format: "raw"}),
			disk(schema.Disk{Name: "d", Source: one, Format: "raw", Shareable: true}), live, restart, live},
		{"disk.format", disk(schema.Disk{Name: "d", Size: 1 << 20}), disk(schema.Disk{Name: "d", Size: 1 << 20, Format: "raw"}), live, replace, live},
	}
}
