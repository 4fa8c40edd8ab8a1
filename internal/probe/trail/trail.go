// Package trail finds out why packets of a lab arrive or do not: the way that the kernels on it choose, the rules that met
// the packets, the counters that rose and the connections that were tracked, and what would have to change.
package trail

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/labctl/labctl/internal/probe/inside"
	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/nat"
)

// Machines carries requests into a lab's machines, as for probes.
type Machines interface {
	Ask(ctx context.Context, domain string, r inside.Request) (inside.Answer, error)
	Run(ctx context.Context, domain string, args ...string) (exit int, output string, err error)
}

// Tracer follows packets through one lab.
type Tracer struct {
	Lab      *schema.Lab
	Machines Machines
}

// Packet is what is followed.
type Packet struct {
	Protocol string // "icmp", "tcp" or "udp"
	From     schema.Endpoint
	To       schema.Endpoint
}

// Hop is one machine on the way.
type Hop struct {
	Name   string        // as people call it: `vm.nat["a"]`, "this host"
	Domain string        // "" for the host
	Guest  *schema.Guest // nil for the host
	Words  string        // what the machine does with the packet
	Fault  string        // why it goes no further, "" where it goes on
	Mend   string        // what would let it
	End    bool          // it is for this machine
}

// most machines on a way; more are a loop.
const mostHops = 12

// Follow asks one machine after the other which way it sends. Where a router's forward or one-to-one address leads further in,
// it follows.
func (t Tracer) Follow(ctx context.Context, p Packet) []Hop {
	to, err := netip.ParseAddr(p.To.Address)
	if err != nil {
		return nil
	}
	w := way{Tracer: t, protocol: p.Protocol, to: to, port: p.To.Port}
	at := t.machine(p.From.Domain)
	if at.Guest == nil && at.Domain != "" {
		at.Name = p.From.VM.String()
	}
	for len(w.hops) < mostHops {
		next, goesOn := w.step(ctx, at)
		if !goesOn {
			return w.hops
		}
		at = next
	}
	last := &w.hops[len(w.hops)-1]
	last.Fault, last.Mend = "the packet goes round in circles", "let one of these machines send it by another route"
	return w.hops
}

// way is one way under way.
type way struct {
	Tracer
	protocol string
	to       netip.Addr // where the packet is sent to from here on
	port     int
	hops     []Hop
}

// step adds what the machine does, and finds the next one.
func (w *way) step(ctx context.Context, at Hop) (next Hop, goesOn bool) {
	if len(w.hops) > 0 {
		w.translate(&at)
	}
	route, err := w.route(ctx, at.Domain)
	switch {
	case err != nil:
		at.Fault = err.Error()
	case route.Type == "none":
		at.Fault = fmt.Sprintf("it has no route to %s", w.to)
		at.Mend = w.wayTo(at)
	case route.Type == "local":
		at.Words, at.End = join(at.Words, "the packet is for it"), true
	default:
		return w.onward(ctx, at, *route)
	}
	w.hops = append(w.hops, at)
	return Hop{}, false
}

// translation is what a guest does to packets of the version of IP that is followed; nil where nothing.
func (w *way) translation(guest *schema.Guest) *schema.NAT {
	switch {
	case guest == nil:
		return nil
	case w.to.Is6():
		return guest.NAT6
	}
	return guest.NAT
}

// wayTo is what would lead from a machine that has no route to the destination.
func (w *way) wayTo(at Hop) string {
	for _, r := range w.Lab.Resources {
		guest, ok := r.Body.(*schema.Guest)
		if !ok || w.translation(guest) == nil {
			continue
		}
		n := w.translation(guest)
		for _, i := range guest.Interfaces {
			if !slices.Contains(n.Inside, i.Name) {
				continue
			}
			for _, a := range i.Addresses {
				if prefix, err := netip.ParsePrefix(a); err != nil || !prefix.Masked().Contains(w.to) {
					continue
				}
				if outside := nat.SeenAs(*n, w.to); n.Type == nat.PrefixOnly && outside != w.to {
					return fmt.Sprintf("%s is behind the NAT of %s: the outside reaches it as %s", w.to, r.Addr.Whole(), outside)
				}
				return fmt.Sprintf("%s is behind the NAT of %s: reach it through a forward or a one_to_one address of that", w.to, r.Addr.Whole())
			}
		}
	}
	return fmt.Sprintf("give %s a route to %s", at.Name, w.to)
}

