// Package natflow reads and removes the connection tracking entries of a router: what a changed NAT makes stale goes, and
// everything else goes on.
package natflow

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"github.com/ti-mo/conntrack"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/nat"
)

// List returns the flows that the kernel of this network namespace tracks, of both IP versions.
func List() ([]nat.Flow, error) {
	conn, err := conntrack.Dial(nil)
	if err != nil {
		return nil, fmt.Errorf("connection tracking: %w", err)
	}
	defer conn.Close()
	tracked, err := conn.Dump(nil)
	if err != nil {
		return nil, fmt.Errorf("list tracked connections: %w", err)
	}
	flows := make([]nat.Flow, 0, len(tracked))
	for _, t := range tracked {
		flows = append(flows, flowOf(t))
	}
	return flows, nil
}

func flowOf(t conntrack.Flow) nat.Flow {
	port := netip.AddrPortFrom
	orig, reply := t.TupleOrig, t.TupleReply
	return nat.Flow{
		Protocol:         orig.Proto.Protocol,
		Source:           port(orig.IP.SourceAddress, orig.Proto.SourcePort),
		Destination:      port(orig.IP.DestinationAddress, orig.Proto.DestinationPort),
		ReplyDestination: port(reply.IP.DestinationAddress, reply.Proto.DestinationPort),
		SourceNAT:        t.Status.SrcNAT(),
		DestinationNAT:   t.Status.DstNAT(),
		Replied:          t.Status.SeenReply(),
	}
}

// Drop removes the flows that the change from before to after makes stale (see nat.Stale; nil is a router without NAT), of the IP
// version that they translate, and returns their number by reason. Call it once the new rules stand, or packets make the old flows anew.
func Drop(before, after *schema.NAT) (map[string]int, error) {
	selectors := nat.Stale(before, after)
	if len(selectors) == 0 {
		return nil, nil
	}
	six := before != nil && before.Family == nat.IPv6 || after != nil && after.Family == nat.IPv6
	local, err := localAddresses()
	if err != nil {
		return nil, err
	}
	conn, err := conntrack.Dial(nil)
	if err != nil {
		return nil, fmt.Errorf("connection tracking: %w", err)
	}
	defer conn.Close()
	tracked, err := conn.Dump(nil)
	if err != nil {
		return nil, fmt.Errorf("list tracked connections: %w", err)
	}
	dropped := map[string]int{}
	var errs []error
	for _, t := range tracked {
		if t.TupleOrig.IP.SourceAddress.Is6() != six {
			continue
		}
		reason := match(selectors, flowOf(t), local)
		if reason == "" {
			continue
		}
		switch err := conn.Delete(t); {
		case err == nil:
			dropped[reason]++
		case !errors.Is(err, syscall.ENOENT): // it may have ended meanwhile
			errs = append(errs, fmt.Errorf("remove flow %s: %w", t.TupleOrig, err))
		}
	}
	return dropped, errors.Join(errs...)
}

// match is the reason why f is stale, "" where it is not.
func match(selectors []nat.Selector, f nat.Flow, local map[netip.Addr]bool) string {
	for _, s := range selectors {
		if s.Matches(f, func(a netip.Addr) bool { return local[a] }) {
			return s.Reason
		}
	}
	return ""
}

func localAddresses() (map[netip.Addr]bool, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("addresses of this machine: %w", err)
	}
	local := map[netip.Addr]bool{}
	for _, a := range addrs {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			local[prefix.Addr().Unmap()] = true
		}
	}
	return local, nil
}
