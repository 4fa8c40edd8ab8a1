// Package disk has a mounted file system grow with the disk that it is on.
package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// growIoctl asks the kernel to make a mounted ext4 as large as the number of blocks that its argument points to: EXT4_IOC_RESIZE_FS,
// _IOW('f', 16, __u64), as resize2fs(8) does for one that is mounted.
const growIoctl = 0x40086610

// Where ext4's superblock is, and what it is known by (Linux, Documentation/filesystems/ext4/super.rst).
const (
	superblockAt = 1024
	superblock64 = 0x80 // in the incompatible features: numbers of blocks have an upper half
)

// Grow makes the ext4 that is mounted at a folder as large as its disk, which may have grown since, also while the guest runs. It
// returns what it did, "" for nothing. A folder that is part of a larger file system is left to the system.
func Grow(dir string) (string, error) {
	var at, above unix.Stat_t
	if err := errors.Join(unix.Stat(dir, &at), unix.Stat(filepath.Dir(dir), &above)); err != nil {
		return "", nil //nolint:nilerr // there is none
	}
	if at.Dev == above.Dev {
		return "", nil // no file system of its own
	}
	sys := fmt.Sprintf("/sys/dev/block/%d:%d/", unix.Major(at.Dev), unix.Minor(at.Dev))
	device, bytes, err := blockDevice(sys)
	if err != nil || device == "" {
		return "", err
	}
	f, err := os.Open(device)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // only read
	super := make([]byte, 1024)
	if _, err := io.ReadFull(io.NewSectionReader(f, superblockAt, int64(len(super))), super); err != nil {
		return "", fmt.Errorf("read the superblock of %s: %w", device, err)
	}
	blocks, size, ok := parseSuperblock(super)
	want := bytes / size
	if !ok || want <= blocks {
		return "", nil
	}
	mounted, err := os.Open(dir)
	if err != nil {
		return "", err
	}
	defer mounted.Close() //nolint:errcheck // only for its descriptor
	//nolint:gosec // the one way to give an ioctl a pointer
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, mounted.Fd(), growIoctl, uintptr(unsafe.Pointer(&want))); errno != 0 {
		return "", fmt.Errorf("grow the file system on %s to %d bytes: %w", device, bytes, errno)
	}
	return fmt.Sprintf("grow the file system on %s to %d MiB", device, bytes>>20), nil
}

// blockDevice is the device of a folder below /sys/dev/block and its size in bytes; "" where there is no such device.
func blockDevice(sys string) (device string, bytes uint64, err error) {
	text, err := os.ReadFile(sys + "size")
	if errors.Is(err, fs.ErrNotExist) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, err
	}
	sectors, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return "", 0, fmt.Errorf("%ssize: %w", sys, err)
	}
	text, err = os.ReadFile(sys + "uevent")
	if err != nil {
		return "", 0, err
	}
	for line := range strings.Lines(string(text)) {
		if name, found := strings.CutPrefix(strings.TrimSpace(line), "DEVNAME="); found {
			return "/dev/" + name, sectors * 512, nil
		}
	}
	return "", 0, nil
}

// parseSuperblock is the number of an ext4's blocks, and the size in bytes of one. ok is false where it is no ext4.
func parseSuperblock(super []byte) (blocks, size uint64, ok bool) {
	if binary.LittleEndian.Uint16(super[0x38:]) != 0xef53 || super[0x18] > 6 {
		return 0, 1, false
	}
	blocks = uint64(binary.LittleEndian.Uint32(super[0x4:]))
	if binary.LittleEndian.Uint32(super[0x60:])&superblock64 != 0 {
		blocks |= uint64(binary.LittleEndian.Uint32(super[0x150:])) << 32
	}
	return blocks, 1024 << super[0x18], true
}