// onward finds who gets the packet next.
func (w *way) onward(ctx context.Context, at Hop, route inside.Way) (next Hop, goesOn bool) {
	gateway := w.to
	words := fmt.Sprintf("sends on %s straight to %s", route.Interface, w.to)
	if via, err := netip.ParseAddr(route.Via); err == nil {
		gateway, words = via, fmt.Sprintf("sends on %s to %s", route.Interface, via)
	}
	at.Words = join(at.Words, words)
	if n := w.translation(at.Guest); n != nil && len(w.hops) > 0 && route.Interface == n.Outside {
		at.Words += ", translated (" + natName(*n) + ")"
	}
	next, known := w.holder(gateway)
	switch {
	case len(w.hops) > 0 && !w.forwards(ctx, at.Domain):
		at.Fault = "it does not forward packets"
		at.Mend = "declare host { forwarding = true }"
		if at.Domain != "" {
			at.Mend = fmt.Sprintf("declare forwarding = true in %s", at.Name)
		}
	case w.silent(ctx, at.Domain, gateway):
		asked := "ARP"
		if gateway.Is6() {
			asked = "neighbour discovery"
		}
		at.Fault = fmt.Sprintf("nobody on %s answers for %s (%s)", route.Interface, gateway, asked)
		at.Mend = fmt.Sprintf("see that the machine with %s runs, on the same bridge", gateway)
		if known && gateway.Is6() {
			// It is asked by packets that its rules can drop, so it is looked at too.
			next.Words = fmt.Sprintf("has %s", gateway)
			w.hops = append(w.hops, at, next)
			return Hop{}, false
		}
	case !known:
		at.Words += ", which is none of the lab's machines"
	default:
		w.hops = append(w.hops, at)
		return next, true
	}
	w.hops = append(w.hops, at)
	return Hop{}, false
}

// translate follows the destination through the forwards, one-to-one addresses and prefixes of a router.
func (w *way) translate(at *Hop) {
	n := w.translation(at.Guest)
	if n == nil {
		return
	}
	if host, how, ok := nat.Behind(*n, w.to); ok {
		w.redirect(at, host.String(), 0, how)
		return
	}
	outside, _ := netip.ParsePrefix(n.OutsideAddress)
	if w.to != outside.Addr() {
		return
	}
	for _, f := range n.Forwards {
		if f.Protocol == w.protocol && f.Port == w.port {
			w.redirect(at, f.To, f.ToPort, fmt.Sprintf("forward %q", f.Name))
			return
		}
	}
}

func (w *way) redirect(at *Hop, to string, port int, how string) {
	inside, err := netip.ParseAddr(to)
	if err != nil {
		return
	}
	if w.to = inside; port != 0 {
		w.port = port
	}
	target := w.to.String()
	if w.port != 0 {
		target = netip.AddrPortFrom(w.to, uint16(w.port)).String()
	}
	at.Words = fmt.Sprintf("%s leads to %s", how, target)
}

// Receiver is the machine that gets what is sent to an endpoint, and where in it, forwards followed; ok is false where it is
// none of the lab's machines.
func (t Tracer) Receiver(protocol string, to schema.Endpoint) (e schema.Endpoint, ok bool) {
	address, err := netip.ParseAddr(to.Address)
	if err != nil {
		return to, to.Domain != ""
	}
	w := way{Tracer: t, protocol: protocol, to: address, port: to.Port}
	for range mostHops {
		at, known := w.holder(w.to)
		if !known {
			at, known = w.leads()
		}
		if !known || at.Domain == "" {
			return to, to.Domain != ""
		}
		before := w.to
		w.translate(&at)
		if w.to == before {
			return schema.Endpoint{VM: t.address(at.Domain), Domain: at.Domain, Address: w.to.String(), Port: w.port}, true
		}
	}
	return to, false
}

