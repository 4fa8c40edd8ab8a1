// Package doctor examines a host: whether it can carry labs, what would spoil them, and how that is mended.
package doctor

import (
	"context"
	"sync"

	"github.com/labctl/labctl/internal/host"
)

// Grade is how bad a finding is.
type Grade string

// The grades.
const (
	Good Grade = "ok"
	Warn Grade = "warning" // labs work, with something less than they might
	Bad  Grade = "error"   // some labs, or all, do not work
)

// Finding is what one examination came to.
type Finding struct {
	Name  string `json:"name"` // what was looked at
	Grade Grade  `json:"grade"`
	Text  string `json:"text"`           // what was found, one line
	Mend  string `json:"mend,omitempty"` // what to do; a command where one does it
}

// Patient is the host that is examined.
type Patient struct {
	Host host.Host
	Root string // labctl's data folder
	// Libvirt connects to the host's libvirt and says who answered.
	Libvirt func(context.Context) (string, error)
	// KVM proves whether guests run under KVM, and says why it is so or not.
	KVM func(context.Context) (works bool, why string, err error)
}

// Examine makes all examinations side by side and returns a finding for each, in a fixed order.
func Examine(ctx context.Context, p Patient) []Finding {
	examinations := []func(context.Context) Finding{
		p.programs, p.libvirt, p.kvm, p.netplan, p.nftables, p.forwardChain, p.routing, p.bridgeFilter, p.offloads,
		p.confinement, p.reach, p.dataFolder, p.disk, p.memory,
	}
	findings := make([]Finding, len(examinations))
	var wait sync.WaitGroup
	for n, examine := range examinations {
		wait.Go(func() { findings[n] = examine(ctx) })
	}
	wait.Wait()
	return findings
}

// Worst is the worst grade among findings.
func Worst(findings []Finding) Grade {
	worst := Good
	for _, f := range findings {
		if f.Grade == Bad || f.Grade == Warn && worst == Good {
			worst = f.Grade
		}
	}
	return worst
}

func good(name, text string) Finding { return Finding{Name: name, Grade: Good, Text: text} }
