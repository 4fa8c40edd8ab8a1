package netplan

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/netplan/link"
	"github.com/labctl/labctl/provider/netplan/tree"
	"github.com/labctl/labctl/schema"
)

const (
	// patience is how long networkd may take for a change that it has seen.
	patience = 10 * time.Second
	// maxSets is how often what networkd leaves is set without a wait: what does not stay set by then never will.
	maxSets = 10
	// nudge is after how long it is told to configure a link afresh.
	nudge = 800 * time.Millisecond
)

// letGo takes removed bridges away and drops ports that are no longer declared.
func (p *Provider) letGo(ctx context.Context, lab string, t *tree.Tree, view *link.View, edits []*edit, r results) {
	for _, e := range edits {
		if e.set != nil {
			for _, port := range e.before.Interfaces {
				link := view.Links[port]
				if slices.Contains(e.bridge().Interfaces, port) || link == nil || link.Master != e.bridge().Name {
					continue
				}
				p.change(ctx, e, r, "release "+port, "link", "set", "dev", port, "nomaster")
			}
		}
		p.delete(ctx, lab, t, view, e, r)
	}
}

// delete deletes the link of a removed bridge, if it is the lab's and no other file wants it.
func (p *Provider) delete(ctx context.Context, lab string, t *tree.Tree, view *link.View, e *edit, r results) {
	own := t.Own(lab).Entry(e.remove)
	link := view.Links[e.remove]
	if own == nil || own.Mark.Addr != e.addr || own.Mark.Lab != lab || link == nil || link.Kind != "bridge" {
		return
	}
	if len(t.Others(lab, e.remove)) == 0 {
		p.change(ctx, e, r, "delete "+e.remove, "link", "delete", "dev", e.remove)
	}
}

// change is one step that ip(8) does for an edit.
func (p *Provider) change(ctx context.Context, e *edit, r results, stage string, args ...string) {
	if r[e] != nil {
		return
	}
	if r[e] = provider.Step(e.ctx, stage); r[e] != nil {
		return
	}
	if err := p.links.Change(ctx, args...); err != nil {
		r[e] = &provider.Error{Op: stage, Addr: e.addr, Err: err}
	}
}

// load makes the back end take its new configuration up and waits until the kernel shows it.
func (p *Provider) load(ctx context.Context, lab string, edits []*edit, r results) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	changes, err := p.links.Watch(ctx)
	if err != nil {
		r.failed(edits, "watch links", err)
		return
	}
	t, err := tree.Read(ctx, p.host, p.Root)
	if err != nil {
		r.failed(edits, "read back", err)
		return
	}
	if edits = r.step(edits, "load"); len(edits) == 0 {
		return
	}
	if err := p.reload(ctx, t, edits); err != nil {
		r.failed(edits, "load bridges", err)
		return
	}
	nudged := map[string]int{}
	for began, sets := time.Now(), 0; ; {
		view, err := p.links.Read(ctx)
		if err != nil {
			r.failed(edits, "read back", err)
			return
		}
		again := p.mend(ctx, lab, t, view, edits, r)
		open := unfinished(lab, t, view, edits, r)
		if time.Since(began) >= 2*nudge {
			again = p.setAddresses(ctx, open, t, view, r) || again
		}
		if sets++; again && len(open) > 0 && sets < maxSets {
			continue // something was set just now: look before waiting
		}
		if len(open) == 0 {
			return
		}
		if stale := staleLinks(open, t, view, time.Since(began), nudged); len(stale) > 0 {
			p.reconfigure(ctx, open, stale, r)
			continue
		}
		if !await(ctx, changes, time.Since(began)) {
			maps.Copy(r, open)
			return
		}
	}
}

// await waits for the kernel to tell of a change, or for the next moment to nudge; false when patience is at its end.
func await(ctx context.Context, changes <-chan struct{}, since time.Duration) bool {
	next := patience
	for _, moment := range []time.Duration{3 * nudge, 2 * nudge, nudge} {
		if moment > since {
			next = moment
		}
	}
	nudging := time.After(next - since)
	select {
	case <-ctx.Done():
		return false
	case <-changes:
	case <-nudging:
	}
	return true
}

// reload is `networkctl reload`, which touches only links whose configuration has changed, or `netplan apply` where
// NetworkManager is the back end, which has no such thing.
func (p *Provider) reload(ctx context.Context, t *tree.Tree, edits []*edit) error {
	command := host.Cmd("networkctl", "reload")
	for _, e := range edits {
		if e.set != nil && t.Renderer(e.bridge().Name) == tree.NetworkManager {
			command = host.Cmd("netplan", "apply")
		}
	}
	if _, err := p.host.Run(ctx, command); err != nil {
		return err
	}
	p.sync(ctx)
	return nil
}

// sync waits until networkd has begun what it was told. It answers a reload before it looks at the links; what it reads
// from the kernel next comes before any later question in its queue. Where it cannot be asked, only the wait is lost.
func (p *Provider) sync(ctx context.Context) {
	_, _ = p.host.Run(ctx, host.Cmd("busctl", "call", "org.freedesktop.network1", "/org/freedesktop/network1",
		"org.freedesktop.DBus.Peer", "Ping"))
}

