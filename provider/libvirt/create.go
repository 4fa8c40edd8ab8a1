package libvirt

import (
	"context"
	"time"

	"libvirt.org/go/libvirt"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/daemon"
)

// create defines the domain first, marked as incomplete where more has to be done, so that whatever comes after is never
// without its mark; then it makes the files and starts the machine.
func (j *job) create(ctx context.Context) error {
	more := j.spec.Folder != "" || j.body.Running || j.body.Autostart
	if more {
		j.spec.Mark.Incomplete = true
		if err := j.rebuild(); err != nil {
			return err
		}
	}
	if err := j.define(ctx); err != nil || !more {
		return err
	}
	if err := j.files(ctx, nil); err != nil {
		return err
	}
	if err := j.autostart(ctx); err != nil {
		return err
	}
	if j.body.Running {
		if err := j.start(ctx); err != nil {
			return err
		}
	}
	return j.mark(false)
}

func (j *job) autostart(ctx context.Context) error {
	if j.have == nil && !j.body.Autostart || j.have != nil && j.now().Autostart == j.body.Autostart {
		return nil
	}
	if err := provider.Step(ctx, "set autostart"); err != nil {
		return err
	}
	return daemon.Failed("set autostart of "+j.body.Name, j.conn.Domain(daemon.ByUUID(j.uuid), func(dom *libvirt.Domain) error {
		return dom.SetAutostart(j.body.Autostart)
	}))
}

// start starts the machine, or lets a paused one go on.
func (j *job) start(ctx context.Context) error {
	if err := provider.Step(ctx, "start"); err != nil {
		return err
	}
	w := j.conn.Watch(j.uuid)
	defer w.Stop()
	err := j.conn.Domain(daemon.ByUUID(j.uuid), daemon.PowerOn)
	if err == nil && j.body.MaxMemory > j.body.Memory {
		// QEMU starts with all of it: what is above memory the guest gives back once its balloon driver is there.
		return j.waitMemory(ctx, w, j.bootTimeout())
	}
	if err == nil {
		return nil
	}
	return &provider.Error{Op: "start domain " + j.body.Name, Err: daemon.Message(err), Detail: j.conn.ConsoleTail(j.body.Name), Hint: daemon.StartHint(err)}
}

// bootTimeout is how long a guest may take to come up.
const bootTimeout = 2 * time.Minute

func (j *job) bootTimeout() time.Duration {
	if t := j.body.Timeouts.Boot; t > 0 {
		return time.Duration(t * float64(time.Second))
	}
	return bootTimeout
}
