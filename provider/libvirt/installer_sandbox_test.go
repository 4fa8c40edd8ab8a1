//go:build sandbox

package libvirt

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/filesystem/iso9660"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/domainxml"
	"github.com/labctl/labctl/schema"
)

// bootSector says text on the first serial port and stops. The firmware loads it at 0x7c00.
func bootSector(text string) []byte {
	code := []byte{
		0x31, 0xc0, // xor ax, ax
		0x8e, 0xd8, // mov ds, ax
		0xbe, 0x15, 0x7c, // mov si, 0x7c15: the text
		0xac,       // next: lodsb
		0x84, 0xc0, // test al, al
		0x74, 0x06, // jz stop
		0xba, 0xf8, 0x03, // mov dx, 0x3f8: the first serial port
		0xee,       // out dx, al
		0xeb, 0xf5, // jmp next
		0xf4,       // stop: hlt
		0xeb, 0xfd, // jmp stop
	}
	sector := make([]byte, 2048)
	copy(sector[copy(sector, code):], text)
	return sector
}

// bootDisc makes a disc that a PC boots from (El Torito, no emulation).
func bootDisc(t *testing.T, path, text string) {
	t.Helper()
	tree := t.TempDir()
	if err := os.WriteFile(filepath.Join(tree, "boot.bin"), bootSector(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	disc, err := iso9660.Create(file.New(out, false), 0, 0, 2048, tree)
	if err != nil {
		t.Fatal(err)
	}
	entry := &iso9660.ElToritoEntry{Emulation: iso9660.NoEmulation, BootFile: "boot.bin"}
	entry.SetLoadSize(4)
	err = disc.Finalize(iso9660.FinalizeOptions{VolumeIdentifier: "INSTALLER", ElTorito: &iso9660.ElTorito{
		BootCatalog: "boot.cat",
		Entries:     []*iso9660.ElToritoEntry{entry},
	}})
	if err != nil {
		t.Fatal(err)
	}
}

// TestInstallerBoots: a machine with an empty disk and a disc in its drive boots from the disc, and from another one after
// that was put in and it was started anew.
func TestInstallerBoots(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"one", "two"} {
		bootDisc(t, filepath.Join(w.p.root, name+".iso"), "installer "+name+" has booted\r\n")
	}
	vm := w.vm("a", func(d *schema.Domain) {
		d.Image, d.Seed, d.Timeouts.Shutdown = nil, nil, 0.1
		d.CDROM = filepath.Join(w.p.root, "one.iso")
		d.Disks = []schema.Disk{{Name: "root", Size: 8 << 20}}
		d.Serials = []schema.CharDevice{{Type: "pty"}}
	})
	w.apply(vm, provider.Create)
	log := domainxml.LogPath(w.p.folders().Of(testLab, "t-a", schema.UUID(testLab, vm.Addr)))
	w.says(log, "installer one has booted")
	body(&vm).CDROM = filepath.Join(w.p.root, "two.iso")
	w.apply(vm, provider.Update)
	w.virsh("destroy", "t-a")
	w.virsh("start", "t-a")
	w.says(log, "installer two has booted")
	w.empty(vm)
	// When the system is installed, the drive goes.
	body(&vm).CDROM = ""
	w.apply(vm, provider.Restart)
	if xml := w.virsh("dumpxml", "t-a"); strings.Contains(xml, "two.iso") {
		t.Error("the disc is still there\n" + xml)
	}
}

// says waits for a text on the machine's serial port.
func (w *world) says(log, text string) {
	w.Helper()
	var said []byte
	for range 300 {
		said, _ = os.ReadFile(log) // it is there once the machine has said something
		if strings.Contains(string(said), text) {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.Fatalf("the machine does not say %q; it has said\n%s", text, said)
}
