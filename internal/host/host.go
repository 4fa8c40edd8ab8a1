// Package host reaches a machine: it runs commands there and reads and writes its files, alike for this machine, one over
// ssh, and one over its guest agent. It is the only package that starts processes.
package host

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
)

// Host is a machine that can be reached.
type Host interface {
	// Run runs a command to its end. A command that cannot be started or exits non-zero is a *CommandError.
	Run(ctx context.Context, c Command) (Output, error)
	// ReadFile reads a whole file; one that is not there is fs.ErrNotExist.
	ReadFile(ctx context.Context, path string) ([]byte, error)
	// WriteFile writes a file whole or not at all (temporary file, fsync, rename), making its folder if need be.
	WriteFile(ctx context.Context, path string, data []byte, mode fs.FileMode) error
	// Remove removes a file or an empty folder; one that is not there is no error.
	Remove(ctx context.Context, path string) error
}

// Command is a program and its arguments; no shell is between.
type Command struct {
	Args  []string
	Stdin []byte
	Env   []string // NAME=value, added to the machine's own
	Dir   string
}

// Cmd is a Command of just its arguments.
func Cmd(args ...string) Command { return Command{Args: args} }

// Output is what a command printed.
type Output struct {
	Stdout []byte
	Stderr []byte
}

// CommandError is a command that could not be started, or that exited non-zero.
type CommandError struct {
	Args   []string
	Exit   int // -1 where it did not start or died of a signal
	Stderr string
	Err    error
}

func (e *CommandError) Error() string {
	said := strings.TrimSpace(e.Stderr)
	switch {
	case said != "":
		return fmt.Sprintf("%s: %s", e.Args[0], said)
	case e.Exit >= 0:
		return fmt.Sprintf("%s: exit status %d with no message", strings.Join(e.Args, " "), e.Exit)
	}
	return fmt.Sprintf("%s: %v", e.Args[0], e.Err)
}

func (e *CommandError) Unwrap() error { return e.Err }
