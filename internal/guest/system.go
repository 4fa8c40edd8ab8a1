// Package guest is what labctl's helper does inside a guest: it looks at what is there (Snapshot), makes it what is wanted
// touching only what differs (Converge), and does so again at boot (Boot).
//
// The guest is the lab's own, so what is compared is everything that counts: addresses and routes of declared interfaces
// exactly, the whole ruleset where rules are declared. What the kernel or a daemon adds by itself (link-local addresses,
// routes learnt by router advertisement or DHCP) is left alone.
package guest

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/labctl/labctl/internal/guest/lease"
	"github.com/labctl/labctl/internal/guest/native"
	"github.com/labctl/labctl/internal/guest/network"
	"github.com/labctl/labctl/internal/guest/note"
	"github.com/labctl/labctl/internal/guest/ruleset"
	"github.com/labctl/labctl/internal/helper"
	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/schema"
)

// System is the guest that the process runs in.
type System struct {
	// Root is put before every path of a file but those under /proc and /sys; "" in a guest, a folder in tests.
	Root string
	// Host runs nft.
	Host host.Host
}

// task is one snapshot, converge or boot under way.
type task struct {
	System
	*note.Report
	ctx     context.Context
	want    *schema.Guest
	kept    helper.Persist // as read at the start; its Guest is never nil
	keep    helper.Persist // as it will be written
	have    *schema.Guest
	network *network.Network
	rules   *ruleset.Rules
	clients *lease.Clients // nil where the guest's own system takes leases
}

func (s System) begin(ctx context.Context, want *schema.Guest) (*task, error) {
	kept, err := s.readPersist()
	if err != nil {
		return nil, err
	}
	return s.task(ctx, want, kept), nil
}

func (s System) task(ctx context.Context, want *schema.Guest, kept helper.Persist) *task {
	if kept.Guest == nil {
		kept.Guest = &schema.Guest{}
	}
	report := &note.Report{}
	t := &task{
		System: s, Report: report, ctx: ctx, want: want, kept: kept, keep: kept,
		network: &network.Network{
			Report: report, Want: want, Kept: kept.Guest, Before: kept.Before.MTU, Scripts: native.Detect(s.exists) == native.Ifupdown,
		},
		rules: &ruleset.Rules{Report: report, Host: s.Host, Note: s.path(rulesetNote), Want: want, Kept: kept.Guest},
	}
	if lease.Needed() {
		t.clients = &lease.Clients{Report: report, Host: s.Host, Dir: s.path(helper.RunDir)}
	}
	return t
}

// rulesetNote is what is known of the live ruleset until the next boot.
const rulesetNote = helper.RunDir + "/ruleset.json"

func (s System) path(name string) string { return filepath.Join(s.Root, name) }

// read reads a file of the guest as text; "" where there is none.
func (s System) read(name string) (string, error) {
	data, err := os.ReadFile(s.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(data), err
}

func (s System) write(ctx context.Context, name, text string, mode fs.FileMode) error {
	return s.Host.WriteFile(ctx, s.path(name), []byte(text), mode)
}

func (s System) exists(name string) bool {
	_, err := os.Stat(s.path(name))
	return err == nil
}

// Snapshot tells what is there of what is wanted. It changes nothing.
func (s System) Snapshot(ctx context.Context, request helper.Request) helper.Response {
	t, err := s.begin(ctx, request.Guest)
	if err != nil {
		return broken(err)
	}
	t.observe()
	return t.response()
}

// Converge keeps what is wanted for the next boot, makes it so and looks again. Where everything is as wanted it changes
// nothing.
func (s System) Converge(ctx context.Context, request helper.Request) helper.Response {
	kept, err := s.readPersist()
	if err != nil {
		return broken(err)
	}
	did, err := s.renew(ctx, &kept)
	if err != nil {
		return broken(err)
	}
	t := s.task(ctx, request.Guest, kept)
	t.Changed = append(t.Changed, did...)
	late := t.awaitFirstBoot()
	t.observe()
	if late == nil && did == nil && len(t.Problems) == 0 && t.keep.Mark == request.Mark && t.isKept() && t.converged() {
		return t.response()
	}
	if err := t.remember(request.Mark); err != nil {
		return broken(err)
	}
	t.Problems = nil
	t.Problem("", t.installService())
	t.network.ApplyNames()
	t.applyNative()
	t.apply()
	if len(t.Problems) == 0 {
		t.Problem("", t.forget())
	}
	if len(t.Changed) > 0 {
		found := t.Problems
		t.observe()
		t.Problems = append(found, t.Problems...)
	}
	t.Problem("", late)
	return t.response()
}

// observe fills t.have. What cannot be read is a problem, and is then missing.
func (t *task) observe() {
	have := *t.want
	t.have = &have
	t.network.Observe(t.have)
	if t.clients != nil {
		t.clients.Observe(t.have.Interfaces)
	}
	t.observeSysctl()
	t.Problem("hostname", t.observeHostname())
	t.Problem("hosts", t.observeHosts())
	t.Problem("nameservers", t.observeDNS())
	t.observeFiles()
	t.rules.Observe(t.ctx, t.have)
}

// apply makes what is there what is wanted. Rules come before addresses so that a firewall is never late.
func (t *task) apply() {
	t.network.ApplyNames()
	t.applyFiles()
	t.Problem("hostname", t.applyHostname())
	t.Problem("hosts", t.applyHosts())
	t.rules.Apply(t.ctx)
	t.applySysctl()
	t.network.Apply()
	if t.clients != nil {
		t.clients.Apply(t.ctx, t.want.Interfaces)
	}
	t.Problem("nameservers", t.applyDNS())
}

func (t *task) response() helper.Response {
	return helper.Response{
		Protocol: helper.Protocol, Mark: t.keep.Mark, Guest: t.have, Kept: t.isKept(), Keeps: t.keeps(), Rules: t.rules.Differences,
		Changed: t.Changed, Flows: t.rules.Flows, NAT: t.kept.Guest.NAT, NAT6: t.kept.Guest.NAT6, FirstBoot: t.keep.First, Problems: t.Problems,
	}
}

func broken(err error) helper.Response {
	return helper.Response{Protocol: helper.Protocol, Problems: []helper.Problem{{Code: helper.Broken, Message: err.Error()}}}
}
