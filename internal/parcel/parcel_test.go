package parcel

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labctl/labctl/internal/view"
	"github.com/labctl/labctl/schema"
)

func addr(t *testing.T, text string) schema.Addr {
	t.Helper()
	a, err := schema.ParseAddr(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// labIn is a lab that is made of files in dir and elsewhere.
func labIn(t *testing.T, dir string) *schema.Lab {
	t.Helper()
	return &schema.Lab{Name: "x", Resources: []schema.Resource{
		{Addr: addr(t, "image.i"), Body: &schema.Image{Name: "i", Source: filepath.Join(dir, "i.qcow2"), Key: "i-1"}},
		{Addr: addr(t, "image.u"), Body: &schema.Image{Name: "u", Source: "https://images.example/u.qcow2"}},
		{Addr: addr(t, "vm.a"), Body: &schema.Domain{
			Name: "x-a", CDROM: filepath.Join(dir, "sub", "i.iso"), Boot: schema.Boot{Kernel: "/boot/vmlinuz"},
			Disks: []schema.Disk{{Name: "tools", Source: filepath.Join(dir, "i.qcow2"), ReadOnly: true}, {Name: "own", Source: "/srv/own.img"}},
		}},
	}}
}

func TestFilesOfTheLabGoAlong(t *testing.T) {
	dir, far := t.TempDir(), t.TempDir()
	disk := strings.Repeat("disk", 3_000_000)
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "sub"), 0o755), os.WriteFile(filepath.Join(dir, "i.qcow2"), []byte(disk), 0o600),
		os.WriteFile(filepath.Join(dir, "sub", "i.iso"), []byte("iso"), 0o600)); err != nil {
		t.Fatal(err)
	}
	near := labIn(t, dir)
	lab, files, err := Beside(near, dir, far)
	if err != nil || len(files) != 2 {
		t.Fatalf("%+v, %v", files, err)
	}
	image, machine := lab.Resources[0].Body.(*schema.Image), lab.Resources[2].Body.(*schema.Domain)
	if image.Source != machine.Disks[0].Source || !strings.HasPrefix(image.Source, far) || filepath.Base(machine.CDROM) != "i.iso" || image.Key != "i-1" ||
		machine.Disks[1].Source != "/srv/own.img" || machine.Boot.Kernel != "/boot/vmlinuz" {
		t.Errorf("%+v, %+v", image, machine)
	}
	if near.Resources[0].Body.(*schema.Image).Source != filepath.Join(dir, "i.qcow2") || near.Resources[2].Body.(*schema.Domain).Disks[0].Source != filepath.Join(dir, "i.qcow2") {
		t.Error("the lab that was given is changed")
	}
	asked := 0
	ask := func(text []byte) ([]byte, error) {
		asked++
		var q Question
		if err := json.Unmarshal(text, &q); err != nil {
			return nil, err
		}
		return Chunk(files, q.File, q.From)
	}
	for range 2 { // the second time they are there
		for _, f := range files {
			if err := f.Fetch(far, ask); err != nil {
				t.Fatal(err)
			}
		}
	}
	got, err := os.ReadFile(image.Source)
	if string(got) != disk || err != nil || asked != 4 {
		t.Errorf("%d bytes, %v, asked %d times", len(got), err, asked)
	}
	if info, err := os.Stat(image.Source); err != nil || info.Mode() != 0o644 {
		t.Errorf("%v, %v: QEMU is another user", info, err)
	}

	removed, err := Prune(far, func(text string) bool { return strings.Contains(image.Source, text) })
	if err != nil || strings.Join(removed, " ") != "i.iso" {
		t.Errorf("%q, %v", removed, err)
	}
	if _, err := os.Stat(image.Source); err != nil {
		t.Error(err)
	}
}

func TestOnlyFilesOfTheLabAreGivenAway(t *testing.T) {
	if text, err := Chunk([]File{{Path: "/lab/x.img"}}, "/etc/shadow", 0); err == nil || text != nil {
		t.Errorf("%q, %v", text, err)
	}
}

func TestFileThatChangesOnItsWayIsRefused(t *testing.T) {
	far := t.TempDir()
	f := File{Path: "/lab/x.img", Sum: strings.Repeat("0", 64), Size: 5}
	for text, want := range map[string]string{"other": "changed meanwhile", "": "unexpected EOF"} {
		if err := f.Fetch(far, func([]byte) ([]byte, error) { return []byte(text), nil }); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	left, err := os.ReadDir(filepath.Dir(f.There(far)))
	if err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestWhatIsWrittenToStaysHere(t *testing.T) {
	dir := t.TempDir()
	lab := &schema.Lab{Resources: []schema.Resource{{Addr: addr(t, "vm.a"), Body: &schema.Domain{
		Disks: []schema.Disk{{Name: "own", Source: dir + "/own.img"}}, Filesystems: []schema.Filesystem{{Source: dir + "/share"}}, CDROM: dir + "/none.iso",
	}}}}
	_, _, err := Beside(lab, dir, "/x")
	for _, want := range []string{"own.img: it is on this machine", "share: it is on this machine", "none.iso: no such file"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nand not %s", err, want)
		}
	}
}

func TestPlacesGoAlong(t *testing.T) {
	at := func(line int) view.Place { return view.Place{Pos: schema.Pos{File: "a.hcl", Line: line}, Source: "x"} }
	where := map[string]view.Place{"": at(1), "disk": at(1), "disk.own": at(5), "disk.own.source": at(6)}
	vm := addr(t, "vm.a")
	places := NewPlaces(labIn(t, "/lab"), func(a schema.Addr, path string) view.Place {
		if a != vm {
			return view.Place{}
		}
		if place, ok := where[path]; ok {
			return place
		}
		return at(1)
	})
	text, err := json.Marshal(Parcel{Lab: Lab{Lab: labIn(t, "/lab"), Places: places}, Dir: "/lab"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := Open(text)
	if err != nil || p.Lab.Lab.Resources[2].Body.(*schema.Domain).Name != "x-a" {
		t.Fatalf("%+v, %v", p, err)
	}
	guest := vm
	guest.Part = "guest"
	for path, line := range map[string]int{"": 1, "disk.own.source": 6, "disk.own.size": 5, "memory": 1, "disk.tools": 1} {
		for _, a := range []schema.Addr{vm, guest} {
			if got := p.Places.Locate(a, path); got.Pos.Line != line {
				t.Errorf("%s %s stands at %+v, not line %d", a, path, got, line)
			}
		}
	}
}
