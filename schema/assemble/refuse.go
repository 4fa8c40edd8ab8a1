package assemble

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/decode"
	"github.com/labctl/labctl/schema/diag"
)

// The forms of names that systems take.
var (
	machineName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.+:-]*$`)
	usbIdentity = regexp.MustCompile(`^[0-9a-fA-F]{4}:[0-9a-fA-F]{4}$`)
	pciAddress  = regexp.MustCompile(`^[0-9a-fA-F]{4}:[0-9a-fA-F]{2}:[01][0-9a-fA-F]\.[0-7]$`)
	hostLabel   = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$`)
	fileMode    = regexp.MustCompile(`^0?[0-7]{3,4}$`)
	fileOwner   = regexp.MustCompile(`^[a-z_0-9][a-z0-9_-]*(:[a-z_0-9][a-z0-9_-]*)?$`)
)

// forwardingKeys are the kernel settings that the argument forwarding stands for.
var forwardingKeys = map[string]bool{
	"net.ipv4.ip_forward": true, "net.ipv4.conf.all.forwarding": true, "net.ipv6.conf.all.forwarding": true,
}

// leastMicro is the least memory, in bytes, with which a machine with a micro image comes up: found by trying.
const leastMicro = 112 << 20

// refuse tells of arguments of a machine that no system would take, or that would have no effect.
func (a *Assembler) refuse(b *block) hcl.Diagnostics {
	n, d := b.node, b.domain
	var diags hcl.Diagnostics
	add := func(code string, at hcl.Range, summary, detail string) {
		diags = append(diags, diag.New(code, at, summary, detail))
	}
	if d.MaxMemory > 0 && d.MaxMemory < d.Memory {
		add(diag.OutOfRange, n.At("max_memory"), "max_memory is less than memory", fmt.Sprintf("memory is %d bytes.", d.Memory))
	}
	if d.MaxVCPUs > 0 && d.MaxVCPUs < d.VCPUs {
		add(diag.OutOfRange, n.At("max_vcpus"), "max_vcpus is less than vcpus", fmt.Sprintf("There are %d vcpus.", d.VCPUs))
	}
	if d.Image != nil && d.Image.Build == "micro" {
		diags = append(diags, refuseOfMicro(n, d)...)
	}
	if name := d.Name; !machineName.MatchString(name) || len(name) > 200 {
		add(diag.BadName, n.At("name"), fmt.Sprintf("%q cannot be the name of a machine", name), "Names of machines are letters, digits and _ . + : -, and begin with a letter or digit.")
	}
	if name := n.Text("hostname"); n.Attrs["hostname"] != nil && !hostname(name) {
		add(diag.BadName, n.At("hostname"), fmt.Sprintf("%q cannot be a host name", name), "Its parts are letters, digits and -, at most 63 of them, with dots between (RFC 1123).")
	}
	diags = append(diags, refuseSysctl(n, b.guest)...)
	n.Each("disk", func(disk *decode.Node) { diags = append(diags, refuseDisk(disk, d)...) })
	n.Each("file", func(file *decode.Node) { diags = append(diags, refuseFile(file)...) })
	n.Each("interface", func(iface *decode.Node) {
		if pci := iface.Text("pci"); pci != "" && !isPCI(pci) {
			add(diag.Malformed, iface.At("pci"), fmt.Sprintf("%q is no PCI address", pci), "Write domain, bus, slot and function in hexadecimal, as 0000:00:03.0.")
		}
	})
	n.Each("console", func(console *decode.Node) {
		if console.Text("target") != "virtio" && (console.Text("type") != "pty" || console.Has("path")) {
			add(diag.Conflict, console.DefRange, "A console on a serial port ends where the port does", "Write type and path in a serial block, or target = \"virtio\" here.")
		}
	})
	n.Each("hostdev", func(dev *decode.Node) { diags = append(diags, refuseHostdev(dev)...) })
	return diags
}

// refuseOfMicro tells of what a micro image has nothing to carry out with.
func refuseOfMicro(n *decode.Node, d *schema.Domain) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, name := range []string{"packages", "user_data"} {
		if n.Has(name) {
			diags = append(diags, diag.New(diag.Conflict, n.At(name), fmt.Sprintf("A micro image has no %s", name), "It has neither cloud-init nor a package manager. Use build = \"debian\" or a cloud image."))
		}
	}
	boot := n.Child("boot")
	ownKernel := boot != nil && boot.Has("kernel")
	if d.Running && d.Memory < leastMicro && !ownKernel {
		diags = append(diags, diag.New(diag.OutOfRange, n.At("memory"), "A machine with a micro image needs 112MiB of memory", "With less, its kernel does not find room to unpack itself, and nothing answers. The standard is 128MiB."))
	}
	if n.Text("firmware") == "uefi" && !ownKernel {
		diags = append(diags, diag.New(diag.Conflict, n.At("firmware"), "A micro image does not start with UEFI", "Its kernel is packed for the BIOS. Leave firmware out, or give a kernel in a boot block."))
	}
	if ssh := n.Child("ssh"); ssh != nil {
		diags = append(diags, diag.New(diag.Conflict, ssh.DefRange, "A micro image has no ssh", "Machines with it are entered by labctl exec and labctl console. Use build = \"debian\" or a cloud image."))
	}
	return diags
}

