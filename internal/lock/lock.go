// Package lock keeps two labctl from changing one lab on one host at once. A lock is held by the kernel (flock(2)) and
// not by the file's being there, so it is free again the moment its holder ends, however that ends.
package lock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// Dir is where labctl keeps its locks: on a tmpfs, so that a reboot leaves none.
const Dir = "/run/labctl"

// retry is how often a waiting labctl looks whether the lock is free.
const retry = 50 * time.Millisecond

// Holder is who holds a lock.
type Holder struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
}

// String says who it is, for messages.
func (h Holder) String() string {
	if h.PID == 0 {
		return "another labctl"
	}
	return fmt.Sprintf("process %d (%s) since %s", h.PID, h.Command, h.Since.Local().Format("15:04:05"))
}

// HeldError is that somebody else holds the lock still.
type HeldError struct {
	Lab, Host string
	Holder    Holder
	Waited    time.Duration
}

func (e *HeldError) Error() string {
	where := ""
	if e.Host != "" {
		where = fmt.Sprintf(" on host %q", e.Host)
	}
	waited := ""
	if e.Waited > 0 {
		waited = fmt.Sprintf(" (waited %s)", e.Waited.Round(time.Millisecond))
	}
	return fmt.Sprintf("lab %q%s is locked by %s%s", e.Lab, where, e.Holder, waited)
}

// Lock is a lock that is held.
type Lock struct {
	file *flock.Flock
}

// Acquire takes the lock of a lab on a host, with its file in the folder dir. It waits for as long as timeout says, 0 not
// at all, and gives up with a *HeldError. command is what the holder is doing, for the message that others get.
func Acquire(ctx context.Context, dir, lab, host, command string, timeout time.Duration) (*Lock, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("lock lab %q: %w", lab, err)
	}
	path := Path(dir, lab, host)
	file := flock.New(path, flock.SetPermissions(0o644))
	began := time.Now()
	got, err := wait(ctx, file, timeout)
	if err != nil {
		return nil, fmt.Errorf("lock lab %q: %w", lab, err)
	}
	if !got {
		holder, _ := read(path) // who it is only helps the message
		held := &HeldError{Lab: lab, Host: host, Holder: holder}
		if timeout > 0 {
			held.Waited = time.Since(began)
		}
		return nil, held
	}
	if err := write(path, Holder{PID: os.Getpid(), Command: command, Since: time.Now()}); err != nil {
		return nil, errors.Join(fmt.Errorf("lock lab %q: %w", lab, err), file.Close())
	}
	return &Lock{file}, nil
}

// wait tries until it has the lock, the time is over (false), or ctx is done (an error).
func wait(ctx context.Context, file *flock.Flock, timeout time.Duration) (bool, error) {
	if timeout <= 0 {
		return file.TryLock()
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	got, err := file.TryLockContext(limited, retry)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return false, nil
	}
	return got, err
}

// Release lets go of the lock. Its file stays: to remove it would let two others hold two files of one name.
func (l *Lock) Release() error {
	return errors.Join(os.Truncate(l.file.Path(), 0), l.file.Close())
}

// Path is the file of a lab's lock.
func Path(dir, lab, host string) string {
	name := url.PathEscape(lab)
	if host != "" {
		name += "@" + url.PathEscape(host)
	}
	return filepath.Join(dir, name+".lock")
}

// Who tells who holds a lab's lock; ok is false where nobody does.
func Who(dir, lab, host string) (holder Holder, ok bool, err error) {
	path := Path(dir, lab, host)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return Holder{}, false, nil
	}
	file := flock.New(path, flock.SetFlag(os.O_RDONLY))
	free, err := file.TryRLock()
	if err != nil || free {
		return Holder{}, false, errors.Join(err, file.Close())
	}
	holder, err = read(path)
	return holder, true, err
}

func read(path string) (Holder, error) {
	var h Holder
	text, err := os.ReadFile(path)
	if err != nil || len(text) == 0 {
		return h, err
	}
	return h, json.Unmarshal(text, &h)
}

// write overwrites in place: a renamed file would be another file, and the lock is on this one.
func write(path string, h Holder) error {
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
