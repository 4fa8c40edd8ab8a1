//go:build sandbox

package libvirt

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/daemon"
	"github.com/labctl/labctl/provider/libvirt/domainxml"
	"github.com/labctl/labctl/provider/libvirt/snapshot"
	"github.com/labctl/labctl/schema"
)

// Where the tests note something in the file of UEFI's variables, and in a disk: at the end, which nothing else uses.
const (
	inVariables = 540000
	inDisk      = 1<<20 - 512
)

// noteAt writes a word into a file of a machine that is off or stands still.
func (w *world) noteAt(path string, at int64, word string) {
	w.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		w.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(word), at); err != nil {
		w.Fatal(err)
	}
}

// noted demands a word in a file.
func (w *world) noted(path string, at int64, word string) {
	w.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		w.Fatal(err)
	}
	if !bytes.HasPrefix(data[at:], []byte(word)) {
		w.Errorf("%s: %q, want %q", path, data[at:at+16], word)
	}
}

// TestFirmwareIsCopiedAndKept: what UEFI has stored, boot entries say, goes along with a copy of the machine, and is put back with
// a snapshot, as are the memory of a guest and a raw disk, none of which QEMU can keep by itself.
func TestFirmwareIsCopiedAndKept(t *testing.T) {
	w := newWorld(t)
	lab := snapshot.Lab{Name: testLab, Conns: []*daemon.Conn{w.conn}}
	first := w.vm("first", func(d *schema.Domain) {
		d.Timeouts.Shutdown, d.Firmware, d.Memory = 0.1, "uefi", 256<<20
		d.Disks = []schema.Disk{{Name: "data", Size: 1 << 20, Format: "raw"}}
	})
	w.apply(first, provider.Create)
	w.up("t-first")
	folder := w.p.folders().Of(testLab, "t-first", schema.UUID(testLab, first.Addr))
	variables, data := domainxml.NVRAMPath(folder), filepath.Join(folder, "data.raw")

	w.virsh("suspend", "t-first")
	w.noteAt(data, inDisk, "then")
	w.virsh("resume", "t-first")
	set, err := lab.Save(w.ctx, "kept")
	if err != nil || !set.Whole() || !set.Machines[0].Running {
		t.Fatalf("%+v, %v", set, err)
	}
	w.empty(first)
	began := w.id("t-first")

	w.virsh("destroy", "t-first")
	w.noteAt(data, inDisk, "now!")
	if _, err := lab.Restore(w.ctx, "kept"); err != nil {
		t.Fatal(err)
	}
	w.noted(data, inDisk, "then")
	if w.id("t-first") == began {
		t.Error("it is the machine of before: nothing was put back")
	}
	w.up("t-first") // the guest that was kept answers, with no boot in between
	w.empty(first)

	// A machine that is off. One that runs has its variables in its memory, and QEMU writes them out anew.
	body(&first).Running = false
	w.apply(first, provider.Update)
	w.noteAt(variables, inVariables, "then")
	if set, err = lab.Save(w.ctx, "off"); err != nil || set.Machines[0].Running {
		t.Fatalf("%+v, %v", set, err)
	}
	w.noteAt(data, inDisk, "now!")
	w.noteAt(variables, inVariables, "now!")
	if _, err := lab.Restore(w.ctx, "off"); err != nil {
		t.Fatal(err)
	}
	w.noted(variables, inVariables, "then")
	w.noted(data, inDisk, "then")
	w.empty(first)

	for _, linked := range []bool{false, true} {
		copied := w.vm("copy", func(d *schema.Domain) {
			d.Image, d.Seed, d.Running, d.Firmware = nil, nil, false, "uefi"
			d.Clone = &schema.Clone{From: "t-first", Linked: linked}
		})
		w.apply(copied, provider.Create)
		w.noted(domainxml.NVRAMPath(w.p.folders().Of(testLab, "t-copy", schema.UUID(testLab, copied.Addr))), inVariables, "then")
		w.empty(copied)
		w.reset(copied.Addr, nil)
	}

	if err := lab.Delete(w.ctx, "kept"); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(filepath.Join(folder, "snapshots"))
	if err != nil || len(left) != 1 || left[0].Name() != "off" { // which goes with the machine
		t.Errorf("%v, %v", left, err)
	}
}
