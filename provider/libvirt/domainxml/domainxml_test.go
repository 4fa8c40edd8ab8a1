package domainxml

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"libvirt.org/go/libvirtxml"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

var update = flag.Bool("update", false, "write the golden files anew")

const folder = "/var/lib/labctl/labs/lab/lab-nat-a"

func address() schema.Addr { return schema.Addr{Kind: "vm", Name: "nat", Key: `"a"`} }

// router is the machine of a plain lab.
func router() *schema.Domain {
	return &schema.Domain{
		Name: "lab-nat-a", Running: true, Memory: 128 << 20, VCPUs: 1,
		Image: &schema.ImageRef{Addr: schema.Addr{Kind: "image", Name: "micro"}, Key: "micro-0123456789ab", Build: "micro"},
		Interfaces: []schema.NIC{
			{Name: "eth0", Bridge: "br0", MAC: "52:54:00:01:02:03", Model: "virtio", Link: "up"},
			{Name: "wan.1", Network: "default", MAC: "52:54:00:01:02:04", Model: "e1000", Link: "down", MTU: 1400, PCI: "0000:05:00.0"},
		},
	}
}

// everything declares whatever can be declared.
func everything() *schema.Domain {
	d := router()
	d.Description = "a router <with> \"quotes\" & more"
	d.MaxMemory, d.MaxVCPUs, d.VCPUs = 512<<20, 4, 2
	d.CPU, d.Machine, d.Arch, d.Firmware = "Nehalem", "q35", "x86_64", "uefi"
	d.Boot = schema.Boot{Kernel: "/boot/k", Initrd: "/boot/i", Cmdline: "console=ttyS0", Order: []string{"network", "hd"}}
	d.CDROM = "/iso/installer.iso"
	d.Disks = []schema.Disk{
		{Name: "root", Size: 8 << 30},
		{Name: "data", Size: 1 << 30, Bus: "scsi", Format: "raw"},
		{Name: "shared", Source: "/srv/shared.img", Format: "raw", Shareable: true, ReadOnly: true},
		{Name: "device", Source: "/dev/vg/lv", Format: "raw"},
		{Name: "stick", Size: 1 << 20, Bus: "usb"},
	}
	d.Consoles = []schema.CharDevice{{Type: "pty", Target: "serial"}, {Type: "pty", Target: "virtio"}}
	d.Serials = []schema.CharDevice{{Type: "pty"}, {Type: "file", Path: "/tmp/second"}, {Type: "tcp", Path: "127.0.0.1:4000"}}
	d.Channels = []schema.CharDevice{{Type: "unix", Target: "org.example.0", Path: "/run/example"}}
	d.Graphics = []schema.Graphics{{Type: "vnc", Listen: "0.0.0.0", Port: 5910}, {Type: "spice"}}
	d.RNG = &schema.RNG{Source: "/dev/random"}
	d.TPM = &schema.TPM{Version: "2.0", Model: "tpm-tis"}
	d.Watchdog = &schema.Watchdog{Model: "i6300esb", Action: "poweroff"}
	d.Filesystems = []schema.Filesystem{{Source: "/srv", Target: "srv", Driver: "virtiofs"}, {Source: "/usr", Target: "usr", Driver: "9p", ReadOnly: true}}
	d.HostDevs = []schema.HostDev{{PCI: "0000:01:00.0"}, {USB: "1d6b:0002"}}
	d.Timeouts = schema.Timeouts{Boot: 10, Shutdown: 5}
	return d
}

func spec(d *schema.Domain) Spec {
	s := Spec{
		Mark: provider.MarkOf("lab", &schema.Resource{
			Addr: address(), Body: d, Deps: []schema.Addr{{Kind: "bridge", Name: "br0"}},
			Lifecycle: schema.Lifecycle{PreventDestroy: true},
		}),
		UUID: schema.UUID("lab", address()), Want: d, Virt: "qemu", Folder: folder, Seeded: true,
	}
	if d.Image != nil {
		pool := "/var/lib/labctl/images/" + d.Image.Key
		s.Image = Image{Kernel: pool + "/kernel", Initrd: pool + "/initrd", Disk: pool + "/disk.qcow2", Cmdline: "console=ttyS0 quiet"}
	}
	return s
}

// through sends a domain through text, as libvirt would.
func through(t *testing.T, x *libvirtxml.Domain) *libvirtxml.Domain {
	t.Helper()
	text, err := x.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	back := new(libvirtxml.Domain)
	if err := back.Unmarshal(text); err != nil {
		t.Fatal(err)
	}
	return back
}

