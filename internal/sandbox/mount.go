package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"
)

// scratch is where the upper layers of the overlays lie, on the sandbox's own /run.
const scratch = "/run/labctl-sandbox"

// Folders of the sandbox that start empty.
//
// The sizes are limits and not reservations: a tmpfs takes the memory that its files take.
func emptyFolders() []struct{ path, size string } {
	return []struct{ path, size string }{
		{"/etc/netplan", "16m"},
		{"/etc/libvirt/qemu", "64m"},
		{"/etc/libvirt/storage", "16m"},
		{"/etc/libvirt/secrets", "16m"},
		{"/var/lib/libvirt", "50%"},
		{"/var/log/libvirt", "256m"},
	}
}

// mountAll gives the sandbox, whose mount namespace this process is in, its own view of the file system.
func mountAll() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return mountError("/", err)
	}
	if err := mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return err
	}
	if err := mountSys(); err != nil {
		return err
	}
	if err := mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755,size=50%"); err != nil {
		return err
	}
	if err := mountEtc(); err != nil {
		return err
	}
	cached := stageImages()
	if err := overlay("/var/lib", "/var/lib", "lib"); err != nil && !unsupported(err) {
		return err
	}
	for _, f := range emptyFolders() {
		if err := mount("tmpfs", f.path, "tmpfs", 0, "mode=755,size="+f.size); err != nil {
			return err
		}
	}
	if err := mountCache(); err != nil {
		return err
	}
	if err := mountData(cached); err != nil {
		return err
	}
	carry(cachedVerdict, verdict)
	return nil
}

// mountSys mounts the namespace's own /sys. It is read-only, for then systemd-networkd does not wait for an udevd to tell
// it of links. The cgroup mounts below it go: libvirtd then makes no cgroups, which would be the machine's own.
func mountSys() error {
	for range 100 {
		if err := unix.Unmount("/sys", unix.MNT_DETACH); err != nil {
			break // EINVAL: nothing is mounted there any more
		}
	}
	if err := mount("sysfs", "/sys", "sysfs", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return err
	}
	return mount("tmpfs", "/sys/fs/cgroup", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=755,size=1m")
}

// mountEtc makes writes to /etc private: by an overlay, or without one by empty folders in the places labctl writes to.
func mountEtc() error {
	err := overlay("/etc", "/etc", "etc")
	if err == nil || !unsupported(err) {
		return err
	}
	for _, dir := range []string{"/etc/sysctl.d", "/etc/nftables.d", "/etc/labctl", "/etc/systemd/system", "/etc/systemd/network"} {
		if err := mount("tmpfs", dir, "tmpfs", 0, "mode=755,size=16m"); err != nil {
			return err
		}
	}
	return nil
}

// mountCache gives libvirtd a folder of labctl's own for what it finds out of each QEMU, in half a second for each: it
// is kept from sandbox to sandbox. libvirtd itself checks by the programs' dates that what it reads there still holds.
func mountCache() error {
	const dir = "/var/cache/labctl/sandbox"
	if os.MkdirAll(dir, 0o755) != nil || unix.Access(dir, unix.W_OK) != nil { // a read-only root
		return mount("tmpfs", "/var/cache/libvirt", "tmpfs", 0, "mode=755,size=64m")
	}
	return mount(dir, "/var/cache/libvirt", "", unix.MS_BIND, "")
}

const (
	data   = "/var/lib/labctl"
	images = data + "/images"
	staged = scratch + "/images"
)

// stageImages mounts the machine's images, if it has any, where mountData finds them. It comes before the overlay on
// /var/lib, below which what is mounted there is no longer seen.
func stageImages() bool {
	_, err := os.Stat(images)
	return err == nil && overlay(images, staged, "images") == nil
}

// mountData gives the sandbox an empty /var/lib/labctl, in which the machine's images are seen: what is written vanishes.
func mountData(cached bool) error {
	if err := mount("tmpfs", data, "tmpfs", 0, "mode=755,size=50%"); err != nil {
		return err
	}
	if !cached {
		return nil
	}
	if err := mount(staged, images, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	return unix.Unmount(staged, unix.MNT_DETACH)
}

// The verdict on KVM, which takes seconds to find out, is of the machine and not of the sandbox: one that was found out
// in a sandbox is kept in labctl's cache for the next.
const (
	verdict       = data + "/kvm.json"
	cachedVerdict = "/var/cache/labctl/kvm.json"
)

// carry copies a file whole or not at all. A sandbox does without what it copies, so that errors do not matter.
func carry(from, to string) {
	text, err := os.ReadFile(from)
	if err == nil {
		_ = renameio.WriteFile(to, text, 0o644)
	}
}

// unsupported reports whether a mount failed for want of overlayfs in the kernel, or of a feature that it needs of the
// file systems below it.
func unsupported(err error) bool { return errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL) }

// overlay mounts lower on target so that writes go to a folder of the sandbox.
func overlay(lower, target, name string) error {
	upper, work := filepath.Join(scratch, name+"-upper"), filepath.Join(scratch, name+"-work")
	for _, dir := range []string{upper, work} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work)
	// With metacopy a change of owner, which libvirtd makes to every disk it uses, does not copy the disk (kernel 4.19).
	if mount("overlay", target, "overlay", 0, options+",metacopy=on") == nil {
		return nil
	}
	return mount("overlay", target, "overlay", 0, options)
}

func mount(source, target, fstype string, flags uintptr, data string) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(source, target, fstype, flags, data); err != nil {
		return mountError(target, err)
	}
	return nil
}

func mountError(target string, err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("mount %s: %w: this looks like a container; run labctl on the machine itself, or in a container with --privileged", target, err)
	}
	return fmt.Errorf("mount %s: %w", target, err)
}
