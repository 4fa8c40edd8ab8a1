package daemon

import (
	"context"
	"errors"
	"strings"
	"time"

	"libvirt.org/go/libvirt"

	"github.com/labctl/labctl/provider"
)

// ShutdownTimeout is how long a guest may take to shut down before its power is cut, where nothing is declared.
const ShutdownTimeout = 30 * time.Second

// Start starts a domain, or lets a paused one go on. One that runs is left alone.
func (c *Conn) Start(_ context.Context, domain string) error {
	return powerError("start", domain, c.Domain(ByName(domain), PowerOn))
}

// PowerOn starts a domain that is off, and lets a paused one go on.
func PowerOn(dom *libvirt.Domain) error {
	state, _, err := dom.GetState()
	if err != nil {
		return err
	}
	switch state {
	case libvirt.DOMAIN_RUNNING, libvirt.DOMAIN_BLOCKED:
		return nil
	case libvirt.DOMAIN_PAUSED, libvirt.DOMAIN_PMSUSPENDED:
		return dom.Resume()
	case libvirt.DOMAIN_CRASHED, libvirt.DOMAIN_SHUTDOWN:
		if err := dom.Destroy(); err != nil && !Is(err, libvirt.ERR_OPERATION_INVALID) {
			return err
		}
	}
	err = dom.Create()
	if Is(err, libvirt.ERR_OPERATION_INVALID) { // somebody else was faster
		if active, asked := dom.IsActive(); asked == nil && active {
			return nil
		}
	}
	return err
}

// Stop shuts a domain down and cuts its power where it is not off within the time. With none left it cuts the power at
// once. A domain that is off is left alone.
func (c *Conn) Stop(ctx context.Context, domain string, within time.Duration) error {
	return powerError("stop", domain, c.PowerOff(ctx, ByName(domain), within))
}

// Reboot restarts the guest's system, as its own reboot command does.
func (c *Conn) Reboot(_ context.Context, domain string) error {
	return powerError("reboot", domain, c.Domain(ByName(domain), func(dom *libvirt.Domain) error {
		return dom.Reboot(libvirt.DOMAIN_REBOOT_DEFAULT)
	}))
}

// PowerOff is Stop of the domain that find finds.
func (c *Conn) PowerOff(ctx context.Context, find Finder, within time.Duration) error {
	var uuid string
	err := c.Domain(find, func(dom *libvirt.Domain) (err error) {
		uuid, err = dom.GetUUIDString()
		return err
	})
	if err != nil {
		return err
	}
	if within > 0 {
		ctx, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		off, err := c.shutdown(ctx, uuid)
		if off || err != nil {
			return err
		}
	}
	err = c.Domain(ByUUID(uuid), func(dom *libvirt.Domain) error { return dom.Destroy() })
	if Is(err, libvirt.ERR_OPERATION_INVALID) { // it was off
		return nil
	}
	return err
}

// shutdown asks the guest to shut down, over its agent where that is there and else by the power button, and waits.
func (c *Conn) shutdown(ctx context.Context, uuid string) (off bool, err error) {
	w := c.Watch(uuid)
	defer w.Stop()
	asked := false
	for {
		err := c.Domain(ByUUID(uuid), func(dom *libvirt.Domain) error {
			active, err := dom.IsActive()
			if err != nil || !active {
				off = err == nil
				return err
			}
			if asked {
				return nil
			}
			asked = true
			if state, _, err := dom.GetState(); err == nil && state != libvirt.DOMAIN_RUNNING {
				return errNotRunning // a paused guest hears nothing
			}
			return dom.Shutdown()
		})
		if off || Is(err, libvirt.ERR_OPERATION_INVALID) {
			return true, nil
		}
		if errors.Is(err, errNotRunning) || Is(err, libvirt.ERR_AGENT_UNRESPONSIVE) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		select {
		case <-w.C:
		case <-ctx.Done():
			return false, nil // its time is up: the caller cuts the power
		}
	}
}

var errNotRunning = errors.New("the machine does not run")

func powerError(op, domain string, err error) error {
	if err == nil {
		return nil
	}
	if Is(err, libvirt.ERR_NO_DOMAIN) {
		return &provider.Error{Op: op, Err: errors.New("there is no domain " + domain)}
	}
	return Failed(op+" domain "+domain, err)
}

// StartHint knows the usual reasons for which QEMU does not start.
func StartHint(err error) string {
	text := err.Error()
	switch {
	case strings.Contains(text, "Permission denied"):
		return "QEMU runs as its own user (libvirt-qemu on Debian): every folder above the disks must be open to it (chmod o+x), and AppArmor or SELinux must allow the path"
	case strings.Contains(text, "Cannot get interface MTU") || strings.Contains(text, "No such device"):
		return "a bridge that a network card is on is not there"
	case strings.Contains(text, "cannot set up guest memory") || strings.Contains(text, "Cannot allocate memory"):
		return "the host has too little free memory for this machine"
	}
	return ""
}
