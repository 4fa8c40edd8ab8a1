//go:build sandbox

package osinfo

import (
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/schema"
)

// TestDistributedDatabase reads the database that the distribution ships: every system in it has defaults, and those of some
// are what virt-install(1) chooses.
func TestDistributedDatabase(t *testing.T) {
	began := time.Now()
	c := NewCatalogue(Places(os.Getenv)...)
	names, err := c.Names()
	if err != nil || len(names) < 500 {
		t.Fatalf("%d systems, %v", len(names), err)
	}
	t.Logf("%d systems read in %s", len(names), time.Since(began))
	for _, name := range names {
		d, err := c.Defaults(name, "x86_64", "")
		if err != nil {
			t.Fatal(err)
		}
		if d.ID == "" || d.Name == "" || d.Machine == "" || d.Disk == "" || d.NIC == "" || d.Disk == "ide" && d.Machine != "pc" {
			t.Errorf("%s: %+v", name, *d)
		}
	}
	const gib = 1 << 30
	linux := schema.System{Clock: "utc", Video: "virtio", USB: "qemu-xhci"}
	windows := schema.System{Clock: "localtime", Video: "vga", USB: "qemu-xhci", Cores: true, HyperV: true}
	for name, want := range map[string]schema.OSDefaults{
		"debian11": {ID: "http://debian.org/debian/11", Name: "Debian 11", Machine: "q35", Disk: "virtio", NIC: "virtio", Memory: gib, VCPUs: 1, Storage: 20 * gib, System: linux},
		"debian8": {ID: "http://debian.org/debian/8", Name: "Debian 8", Machine: "pc", Disk: "virtio", NIC: "virtio", Memory: gib, VCPUs: 1, Storage: 20 * gib,
			System: schema.System{Clock: "utc", Video: "vga", USB: "qemu-xhci"}},
		"win11": {ID: "http://microsoft.com/win/11", Name: "Microsoft Windows 11", Machine: "q35", Firmware: "uefi", TPM: true, Disk: "sata", NIC: "e1000e",
			Memory: 4 * gib, VCPUs: 2, Storage: 64 * gib, System: windows},
		"winxp": {ID: "http://microsoft.com/win/xp", Name: "Microsoft Windows XP", Machine: "pc", Disk: "ide", NIC: "e1000", Memory: gib / 2, VCPUs: 1, Storage: 10 * gib,
			System: schema.System{Clock: "localtime", Video: "vga", USB: "piix3-uhci", Cores: true}},
	} {
		got, err := c.Defaults(name, "x86_64", "")
		if err != nil || got == nil {
			t.Fatalf("%s: %v, %v", name, got, err)
		}
		if diff := cmp.Diff(want, *got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
