package doctor

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/labctl/labctl/internal/host"
)

// routing looks at the kernel's own settings of forwarding.
func (p Patient) routing(ctx context.Context) Finding {
	const name = "routing"
	read := func(key string) string {
		text, err := p.Host.ReadFile(ctx, "/proc/sys/net/ipv4/"+key)
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(text))
	}
	// Linux' Documentation/networking/ip-sysctl.rst: 1 is strict, 2 loose; of all and the interface the larger one counts.
	if read("conf/all/rp_filter") == "1" {
		return Finding{name, Warn, "the host drops packets whose answer would go another way (rp_filter=1), as labs with routers on one arm send",
			"sysctl -w net.ipv4.conf.all.rp_filter=2, and so in a file under /etc/sysctl.d"}
	}
	if read("ip_forward") == "1" {
		return good(name, "the host forwards between bridges")
	}
	return good(name, "the host does not forward between bridges; a lab that needs it says host { forwarding = true }")
}

// reach looks whether QEMU, which runs as a user of its own, gets to the images.
func (p Patient) reach(ctx context.Context) Finding {
	const name = "file rights"
	folders := []string{}
	for at := path.Clean(p.Root); at != "/" && at != "."; at = path.Dir(at) {
		folders = append(folders, at)
	}
	closed, err := p.find(ctx, append(folders, "-maxdepth", "0", "!", "-perm", "-o+x"))
	if err != nil {
		return Finding{name, Warn, oneLine(err.Error()), ""}
	}
	if len(closed) > 0 {
		return Finding{name, Bad, "QEMU's own user (libvirt-qemu) does not get into " + strings.Join(closed, ", "),
			"chmod o+x " + strings.Join(closed, " ")}
	}
	unread, err := p.find(ctx, []string{path.Join(p.Root, "images"), "-type", "f", "!", "-name", ".*", "!", "-perm", "-o+r"})
	if err != nil {
		return Finding{name, Warn, oneLine(err.Error()), ""}
	}
	if len(unread) > 0 {
		return Finding{name, Bad, fmt.Sprintf("QEMU's own user cannot read %d of the images' files: %s", len(unread), unread[0]),
			"chmod -R o+rX " + path.Join(p.Root, "images")}
	}
	return good(name, "QEMU's own user gets to the images")
}

// find runs find(1). What is not there yet is no error.
func (p Patient) find(ctx context.Context, args []string) ([]string, error) {
	script := append([]string{"sh", "-c", `find "$@" 2>/dev/null; true`, "find"}, args...)
	out, err := p.Host.Run(ctx, host.Command{Args: script})
	return strings.Fields(string(out.Stdout)), err
}

// confinement looks whether libvirt's helper for AppArmor may read the disks that labctl makes: it follows each to the
// image under it and allows the machine both.
func (p Patient) confinement(ctx context.Context) Finding {
	const name = "AppArmor"
	const helper = "/etc/apparmor.d/usr.lib.libvirt.virt-aa-helper"
	on, err := p.Host.ReadFile(ctx, "/sys/module/apparmor/parameters/enabled")
	if err != nil || strings.TrimSpace(string(on)) != "Y" {
		return good(name, "it is not in use")
	}
	profile, err := p.Host.ReadFile(ctx, helper)
	if err != nil {
		return good(name, "libvirt's helper is not confined")
	}
	local, _ := p.Host.ReadFile(ctx, "/etc/apparmor.d/local/usr.lib.libvirt.virt-aa-helper") // it need not be there
	rules := string(profile) + "\n" + string(local)
	for line := range strings.Lines(rules) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "/**.qcow") || strings.HasPrefix(line, p.Root) {
			return good(name, "libvirt's helper may read the disks in "+p.Root)
		}
	}
	return Finding{name, Bad, "libvirt's helper (virt-aa-helper) may not read the disks in " + p.Root + ", and machines would not start",
		fmt.Sprintf("echo '%s/** r,' >>/etc/apparmor.d/local/usr.lib.libvirt.virt-aa-helper, then apparmor_parser -r %s", p.Root, helper)}
}

// offloads looks for cards that glue received packets together in a way that cannot be forwarded: those which a bridge or
// a router then drops are large ones, so that pings work and downloads hang.
func (p Patient) offloads(ctx context.Context) Finding {
	const name = "offloads"
	if !p.has(ctx, "ethtool") {
		return good(name, "not looked at: ethtool is not installed")
	}
	out, err := p.Host.Run(ctx, host.Cmd("ls", "/sys/class/net"))
	if err != nil {
		return Finding{name, Warn, oneLine(err.Error()), ""}
	}
	var cards []string
	for _, card := range strings.Fields(string(out.Stdout)) {
		features, err := p.Host.Run(ctx, host.Cmd("ethtool", "-k", card))
		if err == nil && strings.Contains(string(features.Stdout), "large-receive-offload: on") {
			cards = append(cards, card)
		}
	}
	if len(cards) == 0 {
		return good(name, "no card joins packets that are to be forwarded")
	}
	return Finding{name, Warn, "large packets that " + strings.Join(cards, " and ") + " joined (large-receive-offload) are dropped where the host forwards them",
		"ethtool -K " + cards[0] + " lro off"}
}
