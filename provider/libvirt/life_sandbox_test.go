//go:build sandbox

package libvirt

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"libvirt.org/go/libvirt"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/daemon"
	"github.com/labctl/labctl/schema"
)

func TestLifeOfAMachine(t *testing.T) {
	w := newWorld(t)
	vm := w.vm("a")
	w.apply(vm, provider.Create)
	t.Logf("steps %q", w.steps)

	c, err := w.plan(nil, vm.Addr)
	if err != nil || c.Action != provider.Delete {
		t.Fatalf("%+v, %v; want a delete", c, err)
	}
	if deps := c.Have.Deps; len(deps) != 1 || deps[0] != vm.Deps[0] {
		t.Errorf("the mark's dependencies are %v, want %v", deps, vm.Deps)
	}
	if err := w.p.Apply(w.ctx, testLab, c); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Join(w.p.root, "labs")); len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := w.p.Apply(w.ctx, testLab, c); err != nil {
		t.Errorf("deleting again: %v", err)
	}
}

// TestUndefinedByHand: the files of a machine that somebody undefined are found by their mark, and go with the lab; where
// the machine is still declared it is made anew, with a disk of its own.
func TestUndefinedByHand(t *testing.T) {
	w := newWorld(t)
	vm := w.vm("a", func(d *schema.Domain) { d.Running = false })
	w.apply(vm, provider.Create)
	folder := w.p.folders().Of(testLab, "t-a", schema.UUID(testLab, vm.Addr))
	old := filepath.Join(folder, "left")
	if err := os.WriteFile(old, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.virsh("undefine", "t-a")
	w.apply(vm, provider.Create)
	if _, err := os.Stat(old); err == nil {
		t.Error("the new machine has the old one's files")
	}
	w.virsh("undefine", "t-a")
	c, err := w.plan(nil, vm.Addr)
	if err != nil || c.Action != provider.Delete {
		t.Fatalf("%+v, %v; want the files deleted", c, err)
	}
	w.reset(vm.Addr, nil)
	if left, err := os.ReadDir(filepath.Join(w.p.root, "labs")); len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// id is the number that libvirt gives a running domain: another one means that it was started anew.
func (w *world) id(name string) uint {
	w.Helper()
	var id uint
	if err := w.conn.Domain(daemon.ByName(name), func(dom *libvirt.Domain) (err error) {
		id, err = dom.GetID()
		return err
	}); err != nil {
		w.Fatal(err)
	}
	return id
}

func (w *world) virsh(args ...string) string {
	w.Helper()
	out, err := host.Local{}.Run(w.ctx, host.Cmd(append([]string{"virsh", "-q", "-c", "qemu:///system"}, args...)...))
	if err != nil {
		w.Fatal(err)
	}
	return string(out.Stdout)
}

// up waits until the guest answers: from then on it lets go of devices.
func (w *world) up(name string) {
	w.Helper()
	if err := w.conn.WaitAgent(w.ctx, name); err != nil {
		w.Fatal(err, w.conn.ConsoleTail(name))
	}
}

func body(r *schema.Resource) *schema.Domain {
	d := *r.Body.(*schema.Domain)
	d.Interfaces = append([]schema.NIC{}, d.Interfaces...)
	d.Disks = append([]schema.Disk{}, d.Disks...)
	r.Body = &d
	return &d
}

// TestLiveChanges changes a running machine in every way that is said to be live, and requires that it is still the same
// run of it, that the next plan is empty, and that it is still so after power was cut and came back.
func TestLiveChanges(t *testing.T) {
	w := newWorld(t)
	vm := w.vm("a", func(d *schema.Domain) { d.MaxMemory, d.MaxVCPUs = 160<<20, 2 })
	w.apply(vm, provider.Create)
	w.up("t-a")
	first := w.id("t-a")
	for _, change := range []struct {
		name string
		path string
		do   func(d *schema.Domain)
	}{
		{"describe", "description", func(d *schema.Domain) { d.Description = "a <b> & c" }},
		{"start with the host", "autostart", func(d *schema.Domain) { d.Autostart = true }},
		{"not any more", "autostart", func(d *schema.Domain) { d.Autostart = false }},
		{"unplug the cable", "interface.eth0.link", func(d *schema.Domain) { d.Interfaces[0].Link = "down" }},
		{"plug it in", "interface.eth0.link", func(d *schema.Domain) { d.Interfaces[0].Link = "up" }},
		{"move to another bridge", "interface.eth0.bridge", func(d *schema.Domain) { d.Interfaces[0].Bridge = "tbr1" }},
		{"smaller packets", "interface.eth0.mtu", func(d *schema.Domain) { d.Interfaces[0].MTU = 1400 }},
		{"as before", "interface.eth0.mtu", func(d *schema.Domain) { d.Interfaces[0].MTU = 0 }},
		{"another MAC", "interface.eth0.mac", func(d *schema.Domain) { d.Interfaces[0].MAC = "52:54:00:00:00:77" }},
		{"another card", "interface.eth0.model", func(d *schema.Domain) { d.Interfaces[0].Model = "e1000e" }},
		{"a second card", "interface.eth1", func(d *schema.Domain) {
			d.Interfaces = append(d.Interfaces, schema.NIC{Name: "eth1", Bridge: "tbr0", MAC: "52:54:00:00:00:78", Model: "virtio", Link: "up", MTU: 1300})
		}},
		{"larger packets", "interface.eth1.mtu", func(d *schema.Domain) { d.Interfaces[1].MTU = 1350 }},
		{"without the first", "interface.eth0", func(d *schema.Domain) { d.Interfaces = d.Interfaces[1:] }},
		{"less memory", "memory", func(d *schema.Domain) { d.Memory = 112 << 20 }},
		{"more memory", "memory", func(d *schema.Domain) { d.Memory = 144 << 20 }},
		{"another processor", "vcpus", func(d *schema.Domain) { d.VCPUs = 2 }},
		{"a disk", "disk.data", func(d *schema.Domain) {
			d.Disks = append(d.Disks, schema.Disk{Name: "data", Size: 8 << 20})
		}},
		{"a larger one", "disk.data.size", func(d *schema.Domain) { d.Disks[0].Size = 12 << 20 }},
		{"a root disk with a size", "disk.root.size", func(d *schema.Domain) {
			d.Disks = append(d.Disks, schema.Disk{Name: "root", Size: 24 << 20})
		}},
		{"no disk", "disk.data", func(d *schema.Domain) { d.Disks = d.Disks[1:] }},
		{"less patience", "timeouts", func(d *schema.Domain) { d.Timeouts.Shutdown = 1 }},
	} {
		change.do(body(&vm))
		c := w.apply(vm, provider.Update)
		if len(c.Details) != 1 || c.Details[0].Path != change.path || c.Details[0].Effect != provider.Live {
			t.Errorf("%s: details %+v, want just %s, live", change.name, c.Details, change.path)
		}
		if now := w.id("t-a"); now != first {
			t.Fatalf("%s: the machine was started anew", change.name)
		}
	}
	w.virsh("destroy", "t-a")
	w.virsh("start", "t-a")
	w.up("t-a")
	for range 50 { // the balloon takes its time after the agent answers
		if c, err := w.plan(&vm, vm.Addr); err != nil || !hasPath(c, "memory") {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.empty(vm)
}

// TestRestart changes what can only be changed by a restart, and says so; a machine that is off needs none.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	vm := w.vm("a", func(d *schema.Domain) { d.Timeouts.Shutdown = 0.1 })
	w.apply(vm, provider.Create)
	for _, change := range []struct {
		path string
		do   func(d *schema.Domain)
	}{
		{"memory", func(d *schema.Domain) { d.Memory = 144 << 20 }},
		{"vcpus", func(d *schema.Domain) { d.VCPUs = 2 }},
		{"boot", func(d *schema.Domain) { d.Boot.Cmdline = "console=ttyS0" }},
		{"machine", func(d *schema.Domain) { d.Machine = "pc" }},
		{"cpu", func(d *schema.Domain) { d.CPU = "Nehalem" }},
		{"rng", func(d *schema.Domain) { d.RNG = &schema.RNG{Source: "/dev/random"} }},
		{"watchdog", func(d *schema.Domain) { d.Watchdog = &schema.Watchdog{Model: "i6300esb", Action: "reset"} }},
		{"graphics", func(d *schema.Domain) { d.Graphics = []schema.Graphics{{Type: "vnc"}} }},
		{"cdrom", func(d *schema.Domain) { d.CDROM = filepath.Join(w.p.root, "images", "tiny-1", "initrd") }},
		{"interface.eth0.pci", func(d *schema.Domain) { d.Machine, d.Interfaces[0].PCI = "", "0000:02:00.0" }},
		{"max_memory", func(d *schema.Domain) { d.MaxMemory = 160 << 20 }},
		{"name", func(d *schema.Domain) { d.Name = "t-renamed" }},
	} {
		was := w.id(body(&vm).Name)
		change.do(body(&vm))
		c := w.apply(vm, provider.Restart)
		if worst := provider.Worst(c.Details); worst != provider.OnRestart || c.Details[len(c.Details)-1].Path != change.path && len(c.Details) == 1 {
			t.Errorf("%s: details %+v, want it, with a restart", change.path, c.Details)
		}
		for _, d := range c.Details {
			if d.Effect == provider.OnRestart && d.Why == "" {
				t.Errorf("%s: it does not say why it restarts", d.Path)
			}
		}
		if now := w.id(body(&vm).Name); now == was {
			t.Errorf("%s: the machine runs on without the change", change.path)
		}
	}
	body(&vm).Running = false
	w.apply(vm, provider.Update)
	body(&vm).Memory = 96 << 20
	body(&vm).MaxMemory = 0
	w.apply(vm, provider.Update)
}

// TestForeign: what the lab did not make is never touched, and can be taken over and let go of.
func TestForeign(t *testing.T) {
	w := newWorld(t)
	vm := w.vm("a", func(d *schema.Domain) { d.Running, d.Image, d.Seed = false, nil, nil })
	path := filepath.Join(t.TempDir(), "d.xml")
	xml := "<domain type='qemu'><name>t-a</name><memory>131072</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os>" +
		"<devices>" + nicXML(body(&vm).Interfaces[0].MAC, "tbr1", "") + "</devices></domain>"
	if err := os.WriteFile(path, []byte(xml), 0o644); err != nil {
		t.Fatal(err)
	}
	w.virsh("define", path)
	t.Cleanup(func() {
		_ = w.conn.Domain(daemon.ByName("t-a"), func(dom *libvirt.Domain) error { return dom.Undefine() })
	})
	before := w.virsh("dumpxml", "t-a")
	if _, err := w.plan(&vm, vm.Addr); !errors.Is(err, provider.ErrForeign) {
		t.Fatalf("planned over a foreign domain: %v", err)
	}
	create := provider.Change{Addr: vm.Addr, Action: provider.Create, Want: &vm}
	if err := w.p.Apply(w.ctx, testLab, create); !errors.Is(err, provider.ErrForeign) {
		t.Fatalf("applied over a foreign domain: %v", err)
	}
	if now := w.virsh("dumpxml", "t-a"); now != before {
		t.Fatal("the foreign domain was changed")
	}
	if err := w.p.Import(w.ctx, testLab, vm, "t-a"); err != nil {
		t.Fatal(err)
	}
	c := w.apply(vm, provider.Update)
	if !hasPath(c, "interface.eth0.bridge") {
		t.Errorf("after the import: %+v, want the bridge to differ", c.Details)
	}
	forget, err := w.plan(&vm, vm.Addr)
	if err != nil {
		t.Fatal(err)
	}
	forget.Action = provider.Forget
	if err := w.p.Apply(w.ctx, testLab, forget); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(w.virsh("dumpxml", "t-a"), schema.XMLNamespace) {
		t.Error("the mark is still there")
	}
	if _, err := w.plan(&vm, vm.Addr); !errors.Is(err, provider.ErrForeign) {
		t.Errorf("after it was let go of: %v, want it foreign", err)
	}
}

func hasPath(c provider.Change, path string) bool {
	for _, d := range c.Details {
		if d.Path == path {
			return true
		}
	}
	return false
}

// TestRefusedChangeKeepsTheDefinition: what libvirt refuses to define, or QEMU to start, leaves the old definition in
// place, and a machine that ran on it runs again.
func TestRefusedChangeKeepsTheDefinition(t *testing.T) {
	w := newWorld(t)
	for _, running := range []bool{false, true} {
		vm := w.vm("a", func(d *schema.Domain) { d.Running, d.Timeouts.Shutdown = running, 0.2 })
		w.apply(vm, map[bool]provider.Action{false: provider.Create, true: provider.Update}[running])
		before := w.virsh("dumpxml", "t-a", "--inactive")
		for name, change := range map[string]func(*schema.Domain){
			"no such machine":  func(d *schema.Domain) { d.Machine = "pc-q35-99.9" },
			"no such CPU":      func(d *schema.Domain) { d.CPU = "no-such-cpu" },
			"no such element":  func(d *schema.Domain) { d.XML = "<devices><disk type='nothing'/></devices>" },
			"no such PCI slot": func(d *schema.Domain) { d.Interfaces[0].PCI = "0000:ff:1f.7" },
			"a smaller disk":   func(d *schema.Domain) { d.Disks = []schema.Disk{{Name: "root", Size: 1 << 20}} },
			"no such disk":     func(d *schema.Domain) { d.Disks = []schema.Disk{{Name: "x", Source: "/no/such/disk", Bus: "sata"}} },
		} {
			if name == "no such disk" && !running {
				continue // it may be there when somebody starts the machine
			}
			bad := vm
			change(body(&bad))
			if name == "no such CPU" || name == "no such machine" {
				if errs := w.p.Check(w.ctx, []schema.Resource{bad}); len(errs) != 1 {
					t.Errorf("%s: the check says %v, want one error", name, errs)
				}
				if !running && name == "no such CPU" {
					continue // libvirt itself would find out only at the start
				}
			}
			c, err := w.plan(&bad, bad.Addr)
			if err == nil {
				err = w.p.Apply(w.ctx, testLab, c)
			}
			if err == nil {
				t.Errorf("%s: it was taken", name)
			}
			if now := w.virsh("dumpxml", "t-a", "--inactive"); now != before {
				t.Fatalf("%s: the definition was changed:\n%s", name, now)
			}
			if state := strings.TrimSpace(w.virsh("domstate", "t-a")); running && state != "running" {
				t.Errorf("%s: the machine is %s", name, state)
			}
			w.empty(vm)
		}
	}
}

// hears waits until the text has been said.
func (w *world) hears(said <-chan string, heard, text string) string {
	w.Helper()
	deadline := time.After(30 * time.Second)
	for !strings.Contains(heard, text) {
		select {
		case more, ok := <-said:
			if !ok {
				w.Fatalf("the console ended with %q", heard)
			}
			heard += more
		case <-deadline:
			w.Fatalf("heard %q and not %q", heard, text)
		}
	}
	return heard
}
