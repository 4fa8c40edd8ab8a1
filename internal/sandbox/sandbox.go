// Package sandbox makes a throwaway lab host out of the machine that it runs on: a command sees its own network, mounts
// and processes, with a systemd-networkd, a libvirtd and nftables of its own, and when the command ends (or labctl is
// killed) the kernel takes all of it away.
//
// The host is a PID namespace whose process 1 is labctl itself. Everything that runs in it is a descendant of that
// process, so nothing can outlive it, and nothing written to /etc, /run, /var/lib/libvirt or /var/lib/labctl reaches the
// machine's own files.
package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// InitArg is the argument that makes labctl process 1 of a sandbox: main hands over to Init when it is the first one.
const InitArg = "sandbox-init"

// Variable is set to "1" in the environment of all that runs in a sandbox.
const Variable = "LABCTL_SANDBOX"

// Exit codes of Run beside the command's own, as container tools have them.
const (
	ExitSetup    = 125 // the sandbox could not be made
	ExitNotRun   = 126 // the command cannot be executed
	ExitNotFound = 127 // there is no such command
)

// Options say what runs in the sandbox.
type Options struct {
	Args     []string `json:"args"`     // the command and its arguments
	Greeting string   `json:"greeting"` // said on standard error once the host is there, before the command starts
	Timings  bool     `json:"timings"`  // tell on standard error where the start's time goes
	TTY      bool     `json:"tty"`      // the command owns the terminal on standard input
}

// Run makes a sandbox, runs the command in it with this process's standard files and takes the sandbox down. It returns
// the command's exit code; for a command that died of a signal, 128 and the signal's number, as shells do.
//
// Signals sent to this process are passed on to the command.
func Run(o Options) (int, error) {
	if err := missingError(Missing()); err != nil {
		return ExitSetup, err
	}
	o.TTY = ownsTerminal()

	// The kernel sends Pdeathsig when the thread that started the child ends, so this goroutine keeps its thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	defer signal.Stop(signals)

	init, orders, err := start()
	if err != nil {
		return ExitSetup, err
	}
	defer orders.Close() // held open to the end: process 1 leaves when it is closed
	if err := json.NewEncoder(orders).Encode(o); err != nil {
		return ExitSetup, fmt.Errorf("instruct the sandbox: %w", err)
	}
	go func() {
		for s := range signals {
			_ = init.Signal(s) // it may have just ended
		}
	}()
	state, err := init.Wait()
	if o.TTY {
		reclaimTerminal()
	}
	if err != nil {
		return ExitSetup, fmt.Errorf("wait for the sandbox: %w", err)
	}
	status, ok := state.Sys().(syscall.WaitStatus)
	if !ok || status.Signaled() {
		return ExitSetup, fmt.Errorf("the sandbox ended unexpectedly: %v", state)
	}
	return status.ExitStatus(), nil
}

// start starts process 1 of the sandbox, which reads its Options from the other end of orders.
func start() (init *os.Process, orders *os.File, err error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer read.Close()
	init, err = os.StartProcess("/proc/self/exe", []string{"labctl", InitArg}, &os.ProcAttr{
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr, read},
		Sys: &syscall.SysProcAttr{
			Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID |
				syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
			Pdeathsig: syscall.SIGKILL,
			Setpgid:   true, // the terminal's signals reach this process alone, which passes each on once
		},
	})
	if err == nil {
		return init, write, nil
	}
	write.Close()
	switch {
	case errors.Is(err, syscall.EPERM) && os.Geteuid() != 0:
		return nil, nil, errors.New("a sandbox makes network and mount namespaces, which needs root: run it with sudo")
	case errors.Is(err, syscall.EPERM):
		return nil, nil, errors.New("this system lets not even root make namespaces, as containers do: " +
			"run labctl on the machine itself, or in a container with --privileged")
	case errors.Is(err, syscall.EINVAL):
		return nil, nil, fmt.Errorf("this kernel has not all of the namespaces that a sandbox needs: %w", err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EUSERS):
		return nil, nil, fmt.Errorf("no more namespaces may be made (see user.max_net_namespaces in namespaces(7)): %w", err)
	}
	return nil, nil, fmt.Errorf("make namespaces: %w", err)
}

// ownsTerminal reports whether standard input is a terminal in whose foreground this process is.
func ownsTerminal() bool {
	group, err := unix.IoctlGetInt(int(os.Stdin.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// reclaimTerminal puts this process back into the foreground that the command had.
func reclaimTerminal() {
	signal.Ignore(syscall.SIGTTOU) // else asking from the background stops us
	_ = unix.IoctlSetPointerInt(int(os.Stdin.Fd()), unix.TIOCSPGRP, unix.Getpgrp())
	signal.Reset(syscall.SIGTTOU)
}
