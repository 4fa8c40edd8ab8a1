package probe

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/labctl/labctl/internal/natprobe"
	"github.com/labctl/labctl/internal/probe/inside"
	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/nat"
)

// classifyTime bounds one classification, the server's start included. The client gives up earlier, so that it can say why.
const (
	classifyTime = 16 * time.Second
	clientTime   = 12 * time.Second
)

// natParts are the machines that a NAT is classified with.
type natParts struct {
	client, server schema.Endpoint
	protocol       string
	addresses      []string // two of the server's
}

func (r *runner) nat(c *schema.NATCheck) probing {
	subject := "NAT of " + called(schema.Endpoint{VM: c.Router.VM})
	if c.Protocol == "tcp" {
		subject += " for TCP"
	}
	if r.familyOf(c) == nat.IPv6 {
		subject += " with IPv6"
	}
	return probing{
		kind: "nat", expect: expected(c), errorsToo: true, subject: subject,
		try: func(ctx context.Context) attempt {
			parts, err := r.natParts(c)
			if err != nil {
				return attempt{err: err}
			}
			b, err := r.classify(ctx, parts)
			if err != nil {
				return attempt{err: err}
			}
			return attempt{got: seen(c, *b), detail: inWords(*b)}
		},
		explain: func(ctx context.Context, last attempt) explained {
			return r.explainType(ctx, c, last)
		},
	}
}

// expected is what a check demands of a NAT, in the words of seen.
func expected(c *schema.NATCheck) string {
	return demanded(c, c.Expect, c.Mapping, c.Filtering, c.Hairpin, c.PreservePorts, c.SimultaneousOpen)
}

// seen is what a NAT was found to do, as far as the check demands something.
func seen(c *schema.NATCheck, b natprobe.Behaviour) string {
	typ := b.Type()
	if typ == "" {
		typ = b.Mapping + " mapping with " + b.Filtering + " filtering"
	}
	return demanded(c, typ, b.Mapping, b.Filtering, &b.Hairpin, &b.Preserves, &b.Simultaneous)
}

// demanded writes those of the findings of which the check demands something.
func demanded(c *schema.NATCheck, typ, mapping, filtering string, hairpin, preserve, simultaneous *bool) string {
	var parts []string
	if c.Expect != "" {
		parts = append(parts, typ)
	}
	if c.Mapping != "" {
		parts = append(parts, mapping+" mapping")
	}
	if c.Filtering != "" {
		parts = append(parts, filtering+" filtering")
	}
	for _, part := range []struct {
		asked, found *bool
		yes, no      string
	}{
		{c.PreservePorts, preserve, "ports kept", "ports changed"},
		{c.Hairpin, hairpin, "hairpin", "no hairpin"},
		{c.SimultaneousOpen, simultaneous, "simultaneous open", "no simultaneous open"},
	} {
		switch {
		case part.asked == nil:
		case *part.found:
			parts = append(parts, part.yes)
		default:
			parts = append(parts, part.no)
		}
	}
	return strings.Join(parts, ", ")
}

// inWords tells all that was found.
func inWords(b natprobe.Behaviour) string {
	detail := fmt.Sprintf("mapping %s, filtering %s, outside %s", b.Mapping, b.Filtering, b.Outside)
	if !b.Translated {
		detail = fmt.Sprintf("nothing is translated, filtering %s, seen as %s", b.Filtering, b.Outside)
	}
	if b.Translated && b.Preserves {
		detail += ", port kept"
	}
	if b.Hairpin {
		detail += ", hairpin"
	}
	if b.Simultaneous {
		detail += ", simultaneous open"
	}
	if b.Protocol == "tcp" && !b.Silent {
		detail += ", refuses what is unsolicited (RFC 5382 REQ-4 wants silence)"
	}
	return detail
}

