package host

import (
	"errors"
	"os"
	"os/exec"
)

// Process is a process of this machine that runs beside labctl.
type Process struct{ cmd *exec.Cmd }

// Files are what a process begins with; nil is /dev/null. Extra are its descriptors from 3 on.
type Files struct {
	Stdin, Stdout, Stderr *os.File
	Extra                 []*os.File
}

// Start starts a command and does not wait for it: Wait must be called. Its Stdin is not used, its files are f.
func Start(c Command, f Files) (*Process, error) {
	cmd := exec.Command(c.Args[0], c.Args[1:]...) //nolint:noctx // it outlives every wish to stop: Signal carries those
	cmd.Dir, cmd.ExtraFiles = c.Dir, f.Extra
	cmd.Env = append(os.Environ(), c.Env...)
	if f.Stdin != nil {
		cmd.Stdin = f.Stdin
	}
	if f.Stdout != nil {
		cmd.Stdout = f.Stdout
	}
	if f.Stderr != nil {
		cmd.Stderr = f.Stderr
	}
	if err := cmd.Start(); err != nil {
		return nil, &CommandError{Args: c.Args, Exit: -1, Err: err}
	}
	return &Process{cmd}, nil
}

// Signal sends a signal; one that has ended gets none.
func (p *Process) Signal(s os.Signal) error {
	if err := p.cmd.Process.Signal(s); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// Wait waits for the end. The state tells how it went.
func (p *Process) Wait() (*os.ProcessState, error) {
	err := p.cmd.Wait()
	if _, exited := errors.AsType[*exec.ExitError](err); exited {
		err = nil
	}
	return p.cmd.ProcessState, err
}
