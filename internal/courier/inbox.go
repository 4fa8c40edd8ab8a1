package courier

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
)

// Inbox is the command's own end on the far machine.
type Inbox struct {
	Parcel   []byte
	Terminal Terminal

	files *writer
	next  atomic.Uint32

	asking sync.Mutex
	home   *bufio.Reader // the parcel came by it, and answers do
}

// Open is the inbox of a command that a courier has brought; nil where this one was not. The descriptors are the ones that
// Serve gave it, and are kept from the processes that the command starts.
func Open() (*Inbox, error) {
	terminal, sent := Streams()
	if !sent {
		return nil, nil //nolint:nilnil // no inbox and no error is what most commands have
	}
	const parcel, files = 3, 4
	syscall.CloseOnExec(parcel)
	syscall.CloseOnExec(files)
	in := &Inbox{Terminal: terminal, files: &writer{w: os.NewFile(files, "files")}, home: bufio.NewReader(os.NewFile(parcel, "parcel"))}
	for {
		f, err := receive(in.home)
		if err != nil {
			return nil, fmt.Errorf("what came with the command: %w", err)
		}
		if f.kind == frameStart {
			return in, nil
		}
		in.Parcel = append(in.Parcel, f.payload...)
	}
}

// Ask asks the near machine, which answers as the job says.
func (in *Inbox) Ask(question []byte) (answer []byte, err error) {
	in.asking.Lock()
	defer in.asking.Unlock()
	if err := errors.Join(in.files.sendAll(frameAsk, question), in.files.send(frameAsked, nil)); err != nil {
		return nil, err
	}
	for {
		f, err := receive(in.home)
		switch {
		case err != nil:
			return nil, errors.New("the machine that sent the command is gone")
		case f.kind == frameNone:
			return nil, errors.New(string(f.payload))
		case f.kind == frameGiven:
			return answer, nil
		}
		answer = append(answer, f.payload...)
	}
}

// Create writes a file on the near machine as it grows. The path is one of the job's Writable.
func (in *Inbox) Create(path string, mode fs.FileMode) (io.WriteCloser, error) {
	return in.create(file{Path: path, Mode: mode})
}

// WriteFile writes a file on the near machine whole or not at all.
func (in *Inbox) WriteFile(path string, text []byte, mode fs.FileMode) error {
	w, err := in.create(file{Path: path, Mode: mode, Whole: true})
	if err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	return w.Close()
}

func (in *Inbox) create(what file) (io.WriteCloser, error) {
	text, err := json.Marshal(what)
	if err != nil {
		return nil, err
	}
	n := byte(in.next.Add(1))
	return &outgoing{in.files, n}, in.files.send(frameFile, append([]byte{n}, text...))
}

// outgoing is a file on its way to the near machine.
type outgoing struct {
	files *writer
	n     byte
}

func (o *outgoing) Write(text []byte) (int, error) {
	for sent := 0; sent < len(text); {
		part := text[sent:min(len(text), sent+frameMax-1)]
		if err := o.files.send(frameText, append([]byte{o.n}, part...)); err != nil {
			return sent, err
		}
		sent += len(part)
	}
	return len(text), nil
}

func (o *outgoing) Close() error { return o.files.send(frameFileEnd, []byte{o.n}) }

// Streams tells which streams of a command that a courier has brought are terminals where it comes from.
func Streams() (t Terminal, sent bool) {
	text := os.Getenv(Variable)
	if text == "" {
		return t, false
	}
	t, err := ParseTerminal(text)
	return t, err == nil
}
