package courier

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"
)

// start is what the far machine is told of a job.
type start struct {
	Args     []string `json:"args"`
	Env      []string `json:"env"`
	Terminal Terminal `json:"terminal"`
}

// LostError is that the connection ended before the command did.
type LostError struct {
	To  Destination
	Err error // how ssh ended
}

func (e *LostError) Error() string {
	return fmt.Sprintf("the connection to %s is lost (%v)", e.To, e.Err)
}

func (e *LostError) Unwrap() error { return e.Err }

// interrupts is how many the user sends before the command is no longer waited for.
const interrupts = 3

// Run carries a job out and returns the command's exit code. SIGINT and SIGTERM go to the command meanwhile; whoever sends
// more of them than the command answers to is let go.
func Run(j Job) (code int, err error) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)

	type dialled struct {
		line *line
		err  error
	}
	up := make(chan dialled, 1)
	go func() {
		l, err := dial(j)
		up <- dialled{l, err}
	}()
	var l *line
	select {
	case <-signals: // ssh ends when this process does: its pipes close
		return 0, errors.New("interrupted before the command began")
	case d := <-up:
		if d.err != nil {
			return 0, d.err
		}
		l = d.line
	}
	return l.carry(j, signals)
}

// carry starts the command on an open line and stays with it to its end.
func (l *line) carry(j Job, signals <-chan os.Signal) (int, error) {
	to := &writer{w: l.in}
	text, err := json.Marshal(start{Args: j.Args, Env: j.Env, Terminal: j.Terminal})
	if err != nil {
		return 0, errors.Join(err, l.close())
	}
	if err := errors.Join(to.sendAll(frameParcel, j.Parcel), to.send(frameStart, text)); err != nil {
		return 0, &LostError{To: j.To, Err: errors.Join(err, l.close())}
	}
	if j.Raw {
		if before, err := term.MakeRaw(int(os.Stdin.Fd())); err == nil {
			defer func() { _ = term.Restore(int(os.Stdin.Fd()), before) }()
		}
	}
	go func() {
		if j.Stdin != nil {
			_ = to.pour(frameInput, j.Stdin) // its end, or the command's, which the other side knows of
		}
		_ = to.send(frameInput, nil)
	}()
	done := make(chan ending, 1)
	go func() { done <- l.listen(j, to) }()
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for sent := 0; ; {
		select {
		case s := <-signals:
			if sent++; sent >= interrupts {
				_ = l.ssh.Signal(os.Kill)
				return 0, &LostError{To: j.To, Err: errors.New("it was not waited for")}
			}
			_ = to.send(frameSignal, []byte{byte(s.(syscall.Signal))}) // a line that is gone is told of below
		case <-ping.C:
			go func() { _ = to.send(framePing, nil) }() // not to wait where the line is full
		case end := <-done:
			if !end.whole {
				return 0, &LostError{To: j.To, Err: errors.Join(end.err, l.close())}
			}
			_ = l.close() // how ssh ends matters no more
			return end.code, end.err
		}
	}
}

// ending is how a command ended, as the near machine sees it.
type ending struct {
	code  int
	whole bool  // the far machine said so
	err   error // what kept the command's files from being written
}

// listen takes in what comes from the command, to its end.
func (l *line) listen(j Job, to *writer) (end ending) {
	files := newInboxFiles(j.Writable)
	var question []byte
	defer func() { end.err = errors.Join(end.err, files.close()) }()
	var failed bool
	for {
		f, err := receive(l.out)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				end.err = err
			}
			return end
		}
		switch f.kind {
		case frameOutput:
			_, err = j.Stdout.Write(f.payload)
		case frameError:
			_, err = j.Stderr.Write(f.payload)
		case frameFile, frameText, frameFileEnd:
			err = files.take(f)
		case frameAsk:
			question = append(question, f.payload...)
		case frameAsked:
			asked := question
			question = nil
			go j.answer(asked, to) // the command's words may fill the line meanwhile
		case frameExit:
			if len(f.payload) == 1 {
				end.code, end.whole = int(f.payload[0]), true
			}
			return end
		}
		if err != nil && !failed { // nobody reads, or the disk is full: as for a command here, that ends it
			failed = true
			end.err = err
			_ = to.send(frameSignal, []byte{byte(syscall.SIGINT)})
		}
	}
}

// answer answers a question.
func (j Job) answer(question []byte, to *writer) {
	text, err := []byte(nil), errors.New("nobody answers")
	if j.Answer != nil {
		text, err = j.Answer(question)
	}
	if err != nil {
		_ = to.send(frameNone, []byte(err.Error())) // a line that is gone is found out where it is read
		return
	}
	_ = to.sendAll(frameAnswer, text)
	_ = to.send(frameGiven, nil)
}
