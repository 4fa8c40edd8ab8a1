//go:build sandbox

package libvirt

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// TestDrift changes things behind labctl's back, and requires that the plan names each one, that one apply mends it with
// the machine running on, and that the plan is empty then.
func TestDrift(t *testing.T) {
	w := newWorld(t)
	vm := w.vm("a", func(d *schema.Domain) { d.MaxMemory, d.MaxVCPUs = 160<<20, 2 })
	w.apply(vm, provider.Create)
	w.up("t-a")
	first := w.id("t-a")
	mac := body(&vm).Interfaces[0].MAC
	for _, drift := range []struct {
		name string
		path string
		do   func()
	}{
		{"the tap is moved by ip", "interface.eth0.bridge", func() { w.ip("link", "set", w.tap("t-a"), "master", "tbr1") }},
		{"the tap is taken off", "interface.eth0.bridge", func() { w.ip("link", "set", w.tap("t-a"), "nomaster") }},
		{"the bridge is made anew", "interface.eth0.bridge", func() {
			w.ip("link", "del", "tbr0")
			w.ip("link", "add", "tbr0", "type", "bridge")
			w.ip("link", "set", "tbr0", "up")
		}},
		{"another bridge, live", "interface.eth0.bridge", func() { w.device("update-device", nicXML(mac, "tbr1", "ua-eth0"), "--live") }},
		{"another bridge, in the definition", "interface.eth0.bridge", func() { w.device("update-device", nicXML(mac, "tbr1", "ua-eth0"), "--config") }},
		{"another bridge, both", "interface.eth0.bridge", func() { w.device("update-device", nicXML(mac, "tbr1", "ua-eth0"), "--live", "--config") }},
		{"the link goes down", "interface.eth0.link", func() { w.virsh("domif-setlink", "t-a", mac, "down") }},
		{"a card is added", `interface["52:54:00:99:99:99"]`, func() { w.device("attach-device", nicXML("52:54:00:99:99:99", "tbr0", ""), "--live") }},
		{"a card is added, in the definition", `interface["52:54:00:99:99:99"]`, func() { w.device("attach-device", nicXML("52:54:00:99:99:99", "tbr0", ""), "--config") }},
		{"the card is taken, in the definition", "interface.eth0", func() { w.virsh("detach-interface", "t-a", "bridge", "--mac", mac, "--config") }},
		{"memory", "memory", func() { w.virsh("setmem", "t-a", "112M", "--live"); time.Sleep(2 * time.Second) }},
		{"memory, in the definition", "memory", func() { w.virsh("setmem", "t-a", "112M", "--config") }},
		{"processors, in the definition", "vcpus", func() { w.virsh("setvcpus", "t-a", "2", "--config") }},
		{"the description", "description", func() { w.virsh("desc", "t-a", "--config", "--live", "mine") }},
		{"autostart", "autostart", func() { w.virsh("autostart", "t-a") }},
		{"paused", "running", func() { w.virsh("suspend", "t-a") }},
	} {
		drift.do()
		c := w.apply(vm, provider.Update)
		if len(c.Details) != 1 || c.Details[0].Path != drift.path {
			t.Errorf("%s: details %+v, want just %s", drift.name, c.Details, drift.path)
		}
		if now := w.id("t-a"); now != first {
			t.Fatalf("%s: the machine was started anew", drift.name)
		}
	}
	w.virsh("destroy", "t-a")
	c := w.apply(vm, provider.Update)
	if len(c.Details) != 1 || c.Details[0].Path != "running" || len(w.steps) != 1 || w.steps[0] != "start" {
		t.Errorf("a machine that is off: details %+v, steps %q; want it started and no more", c.Details, w.steps)
	}
}

func (w *world) ip(args ...string) {
	w.Helper()
	if _, err := (host.Local{}).Run(w.ctx, host.Cmd(append([]string{"ip"}, args...)...)); err != nil {
		w.Fatal(err)
	}
}

// tap is the host's end of a machine's first card.
func (w *world) tap(name string) string {
	w.Helper()
	all, err := w.conn.Status(w.ctx, testLab)
	if err != nil {
		w.Fatal(err)
	}
	for _, s := range all {
		if s.Name == name {
			return s.Cards[0].Tap
		}
	}
	w.Fatalf("no machine %s in %+v", name, all)
	return ""
}

func (w *world) device(command, xml string, flags ...string) {
	w.Helper()
	path := filepath.Join(w.TempDir(), "device.xml")
	if err := os.WriteFile(path, []byte(xml), 0o644); err != nil {
		w.Fatal(err)
	}
	w.virsh(append([]string{command, "t-a", path}, flags...)...)
}

func nicXML(mac, bridge, alias string) string {
	text := "<interface type='bridge'><mac address='" + mac + "'/><source bridge='" + bridge + "'/><model type='virtio'/>"
	if alias != "" {
		text += "<alias name='" + alias + "'/>"
	}
	return text + "</interface>"
}