func TestGolden(t *testing.T) {
	for name, d := range map[string]*schema.Domain{"router": router(), "everything": everything()} {
		t.Run(name, func(t *testing.T) {
			x, err := Build(spec(d))
			if err != nil {
				t.Fatal(err)
			}
			got, err := x.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", name+".xml")
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

// TestReadIsTheInverseOfBuild is what keeps plans from showing differences that are none.
func TestReadIsTheInverseOfBuild(t *testing.T) {
	variants := map[string]func(*schema.Domain){
		"plain":                func(*schema.Domain) {},
		"nothing but a name":   func(d *schema.Domain) { *d = schema.Domain{Name: "n", Memory: 1 << 20, VCPUs: 1, Running: true} },
		"odd size":             func(d *schema.Domain) { d.Memory = 100_000_001 },
		"no image, own kernel": func(d *schema.Domain) { d.Image, d.Boot.Kernel = nil, "/boot/vmlinuz" },
		"image's kernel, own line": func(d *schema.Domain) {
			d.Boot.Cmdline = "console=ttyS0 debug"
		},
		"pc":          func(d *schema.Domain) { d.Machine = "pc" },
		"one disk":    func(d *schema.Domain) { d.Disks = []schema.Disk{{Name: "d", Size: 1 << 20}} },
		"root's size": func(d *schema.Domain) { d.Disks = []schema.Disk{{Name: "root", Size: 1 << 40}} },
		"boot orders": func(d *schema.Domain) {
			d.Disks = []schema.Disk{{Name: "root", BootOrder: 2}, {Name: "d", Size: 1 << 20, BootOrder: 1}}
		},
		"upper case MAC": func(d *schema.Domain) { d.Interfaces[0].MAC = "52:54:00:AA:BB:CC" },
		"short PCI":      func(d *schema.Domain) { d.Interfaces[0].PCI = "0:3:0.0" },
		"maximum CPU":    func(d *schema.Domain) { d.CPU = "maximum" },
		"defaults of devices": func(d *schema.Domain) {
			d.TPM, d.Graphics, d.Watchdog = &schema.TPM{}, []schema.Graphics{{Type: "vnc"}}, &schema.Watchdog{Model: "itco", Action: "reset"}
			d.Serials, d.Consoles = []schema.CharDevice{{}}, []schema.CharDevice{{}}
		},
		"agent declared": func(d *schema.Domain) {
			d.Channels = []schema.CharDevice{{Type: "unix", Target: AgentChannel}, {Type: "pty", Target: "x"}}
		},
		"everything": func(d *schema.Domain) { *d = *everything() },
	}
	for name, vary := range variants {
		t.Run(name, func(t *testing.T) {
			d := router()
			vary(d)
			d.Virt = "qemu"
			x, err := Build(spec(d))
			if err != nil {
				t.Fatal(err)
			}
			x = through(t, x)
			meta, rest, ok, err := ParseMeta(x.Metadata.XML)
			if err != nil || !ok || strings.TrimSpace(rest) != "" {
				t.Fatalf("the mark is %+v, %q, %v, %v", meta, rest, ok, err)
			}
			got := Read(x, meta)
			got.Running = d.Running
			if diff := cmp.Diff(d, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(spec(d).Mark, meta.Mark); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestDriftIsSeen changes XML by hand and requires exactly the attribute that differs.
func TestDriftIsSeen(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*libvirtxml.Domain)
		path   string
	}{
		"memory":        {func(x *libvirtxml.Domain) { x.CurrentMemory.Value -= 1024 }, "memory"},
		"processors":    {func(x *libvirtxml.Domain) { x.VCPU.Current = 1 }, "vcpus"},
		"machine":       {func(x *libvirtxml.Domain) { x.OS.Type.Machine = "pc-i440fx-7.2" }, "machine"},
		"cpu":           {func(x *libvirtxml.Domain) { x.CPU.Mode = "host-model" }, "cpu"},
		"command line":  {func(x *libvirtxml.Domain) { x.OS.Cmdline += " single" }, "boot.cmdline"},
		"boot order":    {func(x *libvirtxml.Domain) { x.OS.BootDevices = x.OS.BootDevices[:1] }, "boot.order"},
		"bridge":        {func(x *libvirtxml.Domain) { x.Devices.Interfaces[0].Source.Bridge.Bridge = "br9" }, "interface.eth0.bridge"},
		"mac":           {func(x *libvirtxml.Domain) { x.Devices.Interfaces[0].MAC.Address = "52:54:00:09:09:09" }, "interface.eth0.mac"},
		"link":          {func(x *libvirtxml.Domain) { x.Devices.Interfaces[1].Link = nil }, `interface["wan.1"].link`},
		"slot":          {func(x *libvirtxml.Domain) { *x.Devices.Interfaces[1].Address.PCI.Bus = 9 }, `interface["wan.1"].pci`},
		"a card less":   {func(x *libvirtxml.Domain) { x.Devices.Interfaces = x.Devices.Interfaces[:1] }, `interface["wan.1"]`},
		"a card more":   {addCard, `interface["52:54:00:77:77:77"]`},
		"a disk less":   {func(x *libvirtxml.Domain) { x.Devices.Disks = append(x.Devices.Disks[:1], x.Devices.Disks[2:]...) }, "disk.data"},
		"a disk more":   {addDisk, "disk.vdq"},
		"a disk's file": {func(x *libvirtxml.Domain) { x.Devices.Disks[1].Source.File.File = "/other" }, "disk.data.source"},
		"the disc":      {func(x *libvirtxml.Domain) { drive(x).Source = nil }, "cdrom"},
		"watchdog":      {func(x *libvirtxml.Domain) { x.Devices.Watchdogs[0].Action = "none" }, "watchdog.action"},
		"another image": {func(x *libvirtxml.Domain) {
			x.Devices.Disks[0].BackingStore.Source.File.File = "/p/images/other/disk.qcow2"
		}, "image.key"},
	} {
		t.Run(name, func(t *testing.T) {
			d := everything()
			d.Virt = "qemu"
			x, err := Build(spec(d))
			if err != nil {
				t.Fatal(err)
			}
			x = through(t, x)
			meta, _, _, err := ParseMeta(x.Metadata.XML)
			if err != nil {
				t.Fatal(err)
			}
			tc.change(x)
			got := Read(x, meta)
			got.Running = true
			if got.Image.Key != d.Image.Key {
				got.Image.Build = d.Image.Build
			}
			details := provider.Diff(got, d)
			if len(details) != 1 || details[0].Path != tc.path {
				t.Errorf("details %+v, want just %s", details, tc.path)
			}
		})
	}
}

func addCard(x *libvirtxml.Domain) {
	card, _ := NIC(schema.NIC{MAC: "52:54:00:77:77:77", Bridge: "br0"})
	card.Alias = nil
	x.Devices.Interfaces = append(x.Devices.Interfaces, card)
}

func addDisk(x *libvirtxml.Domain) {
	disk := Disk("/x", schema.Disk{Name: "q"}, "vdq")
	disk.Alias = nil
	x.Devices.Disks = append(x.Devices.Disks, disk)
}

func drive(x *libvirtxml.Domain) *libvirtxml.DomainDisk {
	for i := range x.Devices.Disks {
		if x.Devices.Disks[i].Device == "cdrom" {
			return &x.Devices.Disks[i]
		}
	}
	return nil
}

// TestSnapshotIsNoDrift: an external snapshot puts another file in the disk's place and the disk under it.
func TestSnapshotIsNoDrift(t *testing.T) {
	d := router()
	d.Virt, d.Disks = "qemu", []schema.Disk{{Name: "data", Size: 1 << 20, Format: "raw"}}
	x, err := Build(spec(d))
	if err != nil {
		t.Fatal(err)
	}
	x = through(t, x)
	for i := range x.Devices.Disks[:2] {
		disk := &x.Devices.Disks[i]
		disk.BackingStore = &libvirtxml.DomainDiskBackingStore{
			Format: &libvirtxml.DomainDiskFormat{Type: disk.Driver.Type}, Source: disk.Source, BackingStore: disk.BackingStore,
		}
		disk.Source = &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: "/elsewhere/snapshot"}}
		disk.Driver.Type = "qcow2"
	}
	meta, _, _, err := ParseMeta(x.Metadata.XML)
	if err != nil {
		t.Fatal(err)
	}
	got := Read(x, meta)
	got.Running = true
	if diff := cmp.Diff(d, got); diff != "" {
		t.Error(diff)
	}
}

func TestFragment(t *testing.T) {
	for name, tc := range map[string]struct{ xml, want, err string }{
		"a device":       {"<devices><sound model='ich9'/></devices>", `<sound model="ich9">`, ""},
		"an element":     {"<on_crash>preserve</on_crash>", "<on_crash>preserve</on_crash>", ""},
		"metadata":       {`<metadata><a:b xmlns:a="urn:x">c</a:b></metadata>`, `<a:b xmlns:a="urn:x">c</a:b>`, ""},
		"QEMU's options": {"<qemu:commandline><qemu:arg value='-trace'/></qemu:commandline>", `value="-trace"`, ""},
		"a whole domain": {"<domain><title>t</title><name>other</name></domain>", "<title>t</title>", ""},
		"unknown":        {"<devices><teapot/></devices>", "", "no domain/devices/teapot"},
		"not XML":        {"<devices>", "", "xml:"},
	} {
		t.Run(name, func(t *testing.T) {
			d := router()
			d.XML = tc.xml
			x, err := Build(spec(d))
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("error %v, want %q", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			text, err := x.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(text, tc.want) || !strings.Contains(text, "<name>lab-nat-a</name>") || !Marked(text) {
				t.Errorf("want %s, the lab's name and its mark in:\n%s", tc.want, text)
			}
			if n := len(x.Devices.Interfaces); n != 2 {
				t.Errorf("%d interfaces, want both", n)
			}
		})
	}
}

// TestCarry: what libvirt chose stays when other things change.
func TestCarry(t *testing.T) {
	old, err := Build(spec(router()))
	if err != nil {
		t.Fatal(err)
	}
	old = through(t, old)
	old.OS.Type.Machine = "pc-q35-7.2"
	old.Metadata.XML += `<o:o xmlns:o="urn:other">kept</o:o>`
	old.Devices.Interfaces[0].Address = &libvirtxml.DomainAddress{PCI: &libvirtxml.DomainAddressPCI{Bus: index(7), Slot: index(0)}}
	old.Devices.Controllers = append(old.Devices.Controllers, libvirtxml.DomainController{Type: "pci", Index: index(40), Model: "pcie-root-port"})
	d := router()
	d.Interfaces = append([]schema.NIC{{Name: "new", Bridge: "br0", MAC: "52:54:00:00:00:01"}}, d.Interfaces...)
	to, err := Build(spec(d))
	if err != nil {
		t.Fatal(err)
	}
	if err := Carry(old, to); err != nil {
		t.Fatal(err)
	}
	if to.OS.Type.Machine != "pc-q35-7.2" {
		t.Errorf("the machine type is %s", to.OS.Type.Machine)
	}
	if got := to.Devices.Interfaces[1].Address; got == nil || *got.PCI.Bus != 7 {
		t.Errorf("eth0 has moved to %+v", got)
	}
	if to.Devices.Interfaces[0].Address != nil {
		t.Error("the new card took a slot that was not given to it")
	}
	if len(to.Devices.Controllers) != len(old.Devices.Controllers) {
		t.Errorf("%d controllers, want the old %d", len(to.Devices.Controllers), len(old.Devices.Controllers))
	}
	if !strings.Contains(to.Metadata.XML, "urn:other") || strings.Count(to.Metadata.XML, schema.XMLNamespace) != 1 {
		t.Errorf("metadata is %s", to.Metadata.XML)
	}
}

func TestBadValuesAreRefused(t *testing.T) {
	for want, change := range map[string]func(*schema.Domain){
		"pci address":  func(d *schema.Domain) { d.Interfaces[0].PCI = "seven" },
		"usb":          func(d *schema.Domain) { d.HostDevs = []schema.HostDev{{USB: "mouse"}} },
		"ADDRESS:PORT": func(d *schema.Domain) { d.Serials = []schema.CharDevice{{Type: "tcp", Path: "4000"}} },
		"none of pty":  func(d *schema.Domain) { d.Channels = []schema.CharDevice{{Type: "smoke", Target: "x"}} },
	} {
		d := router()
		change(d)
		if _, err := Build(spec(d)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestTargets(t *testing.T) {
	names := targets{}
	var got []string
	for range 28 {
		got = append(got, names.next("virtio"))
	}
	if got[0] != "vda" || got[24] != "vdy" || got[25] != "vdaa" || got[26] != "vdab" {
		t.Errorf("got %v", got)
	}
	if names.next("scsi") != "sda" || names.next("usb") != "sdb" || names.next("ide") != "hda" {
		t.Error("SCSI and USB disks share their names, IDE has its own")
	}
}

func BenchmarkRead(b *testing.B) {
	x, err := Build(spec(router()))
	if err != nil {
		b.Fatal(err)
	}
	text, err := x.Marshal()
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		x := new(libvirtxml.Domain)
		if err := x.Unmarshal(text); err != nil {
			b.Fatal(err)
		}
		meta, _, _, err := ParseMeta(x.Metadata.XML)
		if err != nil {
			b.Fatal(err)
		}
		Read(x, meta)
	}
}
