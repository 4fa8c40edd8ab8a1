package natprobe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/pion/stun/v3"
	"golang.org/x/sync/errgroup"
)

// STUNPort is the registered port of STUN (RFC 5389 section 18.4), AlternatePort the second one used here.
const (
	STUNPort      = 3478
	AlternatePort = 3479
)

// Server is a STUN server that can be asked to answer from elsewhere (RFC 5780): its sockets by address, then by port.
type Server [2][2]net.PacketConn

// ListenServer opens the four sockets of a server, on two addresses of this machine.
func ListenServer(ctx context.Context, addresses [2]netip.Addr, ports [2]uint16) (*Server, error) {
	var s Server
	var listen net.ListenConfig
	for i, address := range addresses {
		for j, port := range ports {
			conn, err := listen.ListenPacket(ctx, "udp", net.JoinHostPort(address.String(), strconv.Itoa(int(port))))
			if err != nil {
				s.Close()
				return nil, fmt.Errorf("STUN server: %w", err)
			}
			s[i][j] = conn
		}
	}
	return &s, nil
}

// Address is where clients ask first.
func (s *Server) Address() netip.AddrPort { return sourceOf(s[0][0].LocalAddr()) }

// Close closes the sockets.
func (s *Server) Close() error {
	var errs []error
	for _, ports := range s {
		for _, conn := range ports {
			if conn != nil {
				errs = append(errs, conn.Close())
			}
		}
	}
	return errors.Join(errs...)
}

// Serve answers until ctx ends, and closes the sockets.
func (s *Server) Serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	var g errgroup.Group
	for i := range s {
		for j := range s[i] {
			g.Go(func() error { return s.serve(i, j) })
		}
	}
	err := g.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (s *Server) serve(address, port int) error {
	buf := make([]byte, 1500)
	for {
		n, from, err := s[address][port].ReadFrom(buf)
		if transient(err) {
			continue
		}
		if err != nil {
			return err
		}
		s.reply(buf[:n], from, address, port)
	}
}

// reply answers one binding request; what is none is dropped in silence, and so is an answer that cannot be sent: the
// client asks again.
func (s *Server) reply(packet []byte, from net.Addr, address, port int) {
	request := stun.New()
	if stun.Decode(packet, request) != nil || request.Type != stun.BindingRequest {
		return
	}
	// OTHER-ADDRESS differs in both from where the request came in (RFC 5780 section 7.4).
	other := sourceOf(s[1-address][1-port].LocalAddr())
	change := changeOf(request)
	if change&changeIP != 0 {
		address = 1 - address
	}
	if change&changePort != 0 {
		port = 1 - port
	}
	origin := sourceOf(s[address][port].LocalAddr())
	source := sourceOf(from)
	response, err := stun.Build(stun.NewTransactionIDSetter(request.TransactionID), stun.BindingSuccess,
		&stun.XORMappedAddress{IP: source.Addr().AsSlice(), Port: int(source.Port())},
		&stun.ResponseOrigin{IP: origin.Addr().AsSlice(), Port: int(origin.Port())},
		&stun.OtherAddress{IP: other.Addr().AsSlice(), Port: int(other.Port())})
	if err == nil {
		_, _ = s[address][port].WriteTo(response.Raw, from)
	}
}
