// Package micro builds the micro image: a Linux guest that boots in a second or two, made from this machine's own
// packages.
//
// It is a kernel and an initrd for direct boot, and a small disk for what has to outlive a restart. The initrd is the whole
// system (BusyBox, nft, ip, conntrack, ncat, the QEMU guest agent, labctl-guest, the kernel's network modules) and lives in
// memory: whatever a person changes in it is gone after a restart, except below /root and /var/lib/labctl, which are on
// the disk. What the lab declares comes back by itself, since `labctl-guest boot` applies it before the agent starts.
//
// See init.sh (in the folder root) for what happens at boot, and Cmdline for how the kernel has to be started.
package micro

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"golang.org/x/sync/errgroup"
)

// Cmdline is the kernel command line that the image is made for. It keeps the serial port, which is slow, out of the
// way of booting. The kernel's test of the timer's interrupt goes by the clock: on a busy host without KVM it fails, and the
// kernel panics.
const Cmdline = "console=ttyS0 loglevel=3 no_timer_check"

// DiskSize is the size in bytes of the image's disk. It is sparse.
const DiskSize = 64 << 20

// DiskLabel is the label of the file system on the image's disk, by which the guest finds it.
const DiskLabel = "labctl"

// Options say where the parts come from. Empty fields have defaults.
type Options struct {
	Guest   string // path of labctl-guest; "" builds without, for tests of the image alone
	Boot    string // folder of kernels, default /boot
	Modules string // folder of modules by release, default /lib/modules
	Root    string // prefix of every path of a program or library, default ""
	NoDisk  bool   // leave the disk out
	Cache   string // folder that keeps packed parts from one build to the next, "" for none
}

// Build writes kernel, initrd disk.qcow2 into the folder dir.
func Build(ctx context.Context, h host.Host, dir string, o Options) (Inputs, error) {
	in, err := Gather(o)
	if err != nil {
		return Inputs{}, err
	}
	if err := provider.Step(ctx, "pack kernel and initrd"); err != nil {
		return Inputs{}, err
	}
	packer := &squeezer{host: h, cache: o.Cache, used: map[string]bool{}}
	packing, packingCtx := errgroup.WithContext(ctx)
	packing.Go(func() error { return writeKernel(packingCtx, packer, filepath.Join(dir, "kernel"), in) })
	packing.Go(func() error { return writeInitrd(packingCtx, packer, filepath.Join(dir, "initrd"), in) })
	if err := errors.Join(packing.Wait(), packer.forget()); err != nil {
		return Inputs{}, err
	}
	if o.NoDisk {
		return in, nil
	}
	if err := provider.Step(ctx, "make disk"); err != nil {
		return Inputs{}, err
	}
	return in, makeDisk(ctx, h, filepath.Join(dir, "disk.qcow2"))
}

// writeKernel writes the kernel, packed where it can be.
func writeKernel(ctx context.Context, s *squeezer, path string, in Inputs) error {
	bzImage, err := os.ReadFile(in.kernel.Path)
	if err != nil {
		return err
	}
	packed, err := packKernel(ctx, s, bzImage)
	if errors.Is(err, errNoPVH) {
		packed, err = bzImage, nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", in.kernel.Path, err)
	}
	return os.WriteFile(path, packed, 0o644)
}

// makeDisk makes the small disk: an ext4 with a journal, since guests are switched off hard.
func makeDisk(ctx context.Context, h host.Host, path string) error {
	raw := path + ".raw"
	defer os.Remove(raw)
	for _, args := range [][]string{
		{"truncate", "-s", fmt.Sprint(DiskSize), raw},
		{"mke2fs", "-q", "-F", "-t", "ext4", "-L", DiskLabel, "-m", "0", "-b", "1024", "-N", "2048", "-J", "size=4",
			"-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", raw},
		{"qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", raw, path},
	} {
		if _, err := h.Run(ctx, host.Cmd(args...)); err != nil {
			return err
		}
	}
	return nil
}

// appletsOf asks this machine's BusyBox which commands it has, and leaves out those that the image has better.
func appletsOf(ctx context.Context, h host.Host, in Inputs) ([]string, error) {
	busybox, err := findProgram(in.opts.Root, "busybox")
	if err != nil {
		return nil, err
	}
	out, err := h.Run(ctx, host.Cmd(filepath.Join(in.opts.Root, busybox), "--list"))
	if err != nil {
		return nil, err
	}
	taken := map[string]bool{}
	for _, name := range withoutApplets {
		taken[name] = true
	}
	for _, place := range in.places {
		taken[filepath.Base(place)] = true
	}
	var applets []string
	for _, name := range strings.Fields(string(out.Stdout)) {
		if !taken[name] {
			applets = append(applets, name)
		}
	}
	return applets, nil
}
