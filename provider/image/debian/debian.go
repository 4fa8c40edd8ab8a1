// Package debian builds a whole Debian guest with mmdebstrap(1), from the machine's own apt sources.
//
// The guest is a minimal system with systemd, systemd-networkd under netplan, cloud-init (NoCloud alone), the QEMU guest agent,
// nftables and an ssh server, on one ext4 without partitions. Its kernel is kept beside the disk with a small initrd (see the folder
// initrd) and booted directly, so that no boot loader is needed; a kernel that is upgraded in a guest is therefore not the one that the
// guest boots.
package debian

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/image/recipe"
)

// Cmdline is the kernel command line that the image is made for. The kernel's test of the timer's interrupt goes by the clock:
// on a busy host without KVM it fails, and the kernel panics.
const Cmdline = "root=LABEL=" + label + " rw console=ttyS0 quiet no_timer_check"

const (
	label = "labctl-debian"
	size  = "4G" // of the disk; sparse. A VM with a larger root disk grows its file system at boot
)

// packages are what the guest is made of, beside Debian's required ones.
var packages = [...]string{
	"linux-image-cloud-amd64", "busybox-static", "systemd-sysv", "udev", "dbus", "kmod", "e2fsprogs", "netplan.io", "systemd-resolved",
	"cloud-init", "qemu-guest-agent", "openssh-server", "nftables", "conntrack", "iproute2", "iputils-ping", "ncat", "tcpdump", "sudo",
	"ca-certificates", "less", "vim-tiny", "netbase",
}

// disabled are units that Debian enables and no lab needs: work for a system that runs for months and reaches the archive.
var disabled = [...]string{
	"timers.target.wants/apt-daily.timer", "timers.target.wants/apt-daily-upgrade.timer", "timers.target.wants/dpkg-db-backup.timer",
	"timers.target.wants/e2scrub_all.timer", "timers.target.wants/fstrim.timer", "multi-user.target.wants/e2scrub_reap.service",
	"sysinit.target.wants/systemd-pstore.service",
}

// overlay is the guest's files that differ from the packages' own.
//
//go:embed all:overlay
var overlay embed.FS

// Recipe is a digest of what this package puts into the image by itself: images of two recipes differ, whatever Debian's archive
// has.
func Recipe() string {
	return recipe.Digest(initProgram, overlay, "format 3", packages, drivers, applets, disabled, Cmdline, size)
}

// Options say what to build.
type Options struct {
	Packages []string // further Debian packages
	Root     string   // prefix of the paths at which the machine's own configuration is read, default ""
}

// Missing lists the programs that a build needs and this machine lacks, as one error each that names the package to install.
func Missing() []error {
	var errs []error
	for _, p := range [][2]string{
		{"/usr/bin/mmdebstrap", "mmdebstrap"}, {"/sbin/mke2fs", "e2fsprogs"}, {"/usr/bin/qemu-img", "qemu-utils"}, {"/usr/bin/unshare", "util-linux"},
	} {
		if _, err := os.Stat(p[0]); err != nil {
			errs = append(errs, &provider.Error{
				Op: "build debian image", Err: fmt.Errorf("%s is not on this machine", filepath.Base(p[0])),
				Hint: "install it: apt-get install " + p[1],
			})
		}
	}
	return errs
}

// Build writes kernel, initrd and disk.qcow2 into the folder dir.
func Build(ctx context.Context, h host.Host, dir string, o Options) error {
	if errs := Missing(); len(errs) > 0 {
		return errors.Join(errs...)
	}
	suite, err := suiteOf(o.Root)
	if err != nil {
		return err
	}
	sources, err := sourcesOf(o.Root, suite)
	if err != nil {
		return err
	}
	root := filepath.Join(dir, "root")
	defer os.RemoveAll(root)
	if err := install(ctx, h, root, suite, sources, o.Packages); err != nil {
		return err
	}
	if err := provider.Step(ctx, "configure"); err != nil {
		return err
	}
	if err := finish(root); err != nil {
		return err
	}
	if err := sources.install(o.Root, root); err != nil {
		return err
	}
	release, err := takeKernel(root, filepath.Join(dir, "kernel"))
	if err != nil {
		return err
	}
	if err := writeInitrd(root, release, filepath.Join(dir, "initrd")); err != nil {
		return fmt.Errorf("make the initrd: %w", err)
	}
	if err := provider.Step(ctx, "make disk"); err != nil {
		return err
	}
	raw := filepath.Join(dir, "disk.raw")
	defer os.Remove(raw)
	for _, args := range [][]string{
		{"mke2fs", "-q", "-F", "-t", "ext4", "-L", label, "-m", "1", "-d", root, raw, size},
		{"qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", raw, filepath.Join(dir, "disk.qcow2")},
	} {
		if _, err := h.Run(ctx, host.Cmd(args...)); err != nil {
			return err
		}
	}
	return nil
}

// install unpacks and configures the packages into the folder root.
func install(ctx context.Context, h host.Host, root, suite string, sources aptSources, further []string) error {
	proxies, err := proxiesOf(ctx, h)
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "labctl-sources-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	paths, err := sources.write(scratch)
	if err != nil {
		return err
	}
	if err := provider.Step(ctx, "install Debian "+suite); err != nil {
		return err
	}
	// In a mount namespace of its own, so that what mmdebstrap mounts goes with it, also when it is killed. INITRD=No has Debian's
	// hooks of the kernel leave out the initrd: the guest gets another.
	args := []string{
		"unshare", "--mount", "--propagation", "private", "env", "INITRD=No", "mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--format=directory",
		"--include=" + strings.Join(append(packages[:], further...), ","),
		"--aptopt=Acquire::Languages \"none\"", "--dpkgopt=force-unsafe-io",
		"--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
		"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-include=/usr/share/doc/*/copyright",
	}
	args = append(append(append(args, proxies...), suite, root), paths...)
	if _, err := h.Run(ctx, host.Cmd(args...)); err != nil {
		return &provider.Error{
			Op: "install Debian " + suite, Err: lastLine(err), Detail: err.Error(),
			Hint: "the packages come from this machine's own apt sources (" + strings.Join(sources.names(), ", ") + "): apt-get update tells whether they are reachable",
		}
	}
	return nil
}

