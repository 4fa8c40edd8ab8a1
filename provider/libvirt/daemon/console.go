package daemon

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"libvirt.org/go/libvirt"

	"github.com/labctl/labctl/provider"
)

// console is an open console: what the machine says comes in through libvirt's event loop, which must not be held up, and
// waits here for the reader.
type console struct {
	stream *libvirt.Stream

	mu     sync.Mutex
	more   *sync.Cond
	said   bytes.Buffer
	ended  error // io.EOF at the end
	closed bool
}

const consoleChunk = 4096

// OpenConsole opens a running domain's first serial console. One that somebody holds is taken over only by force. It is
// closed when ctx ends.
func (c *Conn) OpenConsole(ctx context.Context, domain string, force bool) (io.ReadWriteCloser, error) {
	flags := libvirt.DOMAIN_CONSOLE_SAFE
	if force {
		flags = libvirt.DOMAIN_CONSOLE_FORCE
	}
	t := &console{}
	t.more = sync.NewCond(&t.mu)
	runEvents()
	err := c.Use(func(link *libvirt.Connect) error {
		dom, err := link.LookupDomainByName(domain)
		if err != nil {
			return err
		}
		defer dom.Free() //nolint:errcheck // drops the reference
		if t.stream, err = link.NewStream(libvirt.STREAM_NONBLOCK); err != nil {
			return err
		}
		if err := dom.OpenConsole("", t.stream, flags); err != nil {
			_ = t.stream.Free()
			return err
		}
		return t.stream.EventAddCallback(libvirt.STREAM_EVENT_READABLE|libvirt.STREAM_EVENT_ERROR|libvirt.STREAM_EVENT_HANGUP,
			func(_ *libvirt.Stream, _ libvirt.StreamEventType) { t.receive() })
	})
	if err != nil {
		op := "open the console of " + domain
		switch {
		case Is(err, libvirt.ERR_OPERATION_INVALID):
			return nil, &provider.Error{Op: op, Err: errors.New("the machine is off"), Hint: "labctl apply starts it"}
		case Is(err, libvirt.ERR_OPERATION_FAILED):
			return nil, &provider.Error{Op: op, Err: Message(err), Hint: "-force takes it from whoever is on it"}
		}
		return nil, Failed(op, err)
	}
	context.AfterFunc(ctx, func() { _ = t.Close() })
	return t, nil
}

// receive takes in all that the machine has said.
func (t *console) receive() {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.more.Broadcast()
	chunk := make([]byte, consoleChunk)
	for !t.closed {
		n, err := t.stream.Recv(chunk)
		if err != nil {
			t.ended = err
			_ = t.stream.EventRemoveCallback() // or it is called for ever
			return
		}
		if n <= 0 {
			return // there is no more now
		}
		t.said.Write(chunk[:n])
	}
}

// Read implements io.Reader.
func (t *console) Read(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.said.Len() == 0 {
		if t.ended != nil {
			return 0, t.ended
		}
		t.more.Wait()
	}
	return t.said.Read(p)
}

// sendAgain is how long a writer waits that the daemon takes no more from.
const sendAgain = 10 * time.Millisecond

// Write implements io.Writer.
func (t *console) Write(p []byte) (int, error) {
	sent := 0
	for sent < len(p) {
		n, err := t.send(p[sent:])
		if err != nil {
			return sent, err
		}
		if n < 0 {
			time.Sleep(sendAgain)
			continue
		}
		sent += n
	}
	return sent, nil
}

func (t *console) send(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended != nil {
		return 0, io.ErrClosedPipe
	}
	return t.stream.Send(p)
}

// Close implements io.Closer.
func (t *console) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	t.closed = true
	if t.ended == nil {
		t.ended = io.EOF
		_ = t.stream.EventRemoveCallback()
	}
	_ = t.stream.Abort() // it may be over already
	t.more.Broadcast()
	return t.stream.Free()
}
