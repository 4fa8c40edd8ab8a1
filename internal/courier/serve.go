package courier

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/labctl/labctl/internal/host"
)

// workRoot is where the far end makes the folder that a command works in: gone with the command, and with a reboot.
const workRoot = "/run/labctl/courier"

// Serve is the far end: it runs one command for the machine at the other end of its standard input and output, and returns
// what this process exits with.
func Serve() int {
	// A connection that is gone is found out by the read or the write that fails. Signals that are caught, and not ignored, do
	// what they always do in the command.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE, syscall.SIGHUP)
	s := &server{out: &writer{w: os.Stdout}, root: workRoot, silence: func() <-chan time.Time { return time.After(pingWait) }}
	if err := s.run(os.Stdin); err != nil {
		fmt.Fprintf(os.Stderr, "labctl: %v\n", err)
		return 1
	}
	return 0
}

// server is the far end of one job.
type server struct {
	out     *writer
	root    string                  // where the command gets a folder of its own
	silence func() <-chan time.Time // tells when nothing has come for so long that nobody is there
	command *host.Process
	input   *queue
	home    *queue  // what the command gets of the near machine: its parcel, and answers
	letters *writer // to home
}

func (s *server) run(in io.Reader) error {
	if _, err := fmt.Fprintf(s.out.w, "%s ready\n", hello); err != nil {
		return err
	}
	from := bufio.NewReaderSize(in, 64<<10)
	what, parcel, err := order(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.root, 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(s.root, "command-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	drained, err := s.start(dir, what, parcel)
	if err != nil {
		return err
	}
	go s.obey(from)
	state, err := s.command.Wait()
	s.input.close()
	s.home.close()
	drained.Wait()
	if err != nil {
		return err
	}
	code := state.ExitCode()
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		code = 128 + int(status.Signal())
	}
	return s.out.send(frameExit, []byte{byte(code)})
}

// order reads what is to be done.
func order(from io.Reader) (what start, parcel []byte, err error) {
	for {
		f, err := receive(from)
		if err != nil {
			return what, nil, fmt.Errorf("no command came: %w", err)
		}
		switch f.kind {
		case frameParcel:
			parcel = append(parcel, f.payload...)
		case frameStart:
			return what, parcel, json.Unmarshal(f.payload, &what)
		}
	}
}

// start starts the command in dir. What it writes is sent until it has ended; drained is that all of it was.
func (s *server) start(dir string, what start, parcel []byte) (drained *sync.WaitGroup, err error) {
	var pipes [5]struct{ r, w *os.File } // standard input, output, error; the parcel; its files
	for n := range pipes {
		if pipes[n].r, pipes[n].w, err = os.Pipe(); err != nil {
			return nil, err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	theirs := []*os.File{pipes[0].r, pipes[1].w, pipes[2].w, pipes[3].r, pipes[4].w}
	s.command, err = host.Start(host.Command{
		Args: append([]string{self}, what.Args...), Dir: dir,
		Env: append(what.Env, Variable+"="+what.Terminal.String()),
	}, host.Files{Stdin: theirs[0], Stdout: theirs[1], Stderr: theirs[2], Extra: theirs[3:]})
	for _, f := range theirs {
		f.Close()
	}
	if err != nil {
		return nil, err
	}
	s.input = newQueue(pipes[0].w)
	s.home = newQueue(pipes[3].w)
	s.letters = &writer{w: s.home}
	if err := errors.Join(s.letters.sendAll(frameParcel, parcel), s.letters.send(frameStart, nil)); err != nil {
		return nil, err
	}

	drained = new(sync.WaitGroup)
	drained.Go(func() { s.forward(pipes[1].r, func(r io.Reader) error { return s.out.pour(frameOutput, r) }) })
	drained.Go(func() { s.forward(pipes[2].r, func(r io.Reader) error { return s.out.pour(frameError, r) }) })
	drained.Go(func() { s.forward(pipes[4].r, s.passFiles) })
	return drained, nil
}

// forward sends what the command writes, and reads on when nobody takes it any more: the command is not to stop at a full pipe.
func (s *server) forward(r *os.File, send func(io.Reader) error) {
	defer r.Close()
	if err := send(r); !errors.Is(err, io.EOF) {
		_, _ = io.Copy(io.Discard, r)
	}
}

// passFiles passes the frames on that the command writes.
func (s *server) passFiles(r io.Reader) error {
	for {
		f, err := receive(r)
		if err != nil {
			return err
		}
		switch f.kind {
		case frameFile, frameText, frameFileEnd, frameAsk, frameAsked:
			if err := s.out.send(f.kind, f.payload); err != nil {
				return err
			}
		}
	}
}

// obey does what the near machine says while the command runs. When it is gone or silent for long, the command gets what
// Ctrl-C is.
func (s *server) obey(from io.Reader) {
	orders := make(chan frame)
	go func() {
		defer close(orders)
		for {
			f, err := receive(from)
			if err != nil {
				return
			}
			orders <- f
		}
	}()
	for {
		select {
		case f, connected := <-orders:
			switch {
			case !connected:
				s.alone()
				return
			case f.kind == frameInput:
				s.input.add(f.payload)
			case f.kind == frameAnswer || f.kind == frameGiven || f.kind == frameNone:
				_ = s.letters.send(f.kind, f.payload) // a queue takes everything
			case f.kind == frameSignal && len(f.payload) == 1:
				_ = s.command.Signal(syscall.Signal(f.payload[0]))
			}
		case <-s.silence():
			s.alone()
			return
		}
	}
}

// alone is what is done when nobody is there any more.
func (s *server) alone() {
	_ = s.command.Signal(os.Interrupt)
	s.input.close()
	s.home.close()
}

// queue hands a command its input as it takes it, and never keeps who brings it: signals come behind it on one line.
type queue struct {
	mu     sync.Mutex
	more   *sync.Cond
	parts  [][]byte
	closed bool
}

func newQueue(w *os.File) *queue {
	q := new(queue)
	q.more = sync.NewCond(&q.mu)
	go q.feed(w)
	return q
}

func (q *queue) feed(w *os.File) {
	defer w.Close()
	for {
		q.mu.Lock()
		for len(q.parts) == 0 && !q.closed {
			q.more.Wait()
		}
		if len(q.parts) == 0 {
			q.mu.Unlock()
			return
		}
		part := q.parts[0]
		q.parts = q.parts[1:]
		q.mu.Unlock()
		if _, err := w.Write(part); err != nil {
			return // the command reads no more
		}
	}
}

// Write implements io.Writer.
func (q *queue) Write(part []byte) (int, error) {
	q.add(part)
	return len(part), nil
}

// add adds to the input; nothing is its end.
func (q *queue) add(part []byte) {
	if len(part) == 0 {
		q.close()
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.parts = append(q.parts, part)
		q.more.Signal()
	}
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.more.Signal()
}
