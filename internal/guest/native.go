package guest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/labctl/labctl/internal/guest/native"
	"github.com/labctl/labctl/internal/helper"
	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/schema"
)

// nativeFiles are the files that say in the system's own words what is declared. One that is declared itself is left to that.
func (t *task) nativeFiles() []schema.File {
	kind := native.Detect(t.exists)
	files := native.Files(kind, helper.Essence(t.want), t.exists)
	return slices.DeleteFunc(files, func(f schema.File) bool {
		return slices.ContainsFunc(t.want.Files, func(declared schema.File) bool { return declared.Path == f.Path })
	})
}

// files are all files that labctl writes for the declaration.
func (t *task) files() []schema.File {
	return append(slices.Clone(t.want.Files), t.nativeFiles()...)
}

// nativeKept reports whether the system's own files say what is declared.
func (t *task) nativeKept() bool {
	for _, f := range t.nativeFiles() {
		is, err := t.original(f.Path)
		if err != nil || !is.There || fileAs(f, is) != f {
			return false
		}
	}
	return !slices.ContainsFunc(t.releasedFiles(), func(path string) bool {
		is, err := t.original(path)
		return err == nil && is.There != t.kept.Before.Files[path].There
	})
}

// applyNative writes the system's own files, and has its network daemon read them: from then on the daemon wants what the
// lab wants. That comes before netlink has the last word.
func (t *task) applyNative() {
	network := false
	leases := t.leaseChanges()
	t.Problem("", t.stopLeases(leases))
	for _, f := range t.nativeFiles() {
		before := len(t.Changed)
		if err := t.applyFile(f); err != nil {
			t.Problem("", fmt.Errorf("%s: %w", f.Path, err))
		}
		network = network || len(t.Changed) > before && (strings.HasPrefix(f.Path, "/etc/netplan/") || strings.HasPrefix(f.Path, native.NetworkFolder))
	}
	t.Problem("", t.startLeases(leases))
	t.Problem("nftables", t.enableRules())
	if network && t.Root == "" {
		t.Problem("", t.reload())
	}
}

// How long a network daemon gets to configure the links anew.
const (
	reloadPause = 100 * time.Millisecond
	reloadLimit = 10 * time.Second
)

// reload has the network daemon take its new files and waits until it is done with the declared interfaces.
func (t *task) reload() error {
	if native.Detect(t.exists) == native.Netplan {
		generate := []string{native.NetplanTool}
		if !t.exists(native.NetplanTool) {
			generate = []string{"netplan", "generate"}
		}
		if _, err := t.Host.Run(t.ctx, host.Cmd(generate...)); err != nil {
			return err
		}
	}
	if !t.exists("/run/systemd/netif/state") {
		return nil // another daemon, which reads them when the guest starts again
	}
	if _, err := t.Host.Run(t.ctx, host.Cmd("networkctl", "reload")); err != nil {
		return err
	}
	t.Did("have systemd-networkd read its files")
	deadline := time.Now().Add(reloadLimit)
	for time.Sleep(reloadPause); !t.settled() && time.Now().Before(deadline); time.Sleep(reloadPause) {
		if err := t.ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// settled reports whether systemd-networkd is done with the declared interfaces.
func (t *task) settled() bool {
	for _, i := range t.want.Interfaces {
		link, err := netlink.LinkByName(i.Name)
		if err != nil {
			continue
		}
		state, err := t.read(fmt.Sprintf("/run/systemd/netif/links/%d", link.Attrs().Index))
		if err == nil && strings.Contains(state, "ADMIN_STATE=configuring") {
			return false
		}
	}
	return true
}

// earlyRules is the link by which the system loads its file of rules before the network comes up, and what it leads to; "" where
// the system has no such service.
func (s System) earlyRules() (link, target string) {
	if native.RulesFile(s.exists) == "" {
		return "", ""
	}
	for _, at := range [][2]string{
		{"/etc/systemd/system/sysinit.target.wants/nftables.service", "/lib/systemd/system/nftables.service"},
		{"/etc/runlevels/boot/nftables", "/etc/init.d/nftables"}, // OpenRC
	} {
		if s.exists(at[1]) && s.exists(filepath.Dir(filepath.Dir(at[0]))) {
			return at[0], at[1]
		}
	}
	return "", ""
}

// enableRules has the system load the rules early at boot, so that no packet comes before them. Rules that name a NIC by its
// index cannot be: the helper loads them once the NICs are there.
func (t *task) enableRules() error {
	early := t.want.Ruleset != nil && native.LoadsEarly(t.want.Ruleset)
	link, target := t.earlyRules()
	if link == "" || t.want.Ruleset == nil && t.kept.Guest.Ruleset == nil {
		return nil
	}
	switch there := t.there(link); {
	case early && !there:
		if err := os.MkdirAll(t.path(filepath.Dir(link)), 0o755); err != nil {
			return err
		}
		return os.Symlink(target, t.path(link))
	case !early && there:
		if err := os.Remove(t.path(link)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
