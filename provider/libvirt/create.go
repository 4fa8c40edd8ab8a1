package libvirt

import (
	"context"
	"time"

	"libvirt.org/go/libvirt"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/daemon"
)

// create makes a machine that is to start in the order in which nothing is ever without a mark: the definition first,
// marked as incomplete, then its files, then the start. One that stays off is whole as soon as it is defined: its files
// come first, in a folder with a mark of its own, and the definition is written once.
func (j *job) create(ctx context.Context) error {
	if j.staysOff() {
		if err := j.files(ctx, nil); err != nil {
			return err
		}
		err := j.define(ctx)
		if err != nil {
			j.dropFiles(ctx)
		}
		return err
	}
	j.spec.Mark.Incomplete = true
	if err := j.rebuild(); err != nil {
		return err
	}
	if err := j.define(ctx); err != nil {
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

// staysOff reports whether a machine is made and not started, now or with the host.
func (j *job) staysOff() bool { return !j.body.Running && !j.body.Autostart }

// dropFiles removes the files of a machine that libvirt has refused. Where it cannot be told that it was refused they stay:
// they are marked, and the next plan finds them.
func (j *job) dropFiles(ctx context.Context) {
	if j.spec.Folder == "" {
		return
	}
	if have, err := j.reader().One(ctx, daemon.ByUUID(j.uuid)); err == nil && have == nil {
		_ = j.folders().Remove(ctx, j.lab, j.spec.Folder) // the refusal is the error to tell of
	}
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
	if err == nil {
		if err := j.limitAll(ctx); err != nil {
			return err
		}
	}
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