// refuseSysctl tells of kernel settings that are none, or that say another thing than the argument forwarding.
func refuseSysctl(n *decode.Node, guest *schema.Guest) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for key, value := range guest.Sysctl {
		if routes := map[bool]string{false: "0", true: "1"}[guest.Forwarding]; forwardingKeys[key] && value != routes {
			diags = append(diags, diag.New(diag.Conflict, n.Find(fmt.Sprintf("sysctl[%q]", key)), key+" contradicts forwarding",
				fmt.Sprintf("forwarding is %t, which sets it to %s. Say forwarding alone.", guest.Forwarding, routes)))
		}
		if !strings.Contains(key, ".") || strings.ContainsAny(key, " =\n") {
			diags = append(diags, diag.New(diag.Malformed, n.Find(fmt.Sprintf("sysctl[%q]", key)), fmt.Sprintf("%q is no kernel setting", key), `Write its dotted name, as "net.ipv4.ip_forward".`))
		}
	}
	return diags
}

// refuseHostdev tells of a device of the host that is named not at all, twice or in no form that libvirt takes.
func refuseHostdev(dev *decode.Node) hcl.Diagnostics {
	switch pci, usb := dev.Text("pci"), dev.Text("usb"); {
	case (pci == "") == (usb == ""):
		return hcl.Diagnostics{diag.New(diag.Conflict, dev.DefRange, "A hostdev has one of pci and usb", "Say which device of the host it is.")}
	case pci != "" && !isPCI(pci):
		return hcl.Diagnostics{diag.New(diag.Malformed, dev.At("pci"), fmt.Sprintf("%q is no PCI address", pci), "Write it as lspci -D does: 0000:03:00.0.")}
	case usb != "" && !usbIdentity.MatchString(usb):
		return hcl.Diagnostics{diag.New(diag.Malformed, dev.At("usb"), fmt.Sprintf("%q is no USB identity", usb), "Write vendor and product as lsusb does: 046d:c52b.")}
	}
	return nil
}

// isPC reports whether the machine type is the old PC, which has IDE and no PCI Express.
func isPC(machine string) bool {
	return machine == "pc" || strings.HasPrefix(machine, "pc-i440fx-")
}

func isPCI(text string) bool {
	return pciAddress.MatchString(text)
}

// hostname reports whether a name is one that systems take (RFC 1123, 2.1).
func hostname(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	for part := range strings.SplitSeq(name, ".") {
		if len(part) > 63 || !hostLabel.MatchString(part) {
			return false
		}
	}
	return true
}

// refuseDisk tells of what no disk can be, and of what QEMU does not let one be.
func refuseDisk(n *decode.Node, d *schema.Domain) hcl.Diagnostics {
	var diags hcl.Diagnostics
	said := func(name, standard string) string {
		if text := n.Text(name); text != "" {
			return text
		}
		return standard
	}
	if n.Label() != "root" && !n.Has("source") && !n.Has("size") {
		diags = append(diags, diag.New(diag.MissingArgument, n.DefRange, "The disk has neither size nor source",
			"Give it the size to make it with, as size = \"1GiB\", or the source that it is."))
	}
	if n.Flag("readonly") && said("bus", "virtio") == "sata" {
		diags = append(diags, diag.New(diag.Conflict, n.At("readonly"), "A disk on the bus sata cannot be readonly", "Put it on another bus: virtio, scsi or usb."))
	}
	if said("bus", "virtio") == "ide" && !isPC(d.Machine) {
		diags = append(diags, diag.New(diag.Conflict, n.At("bus"), "This machine type has no IDE", "Write machine = \"pc\" in the vm block, or put the disk on sata."))
	}
	if n.Flag("shareable") && said("format", "qcow2") != "raw" {
		diags = append(diags, diag.New(diag.Conflict, n.At("shareable"), "A qcow2 disk cannot be shared", "Two machines would spoil its tables. Write format = \"raw\"."))
	}
	return diags
}

func refuseFile(n *decode.Node) hcl.Diagnostics {
	var f schema.File
	var diags hcl.Diagnostics
	f.Path, f.Mode, f.Owner = n.Label(), n.Text("mode"), n.Text("owner")
	if !path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path {
		diags = append(diags, diag.In(diag.New(diag.Malformed, n.Labels[0].Range, fmt.Sprintf("%q is no absolute path", f.Path), "Write where the file stands in the machine, from /."), n.DefRange))
	}
	if f.Mode != "" && !fileMode.MatchString(f.Mode) {
		diags = append(diags, diag.New(diag.Malformed, n.At("mode"), fmt.Sprintf("%q are no permissions", f.Mode), `Write them in octal and in quotes, as "0644".`))
	}
	if f.Owner != "" && !fileOwner.MatchString(f.Owner) {
		diags = append(diags, diag.New(diag.Malformed, n.At("owner"), fmt.Sprintf("%q is no owner", f.Owner), "Write USER or USER:GROUP."))
	}
	return diags
}
