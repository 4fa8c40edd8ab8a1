package natprobe

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/labctl/labctl/schema/nat"
)

// ClassifyTCP finds out how the way to server translates TCP (RFC 5382). server is the first address of a TCPServer. As in
// Classify, each test has a port of its own.
func ClassifyTCP(ctx context.Context, server netip.AddrPort) (Behaviour, error) {
	b := Behaviour{Protocol: "tcp"}
	var ports [5]*PortTCP
	for i := range ports {
		p, err := ListenTCP(ctx, family("tcp", server.Addr()), 0)
		if err != nil {
			return b, fmt.Errorf("classifying NAT: %w", err)
		}
		defer p.Close()
		ports[i] = p
	}
	var local netip.AddrPort
	var err error
	if b.Mapping, b.Outside, local, err = mappingTCP(ctx, ports[0], server); err != nil {
		return b, err
	}
	b.Translated, b.Preserves = b.Outside != local, b.Outside.Port() == local.Port()
	if b.Filtering, b.Silent, err = filteringTCP(ctx, ports[1], server); err != nil {
		return b, err
	}
	if b.Simultaneous, err = simultaneousTCP(ctx, ports[2], server); err != nil || !b.Translated {
		return b, err
	}
	b.Hairpin, err = hairpinTCP(ctx, ports[3], ports[4], server)
	return b, err
}

// AwaitTCP connects to server until it answers or ctx ends: it may still be starting.
func AwaitTCP(ctx context.Context, server netip.AddrPort) error {
	for {
		p, err := ListenTCP(ctx, family("tcp", server.Addr()), 0)
		if err != nil {
			return err
		}
		c, err := p.ask(ctx, server)
		p.Close()
		if err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("TCP server %s: %w", server, ErrNoAnswer)
		case <-time.After(orInterval(0)):
		}
	}
}

// family is a network of package net for one version of IP.
func family(network string, a netip.Addr) string {
	if a.Is6() {
		return network + "6"
	}
	return network + "4"
}

// conversation is a connection to a TCPServer.
type conversation struct {
	net.Conn
	lines *bufio.Scanner
	first tcpReply // to askEndpoint
}

// ask connects from the port, and asks how it is seen.
func (p *PortTCP) ask(ctx context.Context, server netip.AddrPort) (*conversation, error) {
	limited, cancel := context.WithTimeout(ctx, 2*backTime)
	defer cancel()
	conn, err := p.dial(limited, server)
	if err != nil {
		return nil, fmt.Errorf("TCP server %s: %w", server, err)
	}
	c := &conversation{Conn: conn, lines: bufio.NewScanner(conn)}
	if c.first, err = c.request(tcpRequest{Ask: askEndpoint}); err != nil {
		conn.Close()
		return nil, fmt.Errorf("TCP server %s: %w", server, err)
	}
	return c, nil
}

func (c *conversation) request(r tcpRequest) (tcpReply, error) {
	if err := json.NewEncoder(c).Encode(r); err != nil {
		return tcpReply{}, err
	}
	return c.reply()
}

func (c *conversation) reply() (reply tcpReply, err error) {
	if err := c.SetReadDeadline(time.Now().Add(4 * backTime)); err != nil {
		return reply, err
	}
	if !c.lines.Scan() {
		return reply, errors.Join(ErrNoAnswer, c.lines.Err())
	}
	return reply, json.Unmarshal(c.lines.Bytes(), &reply)
}

// mappingTCP finds the mapping behaviour (RFC 5382 section 4.1) by three connections from one port that are open at once.
func mappingTCP(ctx context.Context, p *PortTCP, server netip.AddrPort) (mapping string, outside, local netip.AddrPort, err error) {
	var seen [3]netip.AddrPort
	to := server
	var other netip.AddrPort
	for i := range seen {
		switch i {
		case 1:
			to = netip.AddrPortFrom(other.Addr(), server.Port())
		case 2:
			to = other
		}
		c, err := p.ask(ctx, to)
		if err != nil {
			return "", outside, local, err
		}
		defer c.Close()
		seen[i] = c.first.Self
		if i == 0 {
			other, local = c.first.Other, tcpEndpoint(c.LocalAddr())
		}
	}
	mapping = nat.AddressAndPortDependent
	switch {
	case seen[0] == seen[1] && seen[1] == seen[2]:
		mapping = nat.EndpointIndependent
	case seen[1] == seen[2]:
		mapping = nat.AddressDependent
	}
	return mapping, seen[0], local, nil
}

