package osinfo

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/schema"
)

// database writes a place of the database: files by path.
func database(t *testing.T, files map[string]string) string {
	t.Helper()
	place := t.TempDir()
	for name, text := range files {
		path := filepath.Join(place, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if text != "" {
			text = `<?xml version="1.0"?><libosinfo version="0.0.1">` + text + `</libosinfo>`
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return place
}

// system is one <os>.
func system(vendor, version, inside string) string {
	return `<os id="http://` + vendor + `/` + version + `"><short-id>` + strings.TrimSuffix(vendor, ".org") + version + `</short-id>` + inside + `</os>`
}

// devices is the part of the database that names devices.
func devices() map[string]string {
	files := map[string]string{}
	for id, name := range map[string]string{
		"pci/1": "virtio-net", "pci/2": "virtio1.0-net", "pci/3": "virtio1.0-block", "pci/4": "e1000", "chipset/q35": "qemu-x86-q35",
	} {
		files["device/x.org/"+strings.ReplaceAll(id, "/", "-")+".d/class.xml"] = `<device id="http://x.org/` + id + `"><name>` + name +
			`</name><name xml:lang="de">Gerät</name><class>any</class></device>`
	}
	return files
}

func with(files map[string]string, more map[string]string) map[string]string {
	out := maps.Clone(files)
	maps.Copy(out, more)
	return out
}

func has(ids ...string) string {
	text := "<devices>"
	for _, id := range ids {
		id, not := strings.CutPrefix(id, "!")
		supported := ""
		if not {
			supported = ` supported="false"`
		}
		text += `<device id="http://x.org/` + id + `"` + supported + `/>`
	}
	return text + "</devices>"
}

func find(t *testing.T, d *Database, name string) *System {
	t.Helper()
	s, err := d.Find(name)
	if err != nil || s == nil {
		t.Fatalf("%s: %v, %v", name, s, err)
	}
	return s
}

func open(t *testing.T, places ...string) *Database {
	t.Helper()
	d, err := Open(places...)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestSystemsTakeOverFromThoseBefore(t *testing.T) {
	needs := func(arch, minimum, recommended string) string {
		return `<resources arch="` + arch + `"><minimum>` + minimum + `</minimum><recommended>` + recommended + `</recommended></resources>`
	}
	d := open(t, database(t, with(devices(), map[string]string{
		"os/deb.org/deb-1.xml": system("deb.org", "1", `<family>linux</family>`+has("pci/1", "pci/4")+needs("all", "<ram>100</ram><n-cpus>2</n-cpus>", "<ram>200</ram>")),
		"os/deb.org/deb-2.xml": system("deb.org", "2", `<derives-from id="http://deb.org/1"/><firmware arch="x86_64" type="bios" supported="false"/>`+has("!pci/4", "pci/2")),
		"os/deb.org/deb-3.xml": system("deb.org", "3", `<clones id="http://deb.org/2"/><name xml:lang="de">Drei</name><name>Three</name><firmware arch="x86_64" type="bios"/>`+
			needs("all", "<ram>1</ram>", "")+needs("x86_64", "<ram>300</ram>", "")),
		"os/deb.org/deb-4.xml": system("deb.org", "4", `<derives-from id="http://deb.org/1"/><resources arch="all" inherit="true"/>`+has("unknown")),
	})))
	if got, want := slices.Sorted(maps.Keys(find(t, d, "deb2").Devices)), []string{"virtio-net", "virtio1.0-net"}; !slices.Equal(got, want) {
		t.Errorf("deb2 drives %q, want %q", got, want)
	}
	if got := find(t, d, "deb2"); got.Family != "linux" || got.Needs("x86_64", "ram") != 0 {
		t.Errorf("deb2 is of %q and needs %d: what a system needs is its own to say", got.Family, got.Needs("x86_64", "ram"))
	}
	three := find(t, d, "deb3")
	if three.Name != "Three" || three.Needs("x86_64", "ram") != 300 || three.Needs("riscv64", "ram") != 1 {
		t.Errorf("deb3: %q, %d, %d", three.Name, three.Needs("x86_64", "ram"), three.Needs("riscv64", "ram"))
	}
	for name, want := range map[string]bool{"deb2": false, "deb3": true} {
		if bios, known := find(t, d, name).Starts("x86_64", "bios"); bios != want || !known {
			t.Errorf("%s starts from BIOS: %t, %t", name, bios, known)
		}
	}
	four := find(t, d, "deb4")
	if four.Needs("x86_64", "ram") != 200 || four.Needs("x86_64", "n-cpus") != 2 || !four.Devices["http://x.org/unknown"] {
		t.Errorf("deb4: %d, %d, %v", four.Needs("x86_64", "ram"), four.Needs("x86_64", "n-cpus"), four.Devices)
	}
	if s, err := d.Find("deb9"); s != nil || err != nil {
		t.Errorf("a system that is not there: %v, %v", s, err)
	}
	if s := find(t, d, "http://deb.org/1"); s.Short[0] != "deb1" {
		t.Errorf("by its identity: %v", s)
	}
}

func TestLaterPlacesGoBeforeEarlier(t *testing.T) {
	distribution := database(t, with(devices(), map[string]string{
		"os/a.org/a-1.xml": system("a.org", "1", has("pci/1")),
		"os/a.org/a-2.xml": system("a.org", "2", has("pci/1")),
		"os/a.org/a-3.xml": system("a.org", "3", has("pci/1")),
		"os/a.org/a-4.xml": system("a.org", "4", has("pci/1")),
		"os/a.org/README":  "not XML, and not read",
	}))
	administrator := database(t, map[string]string{
		"os/a.org/a-1.xml":        system("a.org", "1", has("pci/4")), // instead
		"os/a.org/a-2.xml":        "",                                 // away
		"os/a.org/a-3.d/more.xml": system("a.org", "3", `<short-id>three</short-id>`+has("pci/4", "!pci/1")),
		"os/b.org/b-1.xml":        system("b.org", "1", ""),
	})
	user := database(t, map[string]string{"os/a.org/a-5.xml": system("a.org", "5", `<derives-from id="http://a.org/2"/>`)})
	if err := os.Symlink("/dev/null", filepath.Join(user, "os/a.org/a-4.xml")); err != nil {
		t.Fatal(err)
	}
	d := open(t, distribution, administrator, user, filepath.Join(user, "nowhere"))
	if got, want := d.Names(), []string{"a1", "a3", "a5", "b1", "three"}; !slices.Equal(got, want) {
		t.Errorf("the systems are %q, want %q", got, want)
	}
	for _, name := range []string{"a1", "three"} {
		if s := find(t, d, name); s.Drives("virtio-net") || !s.Drives("e1000") {
			t.Errorf("%s drives %v", name, s.Devices)
		}
	}
}

func TestPlaces(t *testing.T) {
	for _, test := range []struct {
		env  map[string]string
		want []string
	}{
		{nil, []string{"/usr/share/osinfo", "/etc/osinfo"}},
		{map[string]string{"HOME": "/h"}, []string{"/usr/share/osinfo", "/etc/osinfo", "/h/.config/osinfo"}},
		{map[string]string{"HOME": "/h", "XDG_CONFIG_HOME": "/c"}, []string{"/usr/share/osinfo", "/etc/osinfo", "/c/osinfo"}},
		{map[string]string{"OSINFO_SYSTEM_DIR": "/s", "OSINFO_LOCAL_DIR": "/l", "OSINFO_USER_DIR": "/u", "HOME": "/h"}, []string{"/s", "/l", "/u"}},
	} {
		if got := Places(func(name string) string { return test.env[name] }); !slices.Equal(got, test.want) {
			t.Errorf("%v: %q, want %q", test.env, got, test.want)
		}
	}
}

func TestBadDatabase(t *testing.T) {
	if _, err := Open(t.TempDir(), "/nowhere"); !errors.Is(err, ErrAbsent) {
		t.Errorf("no database: %v", err)
	}
	if _, err := NewCatalogue("/nowhere").Names(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no database: %v", err)
	}
	broken := database(t, map[string]string{"os/a.org/a-1.xml": "<os>"})
	if _, err := NewCatalogue(broken).Defaults("a1", "x86_64", ""); err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "a-1.xml") {
		t.Errorf("a file that is no XML: %v", err)
	}
	circle := database(t, map[string]string{
		"os/a.org/a-1.xml": system("a.org", "1", `<derives-from id="http://a.org/2"/>`),
		"os/a.org/a-2.xml": system("a.org", "2", `<derives-from id="http://a.org/1"/>`),
	})
	if _, err := open(t, circle).Find("a1"); err == nil || !strings.Contains(err.Error(), "derives from itself") {
		t.Errorf("a circle: %v", err)
	}
}

func TestDefaults(t *testing.T) {
	const linux = `<family>linux</family>`
	d := NewCatalogue(database(t, with(devices(), map[string]string{
		"os/new.org/n.xml": system("new.org", "1", linux+has("chipset/q35", "pci/1", "pci/2", "pci/3")),
		"os/mid.org/m.xml": system("mid.org", "1", linux+has("pci/1")),
		"os/win.org/w.xml": system("win.org", "1", `<family>winnt</family><firmware arch="x86_64" type="bios" supported="false"/>`+has("chipset/q35", "pci/4")),
		"os/old.org/o.xml": system("old.org", "1", `<family>msdos</family>`),
	})))
	plain := schema.System{Clock: "utc", Video: "vga", USB: "piix3-uhci"}
	express := schema.System{Clock: "utc", Video: "vga", USB: "ich9-ehci1"}
	local := schema.System{Clock: "localtime", Video: "vga", USB: "piix3-uhci"}
	windows := schema.System{Clock: "localtime", Video: "vga", USB: "ich9-ehci1", Cores: true, HyperV: true}
	for _, test := range []struct {
		name, arch, machine string
		want                schema.OSDefaults
	}{
		{"new1", "x86_64", "", schema.OSDefaults{Machine: "q35", Disk: "virtio", NIC: "virtio", System: express}},
		{"new1", "x86_64", "pc", schema.OSDefaults{Machine: "pc", Disk: "virtio", NIC: "virtio", System: plain}},
		{"new1", "aarch64", "", schema.OSDefaults{Disk: "virtio", NIC: "virtio", System: express}},
		{"mid1", "x86_64", "", schema.OSDefaults{Machine: "pc", Disk: "ide", NIC: "virtio", System: plain}},
		{"mid1", "x86_64", "q35", schema.OSDefaults{Machine: "q35", Disk: "sata", NIC: "e1000e", System: express}}, // it knows no virtio 1.0
		{"win1", "x86_64", "", schema.OSDefaults{Machine: "q35", Firmware: "uefi", TPM: true, Disk: "sata", NIC: "e1000", System: windows}},
		{"old1", "x86_64", "", schema.OSDefaults{Machine: "pc", Disk: "ide", NIC: "rtl8139", System: local}},
	} {
		got, err := d.Defaults(test.name, test.arch, test.machine)
		if err != nil {
			t.Fatal(err)
		}
		got.ID = ""
		if diff := cmp.Diff(test.want, *got); diff != "" {
			t.Errorf("%s on %s %s (-want +got):\n%s", test.name, test.arch, test.machine, diff)
		}
	}
	if got, err := d.Defaults("none", "x86_64", ""); got != nil || err != nil {
		t.Errorf("a system that is not there: %v, %v", got, err)
	}
}
