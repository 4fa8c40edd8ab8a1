package semantic

import (
	"fmt"

	"github.com/labctl/labctl/schema/diag"
)

// impairments: the host's end of a link has what a machine sends only once that is sent, and a delay or loss there would be gone
// whenever the machine is started without labctl.
func (c *checker) impairments() {
	for _, m := range c.machines {
		for _, nic := range m.domain.Interfaces {
			declared := nic.Impair
			if declared.On != "host" {
				continue
			}
			path := "interface." + nic.Name + ".impair"
			for _, other := range []struct {
				name  string
				value float64
			}{
				{"delay", declared.DelayMS}, {"jitter", declared.JitterMS}, {"loss", declared.Loss},
				{"duplicate", declared.Duplicate}, {"reorder", declared.Reorder},
			} {
				if other.value != 0 {
					c.add(diag.New(diag.Conflict, c.at(m.addr, path+"."+other.name), fmt.Sprintf("The host's end of a link does no %s", other.name),
						"Leave on out: it is then done in the machine, and is there again after every boot."), m.addr)
				}
			}
			if declared.Direction != "in" {
				c.add(diag.New(diag.Conflict, c.at(m.addr, path+".direction"), "The host's end of a link holds back only what arrives at the machine",
					`Write direction = "in", or leave on out.`), m.addr)
			}
			if declared.Rate < 8 {
				c.add(diag.New(diag.MissingArgument, c.at(m.addr, path), "The rate is missing",
					`The host's end of a link can be given a rate, as rate = "10Mbit".`), m.addr)
			}
		}
	}
}
