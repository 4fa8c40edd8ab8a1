package inside

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"time"
)

// Send asks to fill one TCP connection with data for a time.
type Send struct {
	To      string        `json:"to"`
	Port    int           `json:"port"`
	For     time.Duration `json:"for"`
	Timeout time.Duration `json:"timeout"` // of all, the wait for the receiver included
}

// Receive asks to take one TCP connection and to measure how fast its data comes.
type Receive struct {
	Port    int           `json:"port"`
	Timeout time.Duration `json:"timeout"`
}

// chunk is what is written at once, bytes.
const chunk = 128 << 10

func send(ctx context.Context, s Send) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	conn, err := dialPatiently(ctx, net.JoinHostPort(s.To, strconv.Itoa(s.Port)))
	if err != nil {
		return Answer{}, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	var answer Answer
	data := make([]byte, chunk)
	for end := time.Now().Add(s.For); time.Now().Before(end); answer.Sent++ {
		if _, err := conn.Write(data); err != nil {
			return answer, err
		}
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return answer, err
	}
	// The receiver hangs up once it has everything.
	_, err = io.Copy(io.Discard, conn)
	return answer, err
}

// dialPatiently connects, again and again until ctx ends: the receiver may still be starting.
func dialPatiently(ctx context.Context, to string) (net.Conn, error) {
	for {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", to)
		if err == nil {
			return conn, nil
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func receive(ctx context.Context, r Receive) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", ":"+strconv.Itoa(r.Port))
	if err != nil {
		return Answer{}, err
	}
	defer listener.Close()
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	conn, err := listener.Accept()
	if err != nil {
		if ctx.Err() != nil {
			return Answer{Note: "no connection came"}, nil
		}
		return Answer{}, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	began, total := time.Now(), 0
	buf := make([]byte, chunk)
	for {
		n, err := conn.Read(buf)
		total += n
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Answer{}, err
		}
	}
	answer := Answer{Arrived: true, Seconds: time.Since(began).Seconds()}
	if answer.Seconds > 0 {
		answer.Bits = float64(total) * 8 / answer.Seconds
	}
	return answer, nil
}
