package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/labctl/labctl/internal/host"
)

// program is one that labs need on their host, and the Debian package that brings it.
type program struct{ name, pkg string }

func programs() []program {
	return []program{
		{"qemu-system-x86_64", "qemu-system-x86"}, {"qemu-img", "qemu-utils"}, {"virsh", "libvirt-clients"},
		{"nft", "nftables"}, {"netplan", "netplan.io"}, {"ip", "iproute2"},
		{"mke2fs", "e2fsprogs"}, {"dpkg-query", "dpkg"},
	}
}

func (p Patient) programs(ctx context.Context) Finding {
	const name = "programs"
	var missing, packages []string
	for _, prog := range programs() {
		if !p.has(ctx, prog.name) {
			missing = append(missing, prog.name)
			if !slices.Contains(packages, prog.pkg) {
				packages = append(packages, prog.pkg)
			}
		}
	}
	if len(missing) == 0 {
		return good(name, "all that labs need are installed")
	}
	return Finding{name, Bad, "missing: " + strings.Join(missing, ", "),
		"apt-get install --no-install-recommends " + strings.Join(packages, " ")}
}

// has reports whether a program is found, also in the administrator's folders.
func (p Patient) has(ctx context.Context, name string) bool {
	_, err := p.Host.Run(ctx, host.Command{
		Args: []string{"sh", "-c", `PATH=$PATH:/usr/sbin:/sbin command -v -- "$1"`, "sh", name},
	})
	return err == nil
}

func (p Patient) libvirt(ctx context.Context) Finding {
	const name = "libvirt"
	who, err := p.Libvirt(ctx)
	if err != nil {
		return Finding{name, Bad, oneLine(err.Error()),
			"install and start it (apt-get install libvirt-daemon-system; systemctl start libvirtd), and run labctl as root or in the group libvirt"}
	}
	return good(name, who+" answers")
}

func (p Patient) kvm(ctx context.Context) Finding {
	const name = "KVM"
	works, why, err := p.KVM(ctx)
	switch {
	case err != nil:
		return Finding{name, Warn, oneLine(err.Error()), "run labctl as root, with qemu-system-x86 installed"}
	case works:
		return good(name, why)
	}
	return Finding{name, Warn, why + "; guests are emulated, which is slower",
		"on a machine of your own, switch virtualisation on in its firmware; in a cloud, take a kind of machine with nested virtualisation"}
}

func (p Patient) netplan(ctx context.Context) Finding {
	const name = "netplan"
	if !p.has(ctx, "netplan") {
		return Finding{name, Bad, "netplan is not installed, and bridges are made through it", "apt-get install netplan.io"}
	}
	if p.has(ctx, "networkctl") {
		if _, err := p.Host.Run(ctx, host.Cmd("networkctl", "--no-legend", "list")); err == nil {
			return good(name, "systemd-networkd answers")
		}
	}
	if p.has(ctx, "nmcli") {
		if _, err := p.Host.Run(ctx, host.Cmd("nmcli", "-t", "general", "status")); err == nil {
			return good(name, "NetworkManager answers")
		}
	}
	return Finding{name, Bad, "neither systemd-networkd nor NetworkManager runs, one of which makes what netplan describes",
		"systemctl enable --now systemd-networkd"}
}

func (p Patient) nftables(ctx context.Context) Finding {
	const name = "nftables"
	out, err := p.Host.Run(ctx, host.Cmd("nft", "-j", "list", "tables"))
	if err != nil {
		return Finding{name, Bad, oneLine(err.Error()), "apt-get install nftables, and run labctl as root"}
	}
	return good(name, fmt.Sprintf("the kernel answers, with %d tables", strings.Count(string(out.Stdout), `"table"`)))
}

func (p Patient) dataFolder(ctx context.Context) Finding {
	const name = "data folder"
	probe := path.Join(p.Root, ".doctor")
	err := p.Host.WriteFile(ctx, probe, []byte("x"), 0o644)
	err = errors.Join(err, p.Host.Remove(ctx, probe))
	switch {
	case errors.Is(err, fs.ErrPermission):
		return Finding{name, Bad, p.Root + " cannot be written to", "run labctl as root"}
	case err != nil:
		return Finding{name, Bad, oneLine(err.Error()), ""}
	}
	return good(name, p.Root+" can be written to")
}

// Less than this is told.
const (
	littleDisk   = 2 << 30 // bytes
	littleMemory = 1 << 30
)

func (p Patient) disk(ctx context.Context) Finding {
	const name = "disk"
	out, err := p.Host.Run(ctx, host.Command{Args: []string{
		"sh", "-c", `while [ ! -e "$1" ]; do set -- "$(dirname "$1")"; done; df --output=avail -B1 -- "$1" | tail -1`, "sh", p.Root,
	}})
	if err != nil {
		return Finding{name, Warn, oneLine(err.Error()), ""}
	}
	free, err := strconv.ParseUint(strings.TrimSpace(string(out.Stdout)), 10, 64)
	if err != nil {
		return Finding{name, Warn, oneLine(err.Error()), ""}
	}
	text := fmt.Sprintf("%.1f GiB are free for %s", float64(free)/(1<<30), p.Root)
	if free < littleDisk {
		return Finding{name, Warn, text, "make room: 'labctl image prune' removes images that no machine uses"}
	}
	return good(name, text)
}

func (p Patient) memory(ctx context.Context) Finding {
	const name = "memory"
	text, err := p.Host.ReadFile(ctx, "/proc/meminfo")
	if err != nil {
		return Finding{name, Warn, oneLine(err.Error()), ""}
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "MemAvailable:" {
			continue
		}
		kib, err := strconv.ParseUint(fields[1], 10, 64)
		if err != nil {
			break
		}
		said := fmt.Sprintf("%.1f GiB are available to machines", float64(kib)/(1<<20))
		if kib<<10 < littleMemory {
			return Finding{name, Warn, said, "stop what needs memory, or declare less for the machines (micro guests do with 128MiB)"}
		}
		return good(name, said)
	}
	return Finding{name, Warn, "/proc/meminfo does not tell what is available", ""}
}

// oneLine is text of several lines as one.
func oneLine(text string) string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
	return strings.Join(strings.Fields(strings.Join(lines, ": ")), " ")
}
