//go:build debian

// The tests under this tag need no sandbox: their machines have no network. They need Debian's archive, for mmdebstrap, and minutes.
package image_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/internal/seed"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/image"
	"github.com/labctl/labctl/provider/image/debian"
	"github.com/labctl/labctl/schema"
)

// bootDebian boots a guest of the image to the end of its first boot.
func bootDebian(t *testing.T, paths image.Paths, name string) *machine {
	t.Helper()
	dir := t.TempDir()
	iso, err := seed.Disc{InstanceID: name, Guest: &schema.Guest{Domain: name, Hostname: name}}.Build()
	if err != nil {
		t.Fatal(err)
	}
	disc := filepath.Join(dir, "seed.iso")
	if err := os.WriteFile(disc, iso, 0o600); err != nil {
		t.Fatal(err)
	}
	m := start(t, dir, paths, debian.Cmdline, "-m", "512", "-device", "virtio-rng-pci", "-drive", "if=virtio,format=raw,readonly=on,file="+disc)
	t.Logf("%s: the agent answered after %v", name, m.booted.Round(10*time.Millisecond))
	if said := m.exec("cloud-init", "status", "--wait", "--long"); !strings.Contains(said, "status: done") {
		t.Errorf("%s: cloud-init: %s", name, said)
	}
	return m
}

func TestDebianBoots(t *testing.T) {
	img := &schema.Image{Name: "debian", Build: "debian", Packages: []string{"tree"}}
	img.Key = schema.ImageKey(*img)
	p := image.New(host.Local{}, t.TempDir(), image.Options{})
	apply(t, p, img, provider.Create)
	paths, err := p.Pool().Paths(img.Key)
	if err != nil {
		t.Fatal(err)
	}
	identities := map[string]bool{}
	for _, name := range []string{"first", "second"} {
		m := bootDebian(t, paths, name)
		if have := m.exec("hostname"); have != name+"\n" {
			t.Errorf("%s: its name is %q", name, have)
		}
		if failed := m.exec("systemctl", "--failed", "--plain", "--no-legend"); failed != "" {
			t.Errorf("%s: failed units:\n%s", name, failed)
		}
		if state := m.exec("systemctl", "is-active", "systemd-networkd", "systemd-resolved", "ssh", "qemu-guest-agent"); state != strings.Repeat("active\n", 4) {
			t.Errorf("%s: units are %q", name, state)
		}
		m.exec("tree", "--version")
		m.exec("nft", "add table ip t { chain c { type nat hook postrouting priority 100; masquerade; }; }")
		identities[m.exec("cat", "/etc/machine-id", "/etc/ssh/ssh_host_ed25519_key.pub")] = true
		m.powerOff(m.agent, shutdown)
	}
	if len(identities) != 2 {
		t.Errorf("two guests have the same machine-id and host key: %v", identities)
	}
}
