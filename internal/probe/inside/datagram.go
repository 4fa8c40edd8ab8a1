package inside

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"
)

// Datagram asks to send to a UDP port until something comes back or the time is over.
type Datagram struct {
	To      string        `json:"to"`
	Port    int           `json:"port"`
	Session string        `json:"session"`           // the datagrams' text, by which Watch knows them
	Patient bool          `json:"patient,omitempty"` // refusals are taken for a receiver that still starts
	Timeout time.Duration `json:"timeout"`
}

// Watch asks whether datagrams of the session come through to a port of this machine, past its own rules, whether or not
// something listens there.
type Watch struct {
	Address string        `json:"address"` // of this machine
	Port    int           `json:"port"`
	Session string        `json:"session"`
	StandIn bool          `json:"stand_in,omitempty"` // take the port meanwhile if nothing has it, so that nothing is refused
	Timeout time.Duration `json:"timeout"`
}

// datagramInterval is the time between two datagrams.
const datagramInterval = 100 * time.Millisecond

func sendDatagrams(ctx context.Context, d Datagram) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "udp", net.JoinHostPort(d.To, strconv.Itoa(d.Port)))
	if err != nil {
		return Answer{}, err
	}
	defer conn.Close()
	var answer Answer
	began := time.Now()
	buf := make([]byte, 1500)
	for ctx.Err() == nil {
		_, err := conn.Write([]byte(d.Session))
		answer.Sent++
		if err == nil {
			err = conn.SetReadDeadline(time.Now().Add(datagramInterval))
		}
		if err == nil {
			_, err = conn.Read(buf)
		}
		errno, _ := errors.AsType[syscall.Errno](err)
		switch {
		case err == nil:
			answer.State = open
		case errno == syscall.ECONNREFUSED && d.Patient:
			answer.Note = errno.Error()
			time.Sleep(datagramInterval)
		case errno == syscall.ECONNREFUSED:
			answer.State = closed
		case errno == syscall.EHOSTUNREACH, errno == syscall.ENETUNREACH, errno == syscall.EACCES, errno == syscall.EPERM:
			answer.Note = errno.Error()
			time.Sleep(datagramInterval)
		case !isTimeout(err):
			return answer, err
		}
		if answer.State != "" {
			answer.Seconds = time.Since(began).Seconds()
			return answer, nil
		}
	}
	return answer, nil
}

// watch listens on a raw socket: the kernel gives it a copy of what came past the input chains (raw(7)).
func watch(ctx context.Context, w Watch) (Answer, error) {
	address, err := netip.ParseAddr(w.Address)
	if err != nil {
		return Answer{}, err
	}
	network := "ip4:udp"
	if address.Is6() {
		network = "ip6:udp"
	}
	var listen net.ListenConfig
	conn, err := listen.ListenPacket(ctx, network, w.Address)
	if err != nil {
		return Answer{}, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	var state string
	if w.StandIn {
		free, held := holdUDP(ctx, w.Port)
		defer free()
		if held {
			state = standIn
		}
	}
	if err := conn.SetReadDeadline(time.Now().Add(w.Timeout)); err != nil {
		return Answer{}, err
	}
	buf := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buf)
		switch {
		case isTimeout(err):
			return Answer{State: state}, nil
		case err != nil:
			return Answer{}, err
		}
		const header = 8 // source port, destination port, length, checksum (RFC 768)
		if n < header || int(buf[2])<<8|int(buf[3]) != w.Port || !bytes.Equal(buf[header:n], []byte(w.Session)) {
			continue
		}
		return Answer{State: state, Arrived: true, From: net.JoinHostPort(from.String(), strconv.Itoa(int(buf[0])<<8|int(buf[1])))}, nil
	}
}
