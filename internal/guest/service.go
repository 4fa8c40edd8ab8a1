package guest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/labctl/labctl/internal/helper"
)

// Where the service that converges at boot stands, with systemd and with OpenRC.
const (
	unitPath  = "/etc/systemd/system/labctl-guest.service"
	unitWants = "/etc/systemd/system/multi-user.target.wants/labctl-guest.service"
	initPath  = "/etc/init.d/labctl-guest"
	initWants = "/etc/runlevels/default/labctl-guest"
)

// unit comes after the system's own network configuration, which it corrects, and before the agent, so that whoever
// reaches the guest finds it converged. On a first boot it also comes before cloud-init installs packages, for which it may take a
// route or a file of apt's.
const unit = `[Unit]
Description=Converge this guest to what its lab declares
Documentation=https://github.com/labctl/labctl
After=network.target systemd-networkd.service systemd-sysctl.service nftables.service networking.service
Before=qemu-guest-agent.service cloud-config.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=` + helper.InstallPath + ` boot

[Install]
WantedBy=multi-user.target
`

// initScript is the same for OpenRC. Networks, settings and rules are in the runlevel before it where they are as usual.
const initScript = `#!/sbin/openrc-run
description="Converge this guest to what its lab declares"

depend() {
	after net networking sysctl nftables
	before qemu-guest-agent
}

start() {
	ebegin "Converging to what the lab declares"
	` + helper.InstallPath + ` boot
	eend $?
}
`

// service reports whether the next boot will call the helper. Only systemd and OpenRC are known; the micro image calls it
// by itself, as others may.
func (s System) service() bool {
	switch {
	case s.exists("/run/systemd/system"):
		return s.there(unitPath) && s.there(unitWants) && s.there(helper.InstallPath)
	case s.exists("/run/openrc"):
		return s.there(initPath) && s.there(initWants) && s.there(helper.InstallPath)
	}
	return true
}

// there reports whether a name exists, be it a link that leads nowhere.
func (s System) there(name string) bool {
	_, err := os.Lstat(s.path(name))
	return err == nil
}

// installService has the next boot call the helper. A service that a seed disc has brought stays as it is.
func (t *task) installService() error {
	if t.service() {
		return nil
	}
	if !t.there(helper.InstallPath) {
		self, err := os.ReadFile("/proc/self/exe")
		if err != nil {
			return err
		}
		if err := t.write(t.ctx, helper.InstallPath, string(self), 0o755); err != nil {
			return err
		}
	}
	file, text, mode, link, target := unitPath, unit, fs.FileMode(0o644), unitWants, unitPath
	if !t.exists("/run/systemd/system") {
		file, text, mode, link, target = initPath, initScript, 0o755, initWants, initPath
	}
	if !t.there(file) {
		if err := t.write(t.ctx, file, text, mode); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(t.path(link)), 0o755); err != nil {
		return err
	}
	if err := os.Symlink(target, t.path(link)); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	t.Did("enable %s", file)
	return nil
}
