package sandbox

import (
	"os"
	"sync"
	"syscall"
)

// processes is what process 1 has started. It reaps every process of the sandbox, its own and those whose parent ended.
type processes struct {
	mu      sync.Mutex
	waiting map[int]chan syscall.WaitStatus
	resume  int // process that may not stay stopped, since no shell is there to continue it; 0 is none
}

func newProcesses() *processes {
	return &processes{waiting: make(map[int]chan syscall.WaitStatus)}
}

// start starts a program, which ended tells the end of.
func (p *processes) start(path string, args []string, files []*os.File, sys *syscall.SysProcAttr) (pid int, ended <-chan syscall.WaitStatus, err error) {
	fds := make([]uintptr, len(files))
	for i, f := range files {
		fds[i] = f.Fd()
	}
	p.mu.Lock() // held over both, so that reap cannot meet the end of a process before it is in the map
	defer p.mu.Unlock()
	pid, err = syscall.ForkExec(path, args, &syscall.ProcAttr{Env: os.Environ(), Files: fds, Sys: sys})
	if err != nil {
		return 0, nil, err
	}
	done := make(chan syscall.WaitStatus, 1)
	p.waiting[pid] = done
	return pid, done, nil
}

// keepRunning continues pid whenever it is stopped.
func (p *processes) keepRunning(pid int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resume = pid
}

// reap waits for children for as long as process 1 lives. A SIGCHLD must come for each time that there may be one.
func (p *processes) reap(children <-chan os.Signal) {
	for range children {
		for {
			var status syscall.WaitStatus
			pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG|syscall.WUNTRACED, nil)
			if err == syscall.EINTR {
				continue
			}
			if pid <= 0 || err != nil {
				break
			}
			p.ended(pid, status)
		}
	}
}

func (p *processes) ended(pid int, status syscall.WaitStatus) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if status.Stopped() {
		if pid == p.resume {
			_ = syscall.Kill(-pid, syscall.SIGCONT)
		}
		return
	}
	if done, ours := p.waiting[pid]; ours {
		done <- status
		delete(p.waiting, pid)
	}
}
