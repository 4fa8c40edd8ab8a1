package config

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/schema"
)

// systems is a small database of operating systems.
type systems struct{ err error }

func (s systems) Names() ([]string, error) {
	return []string{"debian11", "debian12", "win11", "winxp"}, s.err
}

func (s systems) Defaults(name, arch, machine string) (*schema.OSDefaults, error) {
	d := schema.OSDefaults{ID: "http://os/" + name, Name: name, Machine: machine, Disk: "virtio", NIC: "virtio", Memory: 1 << 30, VCPUs: 2, Storage: 20 << 30}
	if machine == "" && arch == "x86_64" {
		d.Machine = "q35"
	}
	d.System = schema.System{Clock: "utc", Video: "virtio", USB: "qemu-xhci"}
	switch name {
	case "winxp":
		d.Disk, d.NIC = "sata", "e1000"
		if machine == "" || machine == "pc" {
			d.Machine, d.Disk = "pc", "ide"
		}
		d.System = schema.System{Clock: "localtime", Video: "vga", USB: "piix3-uhci", Cores: true}
	case "win11":
		d.Disk, d.Firmware, d.TPM = "sata", "uefi", true
	case "debian11", "debian12":
	default:
		return nil, s.err
	}
	return &d, s.err
}

// domainOf is the machine of a vm block with this inside.
func domainOf(t *testing.T, inside string) *schema.Domain {
	t.Helper()
	text := "lab \"x\" {}\nbridge \"br0\" {}\nimage \"base\" {\n  source = \"/x.qcow2\"\n}\nimage \"micro\" {\n  build = \"micro\"\n}\nvm \"a\" {\n" + inside + "}\n"
	res := load(t, write(t, map[string]string{"lab.hcl": text}), Options{Systems: systems{}})
	return body[schema.Domain](t, res.Lab, "vm.a")
}

// TestOSVariant: what a system wants is what is declared, as far as nothing else is.
func TestOSVariant(t *testing.T) {
	const card = "interface \"eth0\" {\n  bridge = bridge.br0\n}\n"
	for name, test := range map[string]struct {
		inside string
		want   func(d *schema.Domain) string
		is     string
	}{
		"memory and processors":    {"image = image.base\nos_variant = \"debian11\"\n", sizes, "1024 MiB, 2"},
		"declared ones":            {"image = image.base\nos_variant = \"debian11\"\nmemory = \"64MiB\"\nvcpus = 1\n", sizes, "64 MiB, 1"},
		"a micro image needs less": {"image = image.micro\nos_variant = \"debian11\"\n", sizes, "128 MiB, 2"},
		"no variant":               {"image = image.base\n", sizes, "512 MiB, 1"},

		"board":          {"image = image.base\nos_variant = \"winxp\"\n", board, "pc  ide"},
		"declared board": {"image = image.base\nos_variant = \"winxp\"\nmachine = \"q35\"\n", board, "q35  sata"},
		"another board":  {"image = image.base\nos_variant = \"debian11\"\narch = \"aarch64\"\n", board, "  "},
		"firmware":       {"image = image.base\nos_variant = \"win11\"\n", board, "q35 uefi sata"},
		"declared firmware": {
			"image = image.base\nos_variant = \"win11\"\nfirmware = \"bios\"\n", board, "q35 bios sata",
		},

		"card":          {"image = image.base\nos_variant = \"winxp\"\n" + card, model, "e1000"},
		"declared card": {"image = image.base\nos_variant = \"winxp\"\n" + strings.Replace(card, "}", "model = \"virtio\"\n}", 1), model, "virtio"},
		"usual card":    {"image = image.base\n" + card, model, "virtio"},

		"disks": {
			"cdrom = \"/i.iso\"\nos_variant = \"winxp\"\ndisk \"c\" {}\ndisk \"d\" {\nsize = \"1GiB\"\nbus = \"sata\"\n}\n", disks, "c 20480 ide, d 1024 sata",
		},
		"root of an image":          {"image = image.base\nos_variant = \"winxp\"\ndisk \"d\" {}\n", disks, "root 0 ide, d 20480 ide"},
		"declared root of an image": {"image = image.base\nos_variant = \"winxp\"\ndisk \"root\" {}\n", disks, "root 0 ide"},
		"root of a clone":           {"clone = \"c\"\nos_variant = \"winxp\"\n", disks, "root 0 ide"},
		"root on virtio":            {"image = image.base\nos_variant = \"debian11\"\n", disks, ""},

		"the rest":         {"image = image.base\nos_variant = \"winxp\"\n", rest, "http://os/winxp {localtime   true false} <nil>"},
		"with a screen":    {"image = image.base\nos_variant = \"winxp\"\ngraphics {\n  type = \"vnc\"\n}\n", rest, "http://os/winxp {localtime vga piix3-uhci true false} <nil>"},
		"with a USB disk":  {"image = image.base\nos_variant = \"winxp\"\ndisk \"d\" {\n  bus = \"usb\"\n}\n", rest, "http://os/winxp {localtime  piix3-uhci true false} <nil>"},
		"a TPM":            {"image = image.base\nos_variant = \"win11\"\n", rest, "http://os/win11 {utc   false false} &{2.0 }"},
		"a declared TPM":   {"image = image.base\nos_variant = \"win11\"\ntpm {\n  model = \"tpm-tis\"\n}\n", rest, "http://os/win11 {utc   false false} &{2.0 tpm-tis}"},
		"nothing declared": {"image = image.base\n", rest, " {   false false} <nil>"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.want(domainOf(t, test.inside)); got != test.is {
				t.Errorf("%q, want %q", got, test.is)
			}
		})
	}
}