// lastLine is the end of what a long command said: its reason.
func lastLine(err error) error {
	failed, ok := errors.AsType[*host.CommandError](err)
	if !ok {
		return err
	}
	lines := strings.Split(strings.TrimSpace(failed.Stderr), "\n")
	for _, line := range slices.Backward(lines) {
		if strings.HasPrefix(line, "E: ") {
			return fmt.Errorf("mmdebstrap: %s", strings.TrimPrefix(line, "E: "))
		}
	}
	return fmt.Errorf("mmdebstrap: %s", lines[len(lines)-1])
}

// suiteOf is the code name of the machine's own Debian.
func suiteOf(root string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, "/etc/os-release"))
	if err != nil {
		return "", err
	}
	values := map[string]string{}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		values[key] = strings.Trim(value, `"'`)
	}
	if values["ID"] != "debian" || values["VERSION_CODENAME"] == "" {
		return "", &provider.Error{
			Op: "build debian image", Err: fmt.Errorf("this machine is %q, no Debian with a code name", values["PRETTY_NAME"]),
			Hint: "give the image a source instead: a cloud image's URL",
		}
	}
	return values["VERSION_CODENAME"], nil
}

// proxiesOf are the options that let mmdebstrap's apt use the machine's own proxies.
func proxiesOf(ctx context.Context, h host.Host) ([]string, error) {
	out, err := h.Run(ctx, host.Cmd("apt-config", "dump", "--format", "%f %v%n", "Acquire::http::Proxy", "Acquire::https::Proxy"))
	if err != nil {
		return nil, err
	}
	var options []string
	for line := range strings.Lines(string(out.Stdout)) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), " "); value != "" {
			options = append(options, fmt.Sprintf("--aptopt=%s %q", name, value))
		}
	}
	return options, nil
}

// finish turns the installed tree into a guest's: the overlay's files, and nothing that would make two guests the same.
func finish(root string) error {
	err := fs.WalkDir(overlay, "overlay", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		path := filepath.Join(root, strings.TrimPrefix(name, "overlay"))
		if d.IsDir() {
			return os.MkdirAll(path, 0o755)
		}
		data, err := overlay.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(path, data, 0o644)
	})
	if err != nil {
		return err
	}
	keys, err := filepath.Glob(filepath.Join(root, "etc/ssh/ssh_host_*"))
	if err != nil {
		return err
	}
	lists, err := filepath.Glob(filepath.Join(root, "var/lib/apt/lists/*"))
	if err != nil {
		return err
	}
	own := []string{"etc/apt/apt.conf.d/99mmdebstrap", "etc/dpkg/dpkg.cfg.d/99mmdebstrap", "etc/hostname", "etc/resolv.conf", "var/lib/dbus/machine-id"}
	for i, path := range own {
		own[i] = filepath.Join(root, path)
	}
	units := make([]string, len(disabled))
	for i, unit := range disabled {
		units[i] = filepath.Join(root, "etc/systemd/system", unit)
	}
	for _, path := range slices.Concat(keys, lists, own, units) {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	if err := giveBash(filepath.Join(root, "etc/default/useradd")); err != nil {
		return err
	}
	// Empty, and not absent: systemd then makes a new one, and does not take the boot for the first one of an installation.
	if err := os.WriteFile(filepath.Join(root, "etc/machine-id"), nil, 0o444); err != nil {
		return err
	}
	if err := os.Symlink("../run/systemd/resolve/stub-resolv.conf", filepath.Join(root, "etc/resolv.conf")); err != nil {
		return err
	}
	wants := filepath.Join(root, "etc/systemd/system/multi-user.target.wants")
	if err := os.MkdirAll(wants, 0o755); err != nil {
		return err
	}
	err = os.Symlink("/lib/systemd/system/systemd-networkd.service", filepath.Join(wants, "systemd-networkd.service"))
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// giveBash has users that cloud-init makes get the shell that adduser(8) would give them, not useradd(8)'s plain one.
func giveBash(defaults string) error {
	text, err := os.ReadFile(defaults)
	if err != nil {
		return err
	}
	return os.WriteFile(defaults, bytes.Replace(text, []byte("\nSHELL=/bin/sh\n"), []byte("\nSHELL=/bin/bash\n"), 1), 0o644)
}

// takeKernel copies the newest kernel in the guest's /boot and returns its release.
func takeKernel(root, to string) (release string, err error) {
	paths, err := filepath.Glob(filepath.Join(root, "boot/vmlinuz-*"))
	if err != nil {
		return "", err
	}
	if len(paths) == 0 {
		return "", errors.New("the installed Debian has no /boot/vmlinuz-*")
	}
	newest := slices.Max(paths)
	data, err := os.ReadFile(newest)
	if err != nil {
		return "", err
	}
	return strings.TrimPrefix(filepath.Base(newest), "vmlinuz-"), os.WriteFile(to, data, 0o644)
}
