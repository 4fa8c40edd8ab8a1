package inside

import (
	"context"
	"errors"
	"net"
	"strconv"
	"syscall"
	"time"
)

// Listen asks to accept one connection on a TCP port, in the place of a service that is not there: so a check of a network
// needs none. Where something listens already it is left to that.
type Listen struct {
	Port    int           `json:"port"`
	Timeout time.Duration `json:"timeout"`
}

// standIn is what Answer.State says where the helper itself listened.
const standIn = "stand-in"

func listen(ctx context.Context, l Listen) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, l.Timeout)
	defer cancel()
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", ":"+strconv.Itoa(l.Port))
	if errors.Is(err, syscall.EADDRINUSE) {
		return Answer{Note: "something listens there"}, nil
	}
	if err != nil {
		return Answer{}, err
	}
	defer listener.Close()
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	conn, err := listener.Accept()
	if err != nil {
		return Answer{State: standIn, Note: "no connection came"}, nil
	}
	from := conn.RemoteAddr().String()
	return Answer{State: standIn, Arrived: true, From: from}, conn.Close()
}

// holdUDP keeps a UDP port for a while if nothing has it, so that datagrams to it are not refused.
func holdUDP(ctx context.Context, port int) (free func(), held bool) {
	var config net.ListenConfig
	conn, err := config.ListenPacket(ctx, "udp", ":"+strconv.Itoa(port))
	if err != nil {
		return func() {}, false
	}
	return func() { _ = conn.Close() }, true
}
