package inside

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/labctl/labctl/internal/natprobe"
)

// controlPort is where a Server hears, over UDP, that a client needs it no more.
const controlPort = 3477

// Server asks for a server that other machines' requests need. It serves until Clients of them are done, or Timeout.
type Server struct {
	STUN       []string      `json:"stun,omitempty"`       // two addresses of the machine: a STUN server of RFC 5780 on them
	Protocol   string        `json:"protocol,omitempty"`   // of the STUN server: "udp", or "tcp" for one that does the like over TCP
	Rendezvous string        `json:"rendezvous,omitempty"` // address:port for a rendezvous server
	Session    string        `json:"session"`
	Clients    int           `json:"clients"`
	Timeout    time.Duration `json:"timeout"`
}

func (s Server) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	serve, err := s.listen(ctx)
	if err != nil {
		return err
	}
	var listen net.ListenConfig
	control, err := listen.ListenPacket(ctx, "udp", ":"+strconv.Itoa(controlPort))
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { control.Close() })()
	defer control.Close()
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx) }()
	buf := make([]byte, 500)
	for left := map[string]bool{}; len(left) < s.Clients; {
		n, _, err := control.ReadFrom(buf)
		if err != nil {
			break // the time is over
		}
		if name, ok := cutSession(string(buf[:n]), s.Session); ok {
			left[name] = true
		}
	}
	cancel()
	return <-ended
}

func (s Server) listen(ctx context.Context) (serve func(context.Context) error, err error) {
	if s.Rendezvous != "" {
		address, err := netip.ParseAddrPort(s.Rendezvous)
		if err != nil {
			return nil, err
		}
		r, err := natprobe.ListenRendezvous(ctx, address)
		if err != nil {
			return nil, err
		}
		return r.Serve, nil
	}
	if len(s.STUN) != 2 {
		return nil, errors.New("a STUN server needs two addresses")
	}
	var addresses [2]netip.Addr
	for i, text := range s.STUN {
		if addresses[i], err = netip.ParseAddr(text); err != nil {
			return nil, err
		}
	}
	ports := [2]uint16{natprobe.STUNPort, natprobe.AlternatePort}
	if s.Protocol == "tcp" {
		server, err := natprobe.ListenTCPServer(ctx, addresses, ports)
		if err != nil {
			return nil, err
		}
		return server.Serve, nil
	}
	server, err := natprobe.ListenServer(ctx, addresses, ports)
	if err != nil {
		return nil, err
	}
	return server.Serve, nil
}

const doneWord = "done "

// done tells the Server at address that this client needs it no more; three times, for packets may be lost.
func done(address netip.Addr, session, name string) {
	if !address.IsValid() {
		return
	}
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(address, controlPort)))
	if err != nil {
		return // the server's time ends by itself
	}
	defer conn.Close()
	for range 3 {
		_, _ = conn.Write([]byte(doneWord + session + " " + name))
		time.Sleep(20 * time.Millisecond)
	}
}

// cutSession reads what done sends.
func cutSession(text, session string) (name string, ok bool) {
	prefix := doneWord + session + " "
	if len(text) < len(prefix) || text[:len(prefix)] != prefix {
		return "", false
	}
	return text[len(prefix):], true
}

// NAT asks what the way to a STUN server translates (natprobe.Classify and ClassifyTCP).
type NAT struct {
	Server   string        `json:"server"`             // first address of the server
	Protocol string        `json:"protocol,omitempty"` // as in Server
	Session  string        `json:"session"`
	Timeout  time.Duration `json:"timeout"`
}

func classify(ctx context.Context, n NAT) (Answer, error) {
	address, err := netip.ParseAddr(n.Server)
	if err != nil {
		return Answer{}, err
	}
	defer done(address, n.Session, "client")
	ctx, cancel := context.WithTimeout(ctx, n.Timeout)
	defer cancel()
	server := netip.AddrPortFrom(address, natprobe.STUNPort)
	var behaviour natprobe.Behaviour
	if n.Protocol == "tcp" {
		if err := natprobe.AwaitTCP(ctx, server); err != nil {
			return Answer{}, fmt.Errorf("no way to the server: %w", err)
		}
		behaviour, err = natprobe.ClassifyTCP(ctx, server)
	} else {
		behaviour, err = classifyUDP(ctx, server)
	}
	if err != nil {
		return Answer{}, err
	}
	return Answer{NAT: &behaviour}, nil
}

func classifyUDP(ctx context.Context, server netip.AddrPort) (natprobe.Behaviour, error) {
	source, err := natprobe.SourceAddress(server)
	if err != nil {
		return natprobe.Behaviour{}, err
	}
	open := func() (net.PacketConn, error) {
		var listen net.ListenConfig
		return listen.ListenPacket(ctx, "udp", net.JoinHostPort(source.String(), "0"))
	}
	first, err := open()
	if err != nil {
		return natprobe.Behaviour{}, err
	}
	defer first.Close()
	if err := natprobe.Await(ctx, first, server); err != nil {
		return natprobe.Behaviour{}, fmt.Errorf("no way to the server: %w", err)
	}
	return natprobe.Classify(ctx, open, server, natprobe.Timing{Interval: 100 * time.Millisecond, Tries: 4})
}
