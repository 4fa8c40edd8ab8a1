package debian

import (
	"bytes"
	_ "embed" // for the initrd's first process
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"github.com/labctl/labctl/provider/image/initramfs"
)

// initProgram is the initrd's first process.
//
//go:embed initrd/init
var initProgram []byte

// applets are what initProgram calls, all of them BusyBox.
var applets = [...]string{"sh", "mkdir", "mount", "cat", "modprobe", "findfs", "sleep", "switch_root"}

// drivers are the modules by which a guest reaches its root disk, on each bus that a disk may be on. What they need comes along;
// those that a kernel does not have are left out.
var drivers = [...]string{
	"drivers/virtio/virtio_pci", "drivers/block/virtio_blk", "drivers/scsi/virtio_scsi", "drivers/scsi/sd_mod", "drivers/ata/ahci",
	"drivers/ata/ata_piix", "drivers/usb/host/xhci-pci", "drivers/usb/host/ehci-pci", "drivers/usb/host/uhci-hcd", "drivers/usb/storage/usb-storage",
	"drivers/usb/storage/uas", "fs/ext4/ext4", "arch/x86/crypto/crc32c-intel", "crypto/crc32c_generic",
}

// writeInitrd makes the initrd of what is in the guest's tree: its BusyBox, and modules of the kernel release.
func writeInitrd(root, release, to string) error {
	var packed bytes.Buffer
	out, err := zstd.NewWriter(&packed, zstd.WithWindowSize(1<<20)) // less than any kernel takes
	if err != nil {
		return err
	}
	a := initramfs.New(out)
	if err := fillInitrd(a, root, release); err != nil {
		return err
	}
	if err := a.Close(); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return os.WriteFile(to, packed.Bytes(), 0o644)
}

func fillInitrd(a *initramfs.Archive, root, release string) error {
	busybox, err := os.ReadFile(filepath.Join(root, "usr/bin/busybox"))
	if err != nil {
		return err
	}
	if err := a.File("/bin/busybox", 0o755, busybox); err != nil {
		return err
	}
	for _, applet := range applets {
		if err := a.Link("/bin/"+applet, "busybox"); err != nil {
			return err
		}
	}
	if err := a.File("/init", 0o755, initProgram); err != nil {
		return err
	}
	modules, err := initramfs.ReadModules(filepath.Join(root, "lib/modules", release))
	if err != nil {
		return err
	}
	patterns := make([]string, len(drivers))
	for i, driver := range drivers {
		patterns[i] = "kernel/" + driver
	}
	files, err := modules.Closure(patterns)
	if err != nil {
		return err
	}
	return a.Modules(modules, files, initramfs.Strip)
}
