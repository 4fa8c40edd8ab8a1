package probe

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/labctl/labctl/internal/natflow"
	"github.com/labctl/labctl/internal/natprobe"
	"github.com/labctl/labctl/internal/probe/inside"
	"github.com/labctl/labctl/internal/probe/trail"
	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/nat"
)

// explained is what a failed check has to say for itself.
type explained struct {
	why   []string
	trail *trail.Explanation // nil where no packets were followed
}

func (r *runner) tracer() trail.Tracer { return trail.Tracer{Lab: r.lab, Machines: r.machines} }

// explainReach follows packets of a protocol from one end to the other, sent once more by try.
func (r *runner) explainReach(ctx context.Context, protocol string, from, to schema.Endpoint, arrives bool, try func(context.Context) attempt) explained {
	packets := []trail.Packet{{Protocol: protocol, From: from, To: to}}
	return explained{trail: r.tracer().Explain(ctx, packets, arrives, func() { try(ctx) })}
}

// explainPunch follows the packets of both sides, and says what of the routers' NAT makes the hole stay closed.
func (r *runner) explainPunch(ctx context.Context, c *schema.HolePunchCheck, last attempt, try func(context.Context) attempt) explained {
	towards := func(self, other schema.PunchPeer) trail.Packet {
		return trail.Packet{
			Protocol: c.Protocol, From: self.Endpoint,
			To: schema.Endpoint{VM: other.VM, Address: outside(other), Port: other.Port},
		}
	}
	punched := last.got == success
	packets := []trail.Packet{towards(c.A, c.B), towards(c.B, c.A)}
	e := explained{trail: r.tracer().Explain(ctx, packets, punched, func() { try(ctx) })}
	if punched {
		e.why = append(e.why, "both sides can know the port that the other's packets come from, or a side lets in any")
		return e
	}
	e.trail.Mend = nil // a dropped probe is what a punch is made of; the types decide
	for _, side := range [][2]schema.PunchPeer{{c.A, c.B}, {c.B, c.A}} {
		if c.Via == nil {
			e.why = append(e.why, r.explainNAT(ctx, c.Protocol, side[0], side[1])...)
		}
		e.why = append(e.why, r.declaredNAT(side[0])...)
	}
	e.trail.Mend = r.mendPunch(c)
	return e
}

// explainNAT looks up, in the router before self, on which outside port self's packets to the other really left.
func (r *runner) explainNAT(ctx context.Context, protocol string, self, other schema.PunchPeer) []string {
	router, domain := r.holder(self.Outside)
	if domain == "" || router == self.VM {
		return nil
	}
	answer, err := r.machines.Ask(ctx, domain, inside.Request{Flows: true})
	if err != nil {
		return []string{fmt.Sprintf("%s: its tracked connections cannot be read: %v", router, err)}
	}
	port, found := mappedPort(answer.Flows, protocol, self, outside(other))
	switch {
	case !found:
		return []string{fmt.Sprintf("%s has no mapping for %s: the packets did not pass it", router, withPort(self.Address, self.Port))}
	case port == self.Port:
		return []string{fmt.Sprintf("%s keeps %s's port %d, where %s sends to", router, self.VM, self.Port, other.VM)}
	}
	return []string{fmt.Sprintf("%s sends %s's packets from port %d, and not from %d, where %s sends to: "+
		"a NAT that picks another port for each peer lets no hole be punched", router, self.VM, port, self.Port, other.VM)}
}

// mappedPort finds the outside port of self's flow to the peer: where the answers are expected.
func mappedPort(flows []natflow.Entry, protocol string, self schema.PunchPeer, peer string) (port int, found bool) {
	to, err := netip.ParseAddr(peer)
	if err != nil {
		return 0, false
	}
	for _, f := range flows {
		if f.Protocol == protocol && f.From.Addr().String() == self.Address && int(f.From.Port()) == self.Port && f.To.Addr() == to {
			return int(f.ReplyTo.Port()), true
		}
	}
	return 0, false
}

// declaredNAT tells how the router before a peer is declared.
func (r *runner) declaredNAT(p schema.PunchPeer) []string {
	router, n := r.natBefore(p)
	if n == nil {
		return nil
	}
	return []string{fmt.Sprintf("%s, before %s, maps %s and filters %s", router, p.VM, n.Mapping, n.Filtering)}
}

func (r *runner) natBefore(p schema.PunchPeer) (schema.Addr, *schema.NAT) {
	router, _ := r.holder(p.Outside)
	guest := r.guest(router)
	if guest == nil {
		return router, nil
	}
	declared := guest.NAT
	if strings.Contains(p.Outside, ":") {
		declared = guest.NAT6
	}
	if declared == nil {
		return router, nil
	}
	n := nat.Resolve(*declared)
	return router, &n
}