func sizes(d *schema.Domain) string { return fmt.Sprintf("%d MiB, %d", d.Memory>>20, d.VCPUs) }

func board(d *schema.Domain) string {
	bus := ""
	for _, disk := range d.Disks {
		bus = disk.Bus
	}
	return d.Machine + " " + d.Firmware + " " + bus
}

func model(d *schema.Domain) string { return d.Interfaces[0].Model }

func disks(d *schema.Domain) string {
	var list []string
	for _, disk := range d.Disks {
		list = append(list, fmt.Sprintf("%s %d %s", disk.Name, disk.Size>>20, disk.Bus))
	}
	return strings.Join(list, ", ")
}

func rest(d *schema.Domain) string { return fmt.Sprint(d.OSID, " ", d.System, " ", d.TPM) }

// TestOSVariantIsReferable: what a system wants is there for references too.
func TestOSVariantIsReferable(t *testing.T) {
	res := load(t, write(t, map[string]string{"lab.hcl": `
lab "x" {}
bridge "br0" {}
vm "a" {
  cdrom      = "/i.iso"
  os_variant = "winxp"
  disk "c" {}
  interface "eth0" {
    bridge = bridge.br0
  }
}
output "all" {
  value = [vm.a.machine, vm.a.vcpus, vm.a.memory, vm.a.interface.eth0.model, vm.a.disk.c.bus, vm.a.disk.c.size]
}
`}), Options{Systems: systems{}})
	want := []any{"pc", float64(2), float64(1 << 30), "e1000", "ide", float64(20 << 30)}
	if d := cmp.Diff(want, res.Lab.Outputs[0].Value); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestNoOSDatabase(t *testing.T) {
	dir := write(t, map[string]string{"lab.hcl": "lab \"x\" {}\nimage \"i\" {\n  build = \"micro\"\n}\nvm \"a\" {\n  image = image.i\n  os_variant = \"debian11\"\n}\n"})
	for _, test := range []struct {
		options Options
		want    string
	}{
		{Options{}, "osinfo-db"},
		{Options{Systems: systems{fmt.Errorf("there is none: %w", fs.ErrNotExist)}}, "osinfo-db"},
		{Options{Systems: systems{errors.New("it is broken")}}, "It is broken."},
	} {
		if got := said(t, dir, test.options); strings.Count(got, "Error:") != 1 || !strings.Contains(got, "LAB0318") || !strings.Contains(got, test.want) {
			t.Errorf("with %v:\n%s", test.options.Systems, got)
		}
	}
}
