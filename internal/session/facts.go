package session

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/labctl/labctl/internal/parcel"
	"github.com/labctl/labctl/schema"
)

// Outputs are the lab's outputs with what is known of the machines that run. Those that depend on what is not known (yet)
// stay pending; an address that a machine asks for is waited for as long as patience says.
func (s *Session) Outputs(ctx context.Context, patience time.Duration) ([]schema.Output, error) {
	outputs := s.Lab.Outputs
	isPending := func(o schema.Output) bool { return o.Pending }
	for end := time.Now().Add(patience); s.source != nil && slices.ContainsFunc(outputs, isPending); {
		facts, asking, err := s.facts(ctx)
		if err != nil {
			return outputs, err
		}
		lab, err := s.again(facts)
		if err != nil {
			return outputs, err
		}
		outputs = lab.Outputs
		if !asking || time.Now().After(end) {
			return outputs, nil
		}
		select { // DHCP servers announce nothing
		case <-time.After(250 * time.Millisecond):
		case <-ctx.Done():
			return outputs, ctx.Err()
		}
	}
	return outputs, nil
}

// again reads the lab again, with what is known of machines that run.
func (s *Session) again(facts map[schema.Addr]*schema.Facts) (*schema.Lab, error) {
	if s.Options.inbox != nil {
		a, err := s.ask(parcel.Question{Facts: facts})
		return a.Lab, err
	}
	result, diags, err := s.Options.read(s.Dir, facts)
	if err != nil {
		return nil, err
	}
	if diags.HasErrors() || result.Lab == nil {
		return nil, fmt.Errorf("read the outputs again: %w", diags)
	}
	return result.Lab, nil
}

// facts asks the lab's machines side by side. Asking says that one that runs has got no address that it asks for.
func (s *Session) facts(ctx context.Context) (facts map[schema.Addr]*schema.Facts, asking bool, err error) {
	facts = make(map[schema.Addr]*schema.Facts)
	guests := make(map[schema.Addr]*schema.Guest)
	for _, r := range s.Lab.Resources {
		if g, ok := r.Body.(*schema.Guest); ok {
			guests[r.Addr.Whole()] = g
		}
	}
	var wait sync.WaitGroup
	var mu sync.Mutex
	for _, r := range s.Lab.Resources {
		domain, ok := r.Body.(*schema.Domain)
		if !ok || !domain.Running {
			continue
		}
		h, unknown := s.Host(r.Host)
		if unknown != nil {
			return nil, false, unknown
		}
		wait.Go(func() {
			f, failed := h.facts(ctx, domain, guests[r.Addr])
			mu.Lock()
			defer mu.Unlock()
			if failed != nil && err == nil {
				err = failed
			}
			if f != nil {
				facts[r.Addr] = f
				asking = asking || len(unanswered(f, guests[r.Addr])) > 0
			}
		})
	}
	wait.Wait()
	return facts, asking, err
}

// facts is what is known of a machine; nil where it does not run. What libvirt's own networks did not lease the system inside
// is asked for.
func (c *Carrier) facts(ctx context.Context, d *schema.Domain, g *schema.Guest) (*schema.Facts, error) {
	f, err := c.Conn.Facts(ctx, d)
	if err != nil || f == nil {
		return nil, err
	}
	open := unanswered(f, g)
	if len(open) == 0 {
		return f, nil
	}
	ctx, cancel := context.WithTimeout(ctx, agentPatience)
	defer cancel()
	links, silent := c.Links(ctx, d.Name)
	if silent != nil {
		return f, nil // what it was given is not known
	}
	for _, card := range open {
		for _, l := range links {
			if l.Name != card.Name {
				continue
			}
			f.Leases[card.Name] = slices.DeleteFunc(Addresses([]Link{l}), func(address string) bool {
				return slices.Contains(card.Addresses, address)
			})
		}
	}
	return f, nil
}

// unanswered are the interfaces that ask for an address and are not known to have got one.
func unanswered(f *schema.Facts, g *schema.Guest) []schema.GuestInterface {
	var out []schema.GuestInterface
	if g == nil {
		return nil
	}
	for _, i := range g.Interfaces {
		asks := i.DHCP4 || i.DHCP6 || i.AcceptRA != nil && *i.AcceptRA
		if asks && len(f.Leases[i.Name]) == 0 {
			out = append(out, i)
		}
	}
	return out
}
