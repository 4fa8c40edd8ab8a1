package probe

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/labctl/labctl/internal/probe/inside"
	"github.com/labctl/labctl/schema"
)

// classifyTime bounds one classification, the server's start included. The client gives up earlier, so that it can say why.
const (
	classifyTime = 16 * time.Second
	clientTime   = 12 * time.Second
)

// natParts are the machines that a NAT is classified with.
type natParts struct {
	client, server schema.Endpoint
	addresses      []string // two of the server's
}

func (r *runner) nat(c *schema.NATCheck) probing {
	return probing{
		kind: "nat", expect: c.Expect, errorsToo: true, subject: "NAT of " + called(schema.Endpoint{VM: c.Router.VM}),
		try: func(ctx context.Context) attempt {
			parts, err := r.natParts(c)
			if err != nil {
				return attempt{err: err}
			}
			return r.classify(ctx, parts)
		},
		explain: func(ctx context.Context, last attempt) explained {
			return r.explainType(ctx, c, last)
		},
	}
}

// classify lets the client ask the server, which the helper starts for the time.
func (r *runner) classify(ctx context.Context, p natParts) attempt {
	ctx, cancel := context.WithTimeout(ctx, classifyTime)
	defer cancel()
	session := uuid.NewString()
	var answer inside.Answer
	err := r.withServer(ctx, p.server.Domain, inside.Server{STUN: p.addresses, Session: session, Clients: 1, Timeout: classifyTime}, func() (err error) {
		answer, err = r.machines.Ask(ctx, p.client.Domain, inside.Request{NAT: &inside.NAT{
			Server: p.addresses[0], Session: session, Timeout: clientTime,
		}})
		return err
	})
	if err == nil && answer.NAT == nil {
		err = errors.New("the helper in the client told nothing")
	}
	if err != nil {
		return attempt{err: err}
	}
	b := answer.NAT
	detail := fmt.Sprintf("mapping %s, filtering %s, outside %s", b.Mapping, b.Filtering, b.Outside)
	if b.Preserves {
		detail += ", port kept"
	}
	if b.Hairpin {
		detail += ", hairpin"
	}
	got := b.Type()
	if got == "" {
		got = b.Mapping + " mapping with " + b.Filtering + " filtering"
	}
	return attempt{got: got, detail: detail}
}

// withServer has the helper in domain serve while clients run, and waits for the server's end so that the next check
// finds its ports free.
func (r *runner) withServer(ctx context.Context, domain string, s inside.Server, clients func() error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var serverErr error
	var wait sync.WaitGroup
	wait.Go(func() {
		if _, serverErr = r.machines.Ask(ctx, domain, inside.Request{Serve: &s}); serverErr != nil {
			serverErr = fmt.Errorf("the server in %s: %w", domain, serverErr)
		}
	})
	err := clients()
	if err != nil {
		cancel() // the server may wait for clients that never came
	}
	wait.Wait()
	if err != nil && (serverErr == nil || errors.Is(serverErr, context.Canceled)) {
		return err
	}
	return errors.Join(serverErr, err)
}

// natParts finds the client and the server where the check leaves them out.
func (r *runner) natParts(c *schema.NATCheck) (natParts, error) {
	p := natParts{client: c.Client, server: c.Server}
	if p.client.Domain == "" {
		for _, m := range r.guests() {
			if r.behind(m.guest, c.Router.VM) && m.guest.NAT == nil {
				p.client = schema.Endpoint{VM: m.addr, Domain: m.guest.Domain}
				break
			}
		}
		if p.client.Domain == "" {
			return p, fmt.Errorf("no machine of the lab has its default route through %s; name one as client", c.Router.VM)
		}
	}
	if p.server.Domain == "" {
		for _, m := range r.guests() {
			if len(ipv4s(m.guest)) >= 2 && m.guest.NAT == nil && m.addr != p.client.VM && m.addr != c.Router.VM && !r.behindAny(m.guest) {
				p.server = schema.Endpoint{VM: m.addr, Domain: m.guest.Domain}
				break
			}
		}
		if p.server.Domain == "" {
			return p, fmt.Errorf("no machine outside of %s has the two IPv4 addresses that classifying takes (RFC 5780); "+
				"give one a second address, or name it as server", c.Router.VM)
		}
	}
	if guest := r.guest(p.server.VM); guest != nil {
		p.addresses = ipv4s(guest)
	}
	if len(p.addresses) < 2 {
		return p, fmt.Errorf("the server %s needs two IPv4 addresses (RFC 5780), and has %d", p.server.VM, len(p.addresses))
	}
	p.addresses = p.addresses[:2]
	return p, nil
}

type named struct {
	addr  schema.Addr
	guest *schema.Guest
}

// guests are the lab's machines in order of declaration.
func (r *runner) guests() (all []named) {
	for _, resource := range r.lab.Resources {
		if guest, ok := resource.Body.(*schema.Guest); ok {
			all = append(all, named{resource.Addr.Whole(), guest})
		}
	}
	return all
}

func (r *runner) guest(vm schema.Addr) *schema.Guest {
	for _, m := range r.guests() {
		if m.addr == vm {
			return m.guest
		}
	}
	return nil
}

// behind reports whether the guest's default gateway is an address of the router.
func (r *runner) behind(guest *schema.Guest, router schema.Addr) bool {
	for _, route := range guest.Routes {
		if route.To != "default" || route.Via == "" {
			continue
		}
		if vm, _ := r.holder(route.Via); vm == router && vm != (schema.Addr{}) {
			return true
		}
	}
	return false
}

// behindAny reports whether the guest is behind a NAT router of the lab.
func (r *runner) behindAny(guest *schema.Guest) bool {
	for _, m := range r.guests() {
		if m.guest.NAT != nil && r.behind(guest, m.addr) {
			return true
		}
	}
	return false
}

// ipv4s are the guest's declared IPv4 addresses, without prefix length.
func ipv4s(guest *schema.Guest) (all []string) {
	for _, i := range guest.Interfaces {
		for _, a := range i.Addresses {
			if prefix, err := netip.ParsePrefix(a); err == nil && prefix.Addr().Is4() {
				all = append(all, prefix.Addr().String())
			}
		}
	}
	return all
}
