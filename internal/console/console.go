// Package console joins a person's terminal to a machine's serial console.
package console

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// detachKey is ^], which ends a console as it does in virsh and telnet.
const detachKey = 0x1d

// Attach joins a terminal and a machine's console until the user types ^] or the console ends. It reports whether the
// user left.
func Attach(in io.Reader, out io.Writer, console io.ReadWriter) (left bool, err error) {
	ends := make(chan error, 2)
	go func() {
		_, err := io.Copy(out, console)
		ends <- err
	}()
	typed := make(chan error, 1)
	go func() { typed <- sendTyped(in, console) }()
	select {
	case err := <-ends:
		return false, err
	case err := <-typed:
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, io.EOF) {
			return false, err
		}
	}
	return false, <-ends // the input has ended: show what the machine still says
}

// sendTyped sends what is typed until the detach key, and returns nil at it.
func sendTyped(in io.Reader, console io.Writer) error {
	buffer := make([]byte, 1024)
	for {
		n, err := in.Read(buffer)
		before, _, found := bytes.Cut(buffer[:n], []byte{detachKey})
		if len(before) > 0 {
			if _, err := console.Write(before); err != nil {
				return err
			}
		}
		if found {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Raw puts the terminal into raw mode, in which every key reaches the machine, and returns what undoes it.
func Raw(terminal *os.File) (restore func(), err error) {
	if !term.IsTerminal(int(terminal.Fd())) {
		return func() {}, nil
	}
	before, err := term.MakeRaw(int(terminal.Fd()))
	if err != nil {
		return nil, fmt.Errorf("put the terminal into raw mode: %w", err)
	}
	return func() { _ = term.Restore(int(terminal.Fd()), before) }, nil
}