// reconfigure lets networkd configure links from the beginning, which also removes what somebody else has put on them.
func (p *Provider) reconfigure(ctx context.Context, open map[*edit]error, links []string, r results) {
	var edits []*edit
	for e := range open {
		edits = append(edits, e)
	}
	if edits = r.step(edits, "reconfigure"); len(edits) == 0 {
		return
	}
	if _, err := p.host.Run(ctx, host.Cmd(append([]string{"networkctl", "reconfigure"}, links...)...)); err != nil {
		r.failed(edits, "reconfigure", err)
	}
	p.sync(ctx)
}

// staleLinks are the links that networkd does not touch by itself: nothing has changed in their files, or it is late. nudged
// keeps how often each was told already.
func staleLinks(open map[*edit]error, t *tree.Tree, view *link.View, since time.Duration, nudged map[string]int) []string {
	var names []string
	for e := range open {
		if e.set == nil {
			continue
		}
		due := 0
		switch {
		case since >= 3*nudge:
			due = 3
		case since >= nudge:
			due = 2
		case e.same:
			due = 1
		}
		name := e.bridge().Name
		if view.Links[name] != nil && nudged[name] < due && t.Renderer(name) != tree.NetworkManager {
			nudged[name] = due
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// unfinished are the edits whose bridges the kernel does not show as declared yet, with what is missing. Those that never
// will be get their error into r at once.
func unfinished(lab string, t *tree.Tree, view *link.View, edits []*edit, r results) map[*edit]error {
	open := map[*edit]error{}
	for _, e := range edits {
		if r[e] != nil {
			continue
		}
		if e.set == nil || e.remove != "" {
			if e.remove != "" && view.Links[e.remove] != nil && mayDelete(t, lab, e.remove) {
				open[e] = &provider.Error{Op: "delete bridge", Addr: e.addr, Err: fmt.Errorf("%s is still there", e.remove)}
			}
		}
		if e.set == nil {
			continue
		}
		own := t.Own(lab).Entry(e.bridge().Name)
		if own == nil || own.Mark.Lab != lab {
			r[e] = &provider.Error{Op: "read back", Addr: e.addr, Err: fmt.Errorf("somebody else has changed %s", pathOf(t, lab))}
			continue
		}
		have := object(t, *own, t.Own(lab).Path, lab, e.bridge(), view)
		details := compare(e.set, &have)
		if have.Aux.(aux).gone {
			open[e] = &provider.Error{Op: "read back", Addr: e.addr, Err: fmt.Errorf("the kernel has no link %s", e.bridge().Name)}
			continue
		}
		if len(details) == 0 {
			continue
		}
		err := errorOf(e.addr, details)
		if slices.ContainsFunc(details, func(d provider.Detail) bool { return d.Why == "" }) {
			open[e] = err
		} else {
			r[e] = err // another file says otherwise: no waiting changes that
		}
	}
	return open
}

// mayDelete reports whether no file of the host speaks of a bridge.
func mayDelete(t *tree.Tree, lab, bridge string) bool {
	return len(t.Others(lab, bridge)) == 0 && t.Own(lab).Entry(bridge) == nil
}

func pathOf(t *tree.Tree, lab string) string {
	if own := t.Own(lab); own != nil {
		return own.Path
	}
	return tree.Base(lab)
}

// mend sets what networkd leaves as it was on an existing bridge, and reports whether it set anything.
func (p *Provider) mend(ctx context.Context, lab string, t *tree.Tree, view *link.View, edits []*edit, r results) bool {
	mended := false
	for _, e := range edits {
		if r[e] != nil {
			continue
		}
		if e.remove != "" && view.Links[e.remove] != nil && view.Links[e.remove].Kind == "bridge" && mayDelete(t, lab, e.remove) {
			// A reload for another lab came between and networkd has made it again.
			p.change(ctx, e, r, "delete "+e.remove, "link", "delete", "dev", e.remove)
			mended = true
		}
		if e.set == nil || t.Renderer(e.bridge().Name) == tree.NetworkManager && !e.same {
			continue
		}
		for _, args := range link.Settings(e.bridge(), &e.before, view) {
			p.change(ctx, e, r, "set "+args[3], args...)
			mended = true
		}
	}
	return mended
}

// setAddresses adds and deletes the addresses that networkd owes for long: 252 forgets IPv6 addresses of a bridge that lost
// its carrier while it was being configured, however often it is told to configure it again. What another file has stays.
func (p *Provider) setAddresses(ctx context.Context, open map[*edit]error, t *tree.Tree, view *link.View, r results) bool {
	set := false
	for e := range open {
		if e.set == nil || view.Links[e.bridge().Name] == nil {
			continue
		}
		name := e.bridge().Name
		filed, _ := tree.Decode(name, t.Merged(name))
		live := &schema.Bridge{Name: name, Addresses: filed.Addresses}
		link.Overlay(live, nil, view)
		for verb, addresses := range map[string][]string{
			"add": lacking(live.Addresses, e.bridge().Addresses), "delete": lacking(filed.Addresses, live.Addresses),
		} {
			for _, address := range addresses {
				p.change(ctx, e, r, verb+" "+address, "address", verb, address, "dev", name)
				set = true
			}
		}
	}
	return set
}

// lacking are the addresses of full that part does not have.
func lacking(part, full []string) []string {
	part = link.CanonicalAll(part)
	return slices.DeleteFunc(link.CanonicalAll(full), func(a string) bool { return slices.Contains(part, a) })
}
