package courier

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
)

// The kinds of frames. The first group goes to the far machine, the second comes from it. Those of files, questions and answers
// are between the command itself and the near machine; its supervisor passes them on as they are.
const (
	frameParcel = 'p' // a part of the parcel
	frameStart  = 's' // start, as JSON: the parcel is whole
	frameInput  = 'i' // a part of standard input; an empty one is its end
	frameSignal = 'k' // one byte: a signal's number
	framePing   = '.' // nothing: the near machine is still there
	frameAnswer = 'a' // a part of an answer
	frameGiven  = 'g' // the answer is whole
	frameNone   = 'n' // why there is no answer

	frameOutput  = 'o' // a part of standard output
	frameError   = 'e' // a part of standard error
	frameFile    = 'f' // number of a file, then file as JSON: what follows with this number is its text
	frameText    = 't' // number of a file, then a part of its text
	frameFileEnd = 'c' // number of a file, which is whole
	frameAsk     = 'q' // a part of a question
	frameAsked   = 'Q' // the question is whole
	frameExit    = 'x' // one byte: the exit code; the last frame
)

// frameMax is the longest payload that is sent, and the longest that is taken.
const frameMax = 1 << 20

// frame is the unit of what the two machines say to each other: a kind, the payload's length in four bytes, the payload.
type frame struct {
	kind    byte
	payload []byte
}

// writer writes frames, whole ones where several goroutines write.
type writer struct {
	mu sync.Mutex
	w  io.Writer
}

// send writes one frame.
func (w *writer) send(kind byte, payload []byte) error {
	if len(payload) > frameMax {
		return fmt.Errorf("a frame of %d bytes", len(payload))
	}
	message := make([]byte, 5, 5+len(payload))
	message[0] = kind
	binary.BigEndian.PutUint32(message[1:], uint32(len(payload)))
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.w.Write(append(message, payload...))
	return err
}

// sendAll writes as many frames as the text takes, none for no text.
func (w *writer) sendAll(kind byte, text []byte) error {
	for len(text) > 0 {
		part := text[:min(len(text), frameMax)]
		if err := w.send(kind, part); err != nil {
			return err
		}
		text = text[len(part):]
	}
	return nil
}

// pour sends all that r has to give.
func (w *writer) pour(kind byte, r io.Reader) error {
	buffer := make([]byte, 32<<10)
	for {
		n, err := r.Read(buffer)
		if sent := w.sendAll(kind, buffer[:n]); sent != nil {
			return sent
		}
		if err != nil {
			return err
		}
	}
}

// receive reads one frame.
func receive(r io.Reader) (frame, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > frameMax {
		return frame{}, fmt.Errorf("a frame of %d bytes is announced", n)
	}
	f := frame{kind: head[0], payload: make([]byte, n)}
	if _, err := io.ReadFull(r, f.payload); err != nil {
		return frame{}, fmt.Errorf("within a frame: %w", err)
	}
	return f, nil
}
