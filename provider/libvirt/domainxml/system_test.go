package domainxml

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"libvirt.org/go/libvirtxml"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// windows is a machine with what Windows XP and 11 want, both at once.
func windows() *schema.Domain {
	d := router()
	d.Image, d.CDROM, d.Machine = nil, "/iso/xp.iso", "pc"
	d.Disks = []schema.Disk{{Name: "c", Size: 8 << 30, Bus: "ide"}, {Name: "stick", Size: 1 << 20, Bus: "usb"}}
	d.Interfaces = []schema.NIC{{Name: "eth0", Bridge: "br0", MAC: "52:54:00:01:02:03", Model: "e1000", Link: "up"}}
	d.VCPUs, d.MaxVCPUs = 2, 4
	d.Graphics = []schema.Graphics{{Type: "vnc"}}
	d.OSVariant, d.OSID = "winxp", "http://microsoft.com/win/xp"
	d.System = schema.System{Clock: "localtime", Video: "vga", USB: "piix3-uhci", Cores: true, HyperV: true}
	return d
}

func TestGoldenOfASystem(t *testing.T) {
	for _, virt := range []string{"qemu", "kvm"} {
		t.Run(virt, func(t *testing.T) {
			s := spec(windows())
			s.Virt = virt
			x, err := Build(s)
			if err != nil {
				t.Fatal(err)
			}
			got, err := x.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", "windows-"+virt+".xml")
			if *update {
				if err := os.WriteFile(path, []byte(got+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got+"\n"); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// readBack builds a machine, changes its XML as somebody might, and reads it.
func readBack(t *testing.T, d *schema.Domain, change func(*libvirtxml.Domain)) *schema.Domain {
	t.Helper()
	d.Virt = "qemu"
	x, err := Build(spec(d))
	if err != nil {
		t.Fatal(err)
	}
	x = through(t, x)
	change(x)
	meta, _, _, err := ParseMeta(x.Metadata.XML)
	if err != nil {
		t.Fatal(err)
	}
	got := Read(x, meta)
	got.Running = d.Running
	return got
}

func TestSystemIsReadBack(t *testing.T) {
	for name, tc := range map[string]struct {
		vary   func(*schema.Domain)
		change func(*libvirtxml.Domain)
		path   string
	}{
		"as it was made": {change: func(*libvirtxml.Domain) {}},
		"with nothing on USB and no screen": {
			vary:   func(d *schema.Domain) { d.Disks, d.Graphics, d.System.USB, d.System.Video = d.Disks[:1], nil, "", "" },
			change: func(*libvirtxml.Domain) {},
		},
		"one processor": {vary: func(d *schema.Domain) { d.VCPUs, d.MaxVCPUs = 1, 0 }, change: func(*libvirtxml.Domain) {}},
		"a fragment says otherwise": {
			vary:   func(d *schema.Domain) { d.XML = `<clock offset="variable"/>` },
			change: func(*libvirtxml.Domain) {},
		},
		"clock":      {change: func(x *libvirtxml.Domain) { x.Clock.Offset = "utc" }, path: "system.clock"},
		"video card": {change: func(x *libvirtxml.Domain) { x.Devices.Videos[0].Model.Type = "virtio" }, path: "system.video"},
		"sockets":    {change: func(x *libvirtxml.Domain) { x.CPU.Topology = nil }, path: "system.cores"},
		"USB": {change: func(x *libvirtxml.Domain) {
			for i := range x.Devices.Controllers {
				if c := &x.Devices.Controllers[i]; c.Type == "usb" {
					c.Model = "qemu-xhci"
				}
			}
		}, path: "system.usb"},
		"system": {change: func(x *libvirtxml.Domain) {
			x.Metadata.XML = strings.Replace(x.Metadata.XML, `id="http://microsoft.com/win/xp"`, `id="http://x"`, 1)
		}, path: "os_id"},
		"no system": {change: func(x *libvirtxml.Domain) {
			x.Metadata.XML = x.Metadata.XML[:strings.Index(x.Metadata.XML, "<libosinfo:")]
		}, path: "os_id"},
	} {
		t.Run(name, func(t *testing.T) {
			d := windows()
			if tc.vary != nil {
				tc.vary(d)
			}
			var paths []string
			for _, detail := range provider.Diff(readBack(t, d, tc.change), d) {
				paths = append(paths, detail.Path)
			}
			if got := strings.Join(paths, " "); got != tc.path {
				t.Errorf("what differs is %q, want %q", got, tc.path)
			}
		})
	}
}

// TestSystemOfOthers: what virt-install(1) wrote stays where no os_variant is declared, and goes where one is or was.
func TestSystemOfOthers(t *testing.T) {
	foreign := OSMetadata("http://theirs") + `<o:o xmlns:o="urn:other">kept</o:o>`
	for name, tc := range map[string]struct{ before, after, want string }{
		"nothing declared": {"", "", "http://theirs"},
		"now declared":     {"", "http://ours", "http://ours"},
		"no longer":        {"http://ours", "", ""},
		"another":          {"http://ours", "http://new", "http://new"},
	} {
		t.Run(name, func(t *testing.T) {
			before, after := router(), router()
			before.OSID, after.OSID = tc.before, tc.after
			old, err := Build(spec(before))
			if err != nil {
				t.Fatal(err)
			}
			old.Metadata.XML += foreign
			to, err := Build(spec(after))
			if err != nil {
				t.Fatal(err)
			}
			if err := Carry(through(t, old), to); err != nil {
				t.Fatal(err)
			}
			if got := osID(to.Metadata.XML); got != tc.want || strings.Count(to.Metadata.XML, "<libosinfo:os ") > 1 {
				t.Errorf("the system is %q, want %q, in\n%s", got, tc.want, to.Metadata.XML)
			}
			if !strings.Contains(to.Metadata.XML, "kept") {
				t.Errorf("another's metadata is gone:\n%s", to.Metadata.XML)
			}
		})
	}
}
