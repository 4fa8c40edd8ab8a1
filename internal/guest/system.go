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
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

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
	ctx      context.Context
	want     *schema.Guest
	kept     helper.Persist // as read at the start; its Guest is never nil
	keep     helper.Persist // as it will be written
	have     *schema.Guest
	rules    ruleState
	changed  []string
	flows    int
	problems []helper.Problem
}

func (s System) begin(ctx context.Context, want *schema.Guest) (*task, error) {
	kept, err := s.readPersist()
	if err != nil {
		return nil, err
	}
	if kept.Guest == nil {
		kept.Guest = &schema.Guest{}
	}
	return &task{System: s, ctx: ctx, want: want, kept: kept, keep: kept}, nil
}

// did notes a change that was made.
func (t *task) did(format string, args ...any) {
	t.changed = append(t.changed, fmt.Sprintf(format, args...))
}

// problem notes what could not be done; the task goes on with the rest.
func (t *task) problem(path string, err error) {
	if err == nil {
		return
	}
	p := helper.Problem{Code: helper.Broken, Path: path, Message: err.Error()}
	if refused, ok := errors.AsType[refusedError](err); ok {
		p.Code, p.Message = helper.Refused, refused.Error()
	}
	t.problems = append(t.problems, p)
}

// refusedError is a declaration that cannot be carried out as it is.
type refusedError string

func (e refusedError) Error() string { return string(e) }

func refuse(format string, args ...any) error { return refusedError(fmt.Sprintf(format, args...)) }

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
	return t.response(request)
}

// Converge keeps what is wanted for the next boot, makes it so and looks again. Where everything is as wanted it changes
// nothing.
func (s System) Converge(ctx context.Context, request helper.Request) helper.Response {
	t, err := s.begin(ctx, request.Guest)
	if err != nil {
		return broken(err)
	}
	t.observe()
	if len(t.problems) == 0 && t.isKept(request.Mark) && t.converged() {
		return t.response(request)
	}
	if err := t.remember(request.Mark); err != nil {
		return broken(err)
	}
	t.problems = nil
	t.apply()
	if len(t.problems) == 0 {
		t.problem("", t.forget())
	}
	if len(t.changed) > 0 {
		found := t.problems
		t.observe()
		t.problems = append(found, t.problems...)
	}
	return t.response(request)
}

// observe fills t.have. What cannot be read is a problem, and is then missing.
func (t *task) observe() {
	have := *t.want
	t.have = &have
	t.problem("interface", t.observeLinks())
	t.problem("route", t.observeRoutes())
	t.observeSysctl()
	t.problem("hostname", t.observeHostname())
	t.problem("hosts", t.observeHosts())
	t.problem("nameservers", t.observeDNS())
	t.observeFiles()
	t.observeRules()
}

// apply makes what is there what is wanted. Rules come before addresses so that a firewall is never late.
func (t *task) apply() {
	t.applyNames()
	t.applyFiles()
	t.problem("hostname", t.applyHostname())
	t.problem("hosts", t.applyHosts())
	t.applyRules()
	t.applySysctl()
	t.applyLinks()
	t.applyRoutes()
	t.problem("nameservers", t.applyDNS())
}

func (t *task) response(request helper.Request) helper.Response {
	return helper.Response{
		Protocol: helper.Protocol, Mark: t.keep.Mark, Guest: t.have, Kept: t.isKept(request.Mark), Rules: t.rules.differences,
		Changed: t.changed, Flows: t.flows, NAT: t.kept.Guest.NAT, FirstBoot: t.keep.First, Problems: t.problems,
	}
}

func broken(err error) helper.Response {
	return helper.Response{Protocol: helper.Protocol, Problems: []helper.Problem{{Code: helper.Broken, Message: err.Error()}}}
}

// fields makes runs of white space one space, as sysctls with several values print them in one way or the other.
func fields(text string) string { return strings.Join(strings.Fields(text), " ") }
