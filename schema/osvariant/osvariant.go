// Package osvariant turns the argument os_variant of a machine into the arguments that it stands for, as far as they are
// not written.
package osvariant

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/decode"
	"github.com/labctl/labctl/schema/diag"
	"github.com/labctl/labctl/schema/table"
)

// Systems knows operating systems by their short names, as libosinfo's database does.
type Systems interface {
	// Defaults is what the system wants of a machine of the architecture and type ("" for the one that suits it best), nil
	// where there is no system of the name. Without a database it is an error that is fs.ErrNotExist.
	Defaults(name, arch, machine string) (*schema.OSDefaults, error)
	// Names are all short names.
	Names() ([]string, error)
}

const defaultArch = "x86_64" // of hosts that labs are on

// Look finds what a vm block's os_variant stands for, and prefers it to the table's defaults. It is nil where the block has
// no os_variant, or one that is in error.
func Look(systems Systems, n *decode.Node) (*schema.OSDefaults, hcl.Diagnostics) {
	name := n.Text("os_variant")
	if name == "" {
		return nil, nil
	}
	arch := n.Text("arch")
	if arch == "" {
		arch = defaultArch
	}
	var wants *schema.OSDefaults
	err := fs.ErrNotExist
	if systems != nil {
		wants, err = systems.Defaults(name, arch, n.Text("machine"))
	}
	at := n.At("os_variant")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, hcl.Diagnostics{diag.New(diag.NoOSDatabase, at, "libosinfo's database is not installed",
			"os_variant is looked up in it. Install it on this machine: apt-get install osinfo-db. Or leave os_variant out and say machine, firmware, and bus and model of disks and interfaces.")}
	case err != nil:
		return nil, hcl.Diagnostics{diag.New(diag.NoOSDatabase, at, "libosinfo's database cannot be read", capital(err.Error())+".")}
	case wants == nil:
		return nil, hcl.Diagnostics{diag.New(diag.UnknownOS, at, fmt.Sprintf("libosinfo's database has no system %q", name), nearest(systems, name))}
	}
	prefer(n, wants)
	return wants, nil
}

// prefer gives the block and those in it what the system wants.
func prefer(n *decode.Node, wants *schema.OSDefaults) {
	text := func(n *decode.Node, name, value string) {
		if value != "" {
			n.Prefer(name, cty.StringVal(value))
		}
	}
	text(n, "machine", wants.Machine)
	text(n, "firmware", wants.Firmware)
	if wants.VCPUs > 0 {
		n.Prefer("vcpus", cty.NumberIntVal(int64(wants.VCPUs)))
	}
	n.Each("interface", func(card *decode.Node) { text(card, "model", wants.NIC) })
	ownRoot := !n.Has("image") && !n.Has("clone")
	n.Each("disk", func(disk *decode.Node) {
		text(disk, "bus", wants.Disk)
		if wants.Storage > 0 && !disk.Has("source") && (ownRoot || disk.Label() != "root") {
			disk.Prefer("size", cty.NumberUIntVal(wants.Storage))
		}
	})
}

// nearest says what somebody who wrote the name may have meant.
func nearest(systems Systems, name string) string {
	const list = "They are listed by `osinfo-query os`; generic ones such as linux2022 are among them."
	names, err := systems.Names()
	if err != nil {
		return list
	}
	near := table.Nearest(name, names)
	if near == "" {
		return list
	}
	return fmt.Sprintf("Did you mean %q? %s", near, list)
}

// Suit gives a machine what its operating system wants and no argument says, once what is declared is known. A nil wants
// nothing.
func Suit(wants *schema.OSDefaults, d *schema.Domain) {
	if wants == nil {
		return
	}
	d.OSID, d.System = wants.ID, wants.System
	if len(d.Graphics) == 0 {
		d.System.Video = ""
	}
	onUSB := func(disk schema.Disk) bool { return disk.Bus == "usb" }
	usbDevice := func(dev schema.HostDev) bool { return dev.USB != "" }
	if len(d.Graphics) == 0 && !slices.ContainsFunc(d.Disks, onUSB) && !slices.ContainsFunc(d.HostDevs, usbDevice) {
		d.System.USB = ""
	}
	if wants.TPM && d.TPM == nil {
		d.TPM = &schema.TPM{Version: "2.0"}
	}
	isRoot := func(disk schema.Disk) bool { return disk.Name == "root" }
	if (d.Image != nil || d.Clone != nil) && wants.Disk != "virtio" && !slices.ContainsFunc(d.Disks, isRoot) {
		d.Disks = slices.Insert(d.Disks, 0, schema.Disk{Name: "root", Format: "qcow2", Bus: wants.Disk})
	}
}

func capital(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