// leads finds the router of whose prefixes one is followed to: such an address is nobody's own.
func (w *way) leads() (Hop, bool) {
	for _, r := range w.Lab.Resources {
		guest, ok := r.Body.(*schema.Guest)
		if !ok || w.translation(guest) == nil {
			continue
		}
		if _, _, ok := nat.Behind(*w.translation(guest), w.to); ok {
			return w.machine(guest.Domain), true
		}
	}
	return Hop{}, false
}

// route asks a machine's kernel, or the host's.
func (w *way) route(ctx context.Context, domain string) (*inside.Way, error) {
	if domain != "" {
		answer, err := w.Machines.Ask(ctx, domain, inside.Request{Route: &inside.Route{To: w.to.String()}})
		if err != nil || answer.Way == nil {
			return nil, fmt.Errorf("its routes cannot be read: %w", err)
		}
		return answer.Way, nil
	}
	exit, text, err := w.Machines.Run(ctx, "", "ip", "-j", "route", "get", w.to.String())
	if err != nil {
		return nil, fmt.Errorf("its routes cannot be read: %w", err)
	}
	var found []struct {
		Type    string `json:"type"`
		Gateway string `json:"gateway"`
		Dev     string `json:"dev"`
		Source  string `json:"prefsrc"`
	}
	if exit != 0 || json.Unmarshal([]byte(text), &found) != nil || len(found) == 0 {
		return &inside.Way{Type: "none"}, nil
	}
	way := &inside.Way{Type: "unicast", Via: found[0].Gateway, Interface: found[0].Dev, Source: found[0].Source}
	if found[0].Type == "local" {
		way.Type = "local"
	}
	return way, nil
}

func (w *way) forwards(ctx context.Context, domain string) bool {
	key := "net.ipv4.ip_forward"
	if w.to.Is6() {
		key = "net.ipv6.conf.all.forwarding"
	}
	_, text, err := w.Machines.Run(ctx, domain, "sysctl", "-n", key)
	return err != nil || strings.TrimSpace(text) != "0"
}

// silent reports whether a machine has asked for its neighbour in vain.
func (w *way) silent(ctx context.Context, domain string, neighbour netip.Addr) bool {
	_, table, err := w.Machines.Run(ctx, domain, "ip", "neigh", "show", neighbour.String())
	return err == nil && (strings.Contains(table, "FAILED") || strings.Contains(table, "INCOMPLETE"))
}

// holder finds who has an address: a machine of the lab, or the host by one of its bridges.
func (t Tracer) holder(address netip.Addr) (Hop, bool) {
	has := func(prefixes []string) bool {
		return slices.ContainsFunc(prefixes, func(text string) bool {
			prefix, err := netip.ParsePrefix(text)
			return err == nil && prefix.Addr() == address
		})
	}
	for _, r := range t.Lab.Resources {
		switch body := r.Body.(type) {
		case *schema.Guest:
			for _, i := range body.Interfaces {
				if has(i.Addresses) {
					return t.machine(body.Domain), true
				}
			}
		case *schema.Bridge:
			if has(body.Addresses) {
				return t.machine(""), true
			}
		}
	}
	return Hop{}, false
}

// machine is a hop that says nothing yet.
func (t Tracer) machine(domain string) Hop {
	if domain == "" {
		return Hop{Name: "this host"}
	}
	for _, r := range t.Lab.Resources {
		if guest, ok := r.Body.(*schema.Guest); ok && guest.Domain == domain {
			return Hop{Name: r.Addr.Whole().String(), Domain: domain, Guest: guest}
		}
	}
	return Hop{Name: domain, Domain: domain}
}

func (t Tracer) address(domain string) schema.Addr {
	for _, r := range t.Lab.Resources {
		if guest, ok := r.Body.(*schema.Guest); ok && guest.Domain == domain {
			return r.Addr.Whole()
		}
	}
	return schema.Addr{}
}

// natName is the type of a NAT, or its two halves where they make none.
func natName(n schema.NAT) string {
	n = nat.Resolve(n)
	if n.Type != "" {
		return n.Type
	}
	return n.Mapping + " mapping, " + n.Filtering + " filtering"
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + ", " + b
}
