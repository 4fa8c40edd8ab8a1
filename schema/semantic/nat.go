package semantic

import (
	"fmt"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/diag"
	"github.com/labctl/labctl/schema/nat"
)

// natChecks: what is expected of a NAT is something, and can be.
func (c *checker) natChecks(checks []schema.Check) {
	for _, check := range checks {
		n := check.NAT
		if n == nil {
			continue
		}
		if *n == (schema.NATCheck{Router: n.Router, Client: n.Client, Server: n.Server, Protocol: n.Protocol, Family: n.Family}) {
			c.add(diag.New(diag.MissingArgument, c.at(check.Addr, "nat"), "The check expects nothing",
				"Give at least one of: expect, mapping, filtering, hairpin, preserve_ports, simultaneous_open."), check.Addr)
		}
		if n.SimultaneousOpen != nil && n.Protocol != "tcp" {
			c.add(diag.New(diag.Conflict, c.at(check.Addr, "nat.simultaneous_open"), "Only TCP opens connections",
				`Write protocol = "tcp", or leave simultaneous_open out.`), check.Addr)
		}
		mapping, filtering, known := nat.Behaviour(n.Expect)
		for _, half := range []struct{ name, expected, implied string }{
			{"mapping", n.Mapping, mapping}, {"filtering", n.Filtering, filtering},
		} {
			if known && half.expected != "" && half.expected != half.implied {
				c.add(diag.New(diag.Conflict, c.at(check.Addr, "nat."+half.name), fmt.Sprintf("expect and %s contradict each other", half.name),
					fmt.Sprintf("A NAT of type %s has %s = %q. Leave one of both out.", n.Expect, half.name, half.implied)), check.Addr)
			}
		}
	}
}
