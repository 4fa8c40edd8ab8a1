package courier

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync/atomic"
	"syscall"
)

// Inbox is the command's own end on the far machine.
type Inbox struct {
	Parcel   []byte
	Terminal Terminal

	files *writer
	next  atomic.Uint32
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
	from := os.NewFile(parcel, "parcel")
	if from == nil {
		return nil, errors.New("no parcel came with the command")
	}
	defer from.Close()
	in := &Inbox{Terminal: terminal, files: &writer{w: os.NewFile(files, "files")}}
	var err error
	in.Parcel, err = io.ReadAll(from)
	return in, err
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