// filteringTCP finds who may open a connection to the port's outside endpoint (RFC 5382 section 4.3), and whether those who may
// not hear nothing at all (REQ-4 there).
func filteringTCP(ctx context.Context, p *PortTCP, server netip.AddrPort) (filtering string, silent bool, err error) {
	c, err := p.ask(ctx, server)
	if err != nil {
		return "", false, err
	}
	defer c.Close()
	tokens := p.tokens(ctx)
	silent = true
	for _, test := range []struct{ ask, means string }{
		{askAddress, nat.EndpointIndependent},
		{askPort, nat.AddressDependent},
	} {
		token := uuid.NewString()
		reply, err := c.request(tcpRequest{Ask: test.ask, Token: token})
		if err != nil {
			return "", false, err
		}
		if reply.Back == backOpen {
			if err := await(tokens, token); err != nil {
				return "", false, fmt.Errorf("a connection to %s is accepted, but not by this machine: %w", reply.Self, err)
			}
			return test.means, silent, nil
		}
		silent = silent && reply.Back == backSilent
	}
	return nat.AddressAndPortDependent, silent, nil
}

// simultaneousTCP finds whether a SYN gets in that crosses one of the port's own (RFC 5382 REQ-2).
func simultaneousTCP(ctx context.Context, p *PortTCP, server netip.AddrPort) (bool, error) {
	c, err := p.ask(ctx, server)
	if err != nil {
		return false, err
	}
	defer c.Close()
	token := uuid.NewString()
	reply, err := c.request(tcpRequest{Ask: askSimultaneous, Token: token})
	if err != nil {
		return false, err
	}
	limited, cancel := context.WithTimeout(ctx, 2*backTime)
	defer cancel()
	crossed := false
	if conn, err := p.dial(limited, reply.At); err == nil {
		_ = conn.SetReadDeadline(time.Now().Add(backTime))
		line, _ := bufio.NewReader(conn).ReadString('\n')
		crossed = line == token+"\n"
		conn.Close()
	}
	reply, err = c.reply()
	return crossed && reply.Back == backOpen, err
}

// hairpinTCP reports whether two ports of one side reach each other by their outside endpoints (RFC 5382 REQ-8). Both try, so
// that filtering does not hide it.
func hairpinTCP(ctx context.Context, a, b *PortTCP, server netip.AddrPort) (bool, error) {
	var outside [2]netip.AddrPort
	ports := [2]*PortTCP{a, b}
	for i, p := range ports {
		c, err := p.ask(ctx, server)
		if err != nil {
			return false, err
		}
		defer c.Close()
		outside[i] = c.first.Self
	}
	limited, cancel := context.WithTimeout(ctx, backTime)
	defer cancel()
	session := uuid.NewString()
	var punched [2]Punched
	var errs [2]error
	var wait sync.WaitGroup
	for i, p := range ports {
		wait.Go(func() {
			punched[i], errs[i] = p.Punch(limited, Peer{Session: session, Name: string("ab"[i]), Remote: outside[1-i]})
		})
	}
	wait.Wait()
	return punched[0].Received && punched[1].Received, errors.Join(errs[:]...)
}

// tokens are the lines that come in over connections to the port, until ctx ends or the port is closed.
func (p *PortTCP) tokens(ctx context.Context) <-chan string {
	lines := make(chan string, 8)
	go func() {
		var wait sync.WaitGroup
		p.accept(ctx, &wait, func(conn net.Conn) {
			defer conn.Close()
			_ = conn.SetReadDeadline(time.Now().Add(backTime))
			scan := bufio.NewScanner(conn)
			if scan.Scan() {
				select {
				case lines <- scan.Text():
				default:
				}
			}
		})
		wait.Wait()
	}()
	return lines
}

func await(lines <-chan string, want string) error {
	patience := time.After(backTime)
	for {
		select {
		case got := <-lines:
			if got == want {
				return nil
			}
		case <-patience:
			return ErrNoAnswer
		}
	}
}
