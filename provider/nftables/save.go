package nftables

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// saved is the file from which a ruleset comes back after a reboot of the host.
type saved struct {
	path string
	text string
	mark provider.Mark
	unit bool // its unit is there and enabled, or there is no systemd to have it
}

const (
	folder   = "etc/labctl/nftables"
	prefix   = "90-labctl-"
	suffix   = ".nft"
	units    = "etc/systemd/system"
	unitName = "labctl-nftables-"
	wants    = units + "/multi-user.target.wants"
	// systemdSign is a file that every systemd brings.
	systemdSign = "lib/systemd/system/multi-user.target"
)

func (p *Provider) savedPath(lab string, addr schema.Addr) string {
	return path.Join(p.Root, folder, prefix+provider.FileName(lab, addr)+suffix)
}

// readSaved reads the marked files and whether their units are in place.
func (p *Provider) readSaved(ctx context.Context) ([]saved, error) {
	files, err := host.ReadFiles(ctx, p.host, p.Root, folder+"/"+prefix+"*"+suffix, units+"/"+unitName+"*.service",
		wants+"/"+unitName+"*.service", systemdSign, "usr/"+systemdSign)
	if err != nil {
		return nil, err
	}
	content := map[string]string{}
	systemd := false
	for _, f := range files {
		content[f.Path] = string(f.Data)
		systemd = systemd || strings.HasSuffix(f.Path, systemdSign)
	}
	var all []saved
	for _, f := range files {
		if path.Dir(f.Path) != path.Join(p.Root, folder) {
			continue
		}
		first, _, _ := strings.Cut(string(f.Data), "\n")
		mark, ok := provider.ParseMark(strings.TrimPrefix(first, "# "))
		if !ok || p.savedPath(mark.Lab, mark.Addr) != f.Path {
			continue // a copy, or let go of
		}
		name, text := p.unit(mark.Lab, mark.Addr)
		enabled := content[path.Join(p.Root, units, name)] == text && content[path.Join(p.Root, wants, name)] == text
		all = append(all, saved{path: f.Path, text: string(f.Data), mark: mark, unit: enabled || !systemd})
	}
	return all, nil
}

// fileText is the text of the file: the mark, and a transaction that makes the tables whatever is there of them.
func fileText(mark provider.Mark, wanted canonical, note string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n# The nftables tables of the lab %s. labctl writes this file, and\n# the unit %s%s loads it when the host starts.\n",
		mark.String(), mark.Lab, unitName, provider.FileName(mark.Lab, mark.Addr))
	b.WriteString(transaction(wanted, note, nil, func(string) bool { return true }))
	return b.String()
}

// unit is the name and the text of the systemd unit that loads the file. It follows nftables.service, whose usual
// configuration begins with a flush, and tries again where an interface that a rule names comes later.
func (p *Provider) unit(lab string, addr schema.Addr) (name, text string) {
	return unitName + provider.FileName(lab, addr) + ".service", fmt.Sprintf(`# Written by labctl for the lab %s.
[Unit]
Description=nftables tables of the labctl lab %s
ConditionPathExists=%[3]s
DefaultDependencies=no
After=local-fs.target nftables.service
PartOf=nftables.service
Before=shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=nft -f %[3]s
Restart=on-failure
RestartSec=2

[Install]
WantedBy=multi-user.target
`, lab, lab, p.savedPath(lab, addr))
}

// save writes the file and the unit, which is enabled by its link alone: systemd need not run.
func (p *Provider) save(ctx context.Context, mark provider.Mark, text string) error {
	file := p.savedPath(mark.Lab, mark.Addr)
	if err := provider.Step(ctx, "save "+path.Base(file)); err != nil {
		return err
	}
	// Rules are nobody's secret, but who may read them is root's to say, as for `nft list`.
	if err := p.host.WriteFile(ctx, file, []byte(text), 0o600); err != nil {
		return err
	}
	signs, err := host.ReadFiles(ctx, p.host, p.Root, systemdSign, "usr/"+systemdSign)
	if err != nil || len(signs) == 0 {
		return err
	}
	if err := provider.Step(ctx, "enable at boot"); err != nil {
		return err
	}
	name, unit := p.unit(mark.Lab, mark.Addr)
	if err := p.host.WriteFile(ctx, path.Join(p.Root, units, name), []byte(unit), 0o644); err != nil {
		return err
	}
	link := host.Cmd("sh", "-ec", `mkdir -p "$0"; ln -sfn "../$1" "$0/$1"`, path.Join(p.Root, wants), name)
	_, err = p.host.Run(ctx, link)
	return err
}

// unsave removes what save wrote, and its folders where nothing else is in them.
func (p *Provider) unsave(ctx context.Context, lab string, addr schema.Addr) error {
	if err := provider.Step(ctx, "disable at boot"); err != nil {
		return err
	}
	name, _ := p.unit(lab, addr)
	for _, file := range []string{path.Join(p.Root, wants, name), path.Join(p.Root, units, name), p.savedPath(lab, addr)} {
		if err := p.host.Remove(ctx, file); err != nil {
			return err
		}
	}
	for _, dir := range []string{path.Join(p.Root, folder), path.Join(p.Root, path.Dir(folder))} {
		if p.host.Remove(ctx, dir) != nil {
			break // another lab's files are in it
		}
	}
	return nil
}