// classify lets the client ask the server, which the helper starts for the time.
func (r *runner) classify(ctx context.Context, p natParts) (*natprobe.Behaviour, error) {
	ctx, cancel := context.WithTimeout(ctx, classifyTime)
	defer cancel()
	session := uuid.NewString()
	var answer inside.Answer
	server := inside.Server{STUN: p.addresses, Protocol: p.protocol, Session: session, Clients: 1, Timeout: classifyTime}
	err := r.withServer(ctx, p.server.Domain, server, func() (err error) {
		answer, err = r.machines.Ask(ctx, p.client.Domain, inside.Request{NAT: &inside.NAT{
			Server: p.addresses[0], Protocol: p.protocol, Session: session, Timeout: clientTime,
		}})
		return err
	})
	if err == nil && answer.NAT == nil {
		err = errors.New("the helper in the client told nothing")
	}
	return answer.NAT, err
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
	p := natParts{client: c.Client, server: c.Server, protocol: c.Protocol}
	v := version{r.familyOf(c)}
	if p.client.Domain == "" {
		for _, m := range r.guests() {
			if r.behind(v, m.guest, c.Router.VM) && v.nat(m.guest) == nil {
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
			if len(v.addresses(m.guest)) >= 2 && v.nat(m.guest) == nil && m.addr != p.client.VM && m.addr != c.Router.VM && !r.behindAny(v, m.guest) {
				p.server = schema.Endpoint{VM: m.addr, Domain: m.guest.Domain}
				break
			}
		}
		if p.server.Domain == "" {
			return p, fmt.Errorf("no machine outside of %s has the two %s addresses that classifying takes (RFC 5780); "+
				"give one a second address, or name it as server", c.Router.VM, v)
		}
	}
	if guest := r.guest(p.server.VM); guest != nil {
		p.addresses = v.addresses(guest)
	}
	if len(p.addresses) < 2 {
		return p, fmt.Errorf("the server %s needs two %s addresses (RFC 5780), and has %d", p.server.VM, v, len(p.addresses))
	}
	p.addresses = p.addresses[:2]
	return p, nil
}

// familyOf is the version of IP whose translation a check looks at.
func (r *runner) familyOf(c *schema.NATCheck) string {
	if guest := r.guest(c.Router.VM); c.Family == "" && guest != nil && guest.NAT == nil && guest.NAT6 != nil {
		return nat.IPv6
	}
	return c.Family
}

// version is a version of IP: family as in schema.NAT.
type version struct{ family string }

func (v version) String() string {
	if v.family == nat.IPv6 {
		return "IPv6"
	}
	return "IPv4"
}

// nat is the guest's translation.
func (v version) nat(guest *schema.Guest) *schema.NAT {
	if v.family == nat.IPv6 {
		return guest.NAT6
	}
	return guest.NAT
}

// defaultRoute is how a route to everywhere is declared.
func (v version) defaultRoute() string {
	if v.family == nat.IPv6 {
		return "default6"
	}
	return "default"
}

// addresses are the guest's declared addresses that the world may see, without prefix length.
func (v version) addresses(guest *schema.Guest) (all []string) {
	for _, i := range guest.Interfaces {
		for _, a := range i.Addresses {
			prefix, err := netip.ParsePrefix(a)
			if err == nil && prefix.Addr().Is6() == (v.family == nat.IPv6) && !prefix.Addr().IsLinkLocalUnicast() {
				all = append(all, prefix.Addr().String())
			}
		}
	}
	return all
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
func (r *runner) behind(v version, guest *schema.Guest, router schema.Addr) bool {
	for _, route := range guest.Routes {
		if route.To != v.defaultRoute() || route.Via == "" {
			continue
		}
		if vm, _ := r.holder(route.Via); vm == router && vm != (schema.Addr{}) {
			return true
		}
	}
	return false
}

// behindAny reports whether the guest is behind a NAT router of the lab.
func (r *runner) behindAny(v version, guest *schema.Guest) bool {
	for _, m := range r.guests() {
		if v.nat(m.guest) != nil && r.behind(v, guest, m.addr) {
			return true
		}
	}
	return false
}