// mendPunch tells which other types would let the hole be punched: a side whose port depends on the peer needs another one
// that lets in any port, and a server that tells the ports.
func (r *runner) mendPunch(c *schema.HolePunchCheck) (mend []string) {
	for _, side := range [][2]schema.PunchPeer{{c.A, c.B}, {c.B, c.A}} {
		router, own := r.natBefore(side[0])
		if own == nil || own.Mapping == nat.EndpointIndependent {
			continue
		}
		mend = append(mend, fmt.Sprintf("give %s a mapping that is the same for every peer: type %s, %s or %s",
			router, nat.PortRestrictedCone, nat.AddressRestrictedCone, nat.FullCone))
		across, other := r.natBefore(side[1])
		if other != nil && other.Mapping == nat.EndpointIndependent && other.Filtering == nat.AddressAndPortDependent {
			mend = append(mend, fmt.Sprintf("or let %s admit any port of a peer: type %s or %s", across, nat.AddressRestrictedCone, nat.FullCone))
		}
		if c.Via == nil && (other == nil || other.Filtering != nat.AddressAndPortDependent) {
			mend = append(mend, "or give the check a server (via), which tells both sides their ports")
		}
	}
	if len(mend) == 0 {
		mend = append(mend, "both NATs would let it: see above where the packets end")
	}
	return mend
}

// explainType tells what was declared, and whether the rules that work are those.
func (r *runner) explainType(ctx context.Context, c *schema.NATCheck, last attempt) (e explained) {
	if last.err != nil {
		return r.explainServer(ctx, c)
	}
	e.why = []string{last.detail}
	e.trail = &trail.Explanation{}
	v := version{r.familyOf(c)}
	kind, family := "nat", "ip"
	if v.family == nat.IPv6 {
		kind, family = "nat6", "ip6"
	}
	guest := r.guest(c.Router.VM)
	if guest == nil || v.nat(guest) == nil {
		e.why = append(e.why, fmt.Sprintf("%s declares no %s", c.Router.VM, kind))
		e.trail.Mend = []string{fmt.Sprintf("declare %s { } in %s with %s", kind, c.Router.VM, expected(c))}
		return e
	}
	declared := nat.Resolve(*v.nat(guest))
	e.why = append(e.why, fmt.Sprintf("%s is declared as %s: it maps %s and filters %s", c.Router.VM, typeWords(declared), declared.Mapping, declared.Filtering))
	differ := differences(c, declared)
	if len(differ) > 0 {
		e.trail.Mend = differ
		return e
	}
	exit, rules, err := r.machines.Run(ctx, c.Router.Domain, "nft", "list", "table", family, nat.Table)
	if err == nil && (exit != 0 || rules == "") {
		e.why = append(e.why, fmt.Sprintf("%s has no table %s %s: its rules are not as declared", c.Router.VM, family, nat.Table))
	}
	e.trail.Mend = append(e.trail.Mend,
		"see whether the lab is applied (labctl plan)",
		"see whether rules of its own in the client or the server drop what they did not ask for: that looks like filtering",
		"see whether this host's own rules rewrite what crosses its bridges (sysctl net.bridge.bridge-nf-call-iptables)")
	return e
}

func typeWords(n schema.NAT) string {
	if n.Type == "" {
		return "a NAT with no type's name"
	}
	return n.Type
}

// differences tells what a check expects otherwise than the router is declared.
func differences(c *schema.NATCheck, n schema.NAT) (mend []string) {
	for _, d := range []struct{ name, expected, declared string }{
		{"type", c.Expect, n.Type}, {"mapping", c.Mapping, n.Mapping}, {"filtering", c.Filtering, n.Filtering},
	} {
		if d.expected == "" || d.expected == d.declared || d.name == "type" && n.Type == nat.PrefixOnly {
			continue
		}
		here := d.name
		if here == "type" {
			here = "expect"
		}
		mend = append(mend, fmt.Sprintf("declare %s = %q in %s, or expect %s = %q here", d.name, d.expected, c.Router.VM, here, d.declared))
	}
	if c.Hairpin != nil && *c.Hairpin != n.Hairpin {
		mend = append(mend, fmt.Sprintf("declare hairpin = %v in %s, or expect it otherwise here", *c.Hairpin, c.Router.VM))
	}
	if c.PreservePorts != nil && *c.PreservePorts != (n.Ports == nat.Preserve) {
		mend = append(mend, fmt.Sprintf("declare other ports than %q in %s, or expect it otherwise here", n.Ports, c.Router.VM))
	}
	return mend
}

// explainServer follows the client's packets to the server of a classification that could not be carried out.
func (r *runner) explainServer(ctx context.Context, c *schema.NATCheck) explained {
	p, err := r.natParts(c)
	if err != nil {
		return explained{}
	}
	to := schema.Endpoint{VM: p.server.VM, Domain: p.server.Domain, Address: p.addresses[0], Port: natprobe.STUNPort}
	from := p.client
	if own := r.guest(from.VM); own != nil {
		if addresses := (version{r.familyOf(c)}).addresses(own); len(addresses) > 0 {
			from.Address = addresses[0]
		}
	}
	protocol := c.Protocol
	if protocol == "" {
		protocol = "udp"
	}
	return r.explainReach(ctx, protocol, from, to, false, func(ctx context.Context) attempt {
		_, err := r.classify(ctx, p)
		return attempt{err: err}
	})
}
