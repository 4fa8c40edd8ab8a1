package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Init is process 1 of a sandbox, which main starts when its first argument is InitArg. It returns the exit code.
func Init() int {
	code, err := initialise()
	if err != nil {
		fmt.Fprintf(os.Stderr, "labctl: sandbox: %v\n", err)
	}
	return code
}

func initialise() (int, error) {
	orders := os.NewFile(3, "orders")
	unix.CloseOnExec(3)
	decoder := json.NewDecoder(orders)
	var o Options
	if err := decoder.Decode(&o); err != nil || os.Getpid() != 1 {
		return ExitSetup, errors.New(InitArg + " is labctl's own first process in a sandbox: use `labctl sandbox`")
	}
	go func() {
		_, _ = io.Copy(io.Discard, orders)
		os.Exit(ExitSetup) // the process that wanted this sandbox is gone
	}()
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)

	procs := newProcesses()
	go procs.reap(children)
	clock := newStopwatch(o.Timings)
	if err := mountAll(); err != nil {
		return ExitSetup, err
	}
	clock.lap("mounts")
	if err := startDaemons(procs, clock, signals); err != nil {
		return ExitSetup, err
	}
	defer carry(verdict, cachedVerdict)
	return runCommand(procs, o, signals)
}

// runCommand runs the command of the sandbox and passes signals on to it.
func runCommand(procs *processes, o Options, signals <-chan os.Signal) (int, error) {
	path, err := lookPath(o.Args[0])
	if err != nil {
		if errors.Is(err, errNotFound) || errors.Is(err, os.ErrNotExist) {
			return ExitNotFound, fmt.Errorf("%s: there is no such command", o.Args[0])
		}
		return ExitNotRun, fmt.Errorf("%s: %w", o.Args[0], err)
	}
	if err := os.Setenv(Variable, "1"); err != nil {
		return ExitSetup, err
	}
	sys := &syscall.SysProcAttr{Setpgid: true}
	if o.TTY {
		sys.Foreground, sys.Ctty = true, 0
	}
	if o.Greeting != "" {
		fmt.Fprintln(os.Stderr, o.Greeting)
	}
	pid, ended, err := procs.start(path, o.Args, []*os.File{os.Stdin, os.Stdout, os.Stderr}, sys)
	if err != nil {
		return ExitNotRun, fmt.Errorf("%s: %w", o.Args[0], err)
	}
	if o.TTY {
		procs.keepRunning(pid)
	}
	for {
		select {
		case s := <-signals:
			if number, ok := s.(syscall.Signal); ok {
				_ = syscall.Kill(pid, number) // it may have just ended
			}
		case status := <-ended:
			if status.Signaled() {
				return 128 + int(status.Signal()), nil
			}
			return status.ExitStatus(), nil
		}
	}
}

// stopwatch tells how long each part of the start took.
type stopwatch struct {
	tell        bool
	begin, last time.Time
}

func newStopwatch(tell bool) *stopwatch {
	now := time.Now()
	return &stopwatch{tell: tell, begin: now, last: now}
}

func (s *stopwatch) lap(what string) {
	if !s.tell {
		return
	}
	now := time.Now()
	fmt.Fprintf(os.Stderr, "labctl: sandbox: %-20s %4d ms, %4d ms since the start\n", what,
		now.Sub(s.last).Milliseconds(), now.Sub(s.begin).Milliseconds())
	s.last = now
}

// lastLines is the end of a log file, for an error's text.
func lastLines(path string, n int) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n")
}
