package console

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

func TestAttachEndsAtTheDetachKey(t *testing.T) {
	machine, console := net.Pipe()
	heard := make(chan string, 1)
	go func() {
		buffer := make([]byte, 100)
		n, _ := machine.Read(buffer)
		heard <- string(buffer[:n])
	}()
	left, err := Attach(strings.NewReader("ls\x1dnever"), io.Discard, console)
	if !left || err != nil {
		t.Errorf("got %v, %v", left, err)
	}
	if got := <-heard; got != "ls" {
		t.Errorf("the machine heard %q", got)
	}
}

func TestAttachEndsWithTheConsole(t *testing.T) {
	machine, console := net.Pipe()
	go func() {
		_, _ = machine.Write([]byte("bye\r\n"))
		machine.Close()
	}()
	input, _ := io.Pipe() // nobody types
	var screen bytes.Buffer
	left, err := Attach(input, &screen, console)
	if left || err != nil || screen.String() != "bye\r\n" {
		t.Errorf("got %v, %v, %q", left, err, screen.String())
	}
}

func TestAttachShowsTheRestWhenInputEnds(t *testing.T) {
	machine, console := net.Pipe()
	go func() {
		_, _ = io.Copy(io.Discard, io.LimitReader(machine, 5))
		_, _ = machine.Write([]byte("answer"))
		machine.Close()
	}()
	var screen bytes.Buffer
	left, err := Attach(strings.NewReader("quest"), &screen, console)
	if left || err != nil || screen.String() != "answer" {
		t.Errorf("got %v, %v, %q", left, err, screen.String())
	}
}

func TestAttachReportsABrokenConsole(t *testing.T) {
	broken := errors.New("stream broke")
	machine, _ := io.Pipe()
	_, err := Attach(machine, io.Discard, struct {
		io.Reader
		io.Writer
	}{io.MultiReader(strings.NewReader("x"), failing{broken}), io.Discard})
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
