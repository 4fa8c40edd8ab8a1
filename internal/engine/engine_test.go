package engine_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/labctl/labctl/internal/engine"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/memory"
	"github.com/labctl/labctl/schema"
)

func TestCreateNoOpDestroy(t *testing.T) {
	r := newRig(t)
	p := r.plan(small(), engine.PlanOptions{})
	r.expect(p, "create image.micro", "create bridge.br0", "create bridge.br1", "create vm.a", "create vm.a.guest", "create vm.b", "create vm.b.guest")
	report := r.apply(small(), engine.PlanOptions{})
	before(t, report, "done create image.micro", "done create vm.a")
	before(t, report, "done create bridge.br0", "done create vm.a")
	before(t, report, "done create vm.a", "done create vm.a.guest")
	if again := r.plan(small(), engine.PlanOptions{}); !again.Empty() {
		t.Errorf("not empty: %s", says(again))
	}
	destroy, err := r.engine.Destroy(t.Context(), "lab") // its bare name: the declaration is lost
	if err != nil {
		t.Fatal(err)
	}
	r.expect(destroy, "delete image.micro", "delete bridge.br0", "delete bridge.br1", "delete vm.a", "delete vm.b")
	report, err = r.engine.Apply(t.Context(), destroy, engine.ApplyOptions{})
	if err != nil || !report.Converged {
		t.Fatalf("%v %+v", err, report)
	}
	before(t, report, "done delete vm.a", "done delete bridge.br0")
	before(t, report, "done delete vm.b", "done delete image.micro")
	if left := r.system.Entries(); len(left) > 0 {
		t.Errorf("left: %+v", left)
	}
}

func TestDriftIsNamedAndMended(t *testing.T) {
	r := newRig(t)
	r.apply(small(), engine.PlanOptions{})
	check(t, r.system.Change(at("bridge.br0"), func(b any) { b.(*schema.Bridge).Addresses = nil }))
	check(t, r.system.Change(at("vm.a.guest"), func(b any) { b.(*schema.Guest).Interfaces[0].Addresses = nil }))
	check(t, r.system.Lose(at("bridge.br1")))
	p := r.plan(small(), engine.PlanOptions{})
	r.expect(p, "update bridge.br0", "update vm.a.guest", "create bridge.br1", "verify vm.b")
	if d := detail(t, p, "bridge.br0", "addresses"); d.Old != nil || d.New == nil || d.Effect != provider.Live {
		t.Errorf("%+v", d)
	}
	if item := p.Item(at("bridge.br0")); !item.Drift {
		t.Error("the declaration is the one last applied, so this is drift")
	}
	drift := r.plan(small(), engine.PlanOptions{RefreshOnly: true})
	r.expect(drift, "update bridge.br0", "update vm.a.guest", "create bridge.br1")
	if _, err := r.engine.Apply(t.Context(), drift, engine.ApplyOptions{}); err == nil {
		t.Error("a refresh-only plan was applied")
	}
	r.apply(small(), engine.PlanOptions{})

	changed := r.plan(with(small(), "bridge.br0", func(b *schema.Bridge) { b.MTU = 1400 }), engine.PlanOptions{RefreshOnly: true})
	r.expect(changed) // another declaration is no drift
}

func TestRestartAndReplaceCarryGuestsAlong(t *testing.T) {
	r := newRig(t)
	r.apply(small(), engine.PlanOptions{})
	more := with(small(), "vm.a", func(d *schema.Domain) { d.Memory *= 2 })
	p := r.plan(more, engine.PlanOptions{})
	r.expect(p, "restart vm.a", "verify vm.a.guest")
	r.apply(more, engine.PlanOptions{})

	other := with(more, "vm.a", func(d *schema.Domain) { d.Image.Key = "other" })
	r.expect(r.plan(other, engine.PlanOptions{}), "replace vm.a", "verify vm.a.guest")
	report := r.apply(other, engine.PlanOptions{})
	before(t, report, "done delete vm.a", "done create vm.a")
	before(t, report, "done create vm.a", "done verify vm.a.guest")

	asked := engine.PlanOptions{Replace: ats("bridge.br0")}
	p = r.plan(other, asked)
	r.expect(p, "replace bridge.br0", "verify vm.a")
	if why := p.Item(at("vm.a")).Why; why != "bridge.br0 is replaced first" {
		t.Errorf("why: %q", why)
	}
	report = r.apply(other, asked)
	before(t, report, "done create bridge.br0", "done verify vm.a")
}

func TestReplaceTriggeredBy(t *testing.T) {
	r := newRig(t)
	on := func() *schema.Lab {
		l := lifecycle(small(), "vm.a", schema.Lifecycle{ReplaceOn: ats("bridge.br0")})
		return lifecycle(l, "vm.b", schema.Lifecycle{ReplaceOn: ats("vm.a")})
	}
	r.apply(on(), engine.PlanOptions{})
	p := r.plan(with(on(), "bridge.br0", func(b *schema.Bridge) { b.MTU = 1400 }), engine.PlanOptions{})
	r.expect(p, "update bridge.br0", "replace vm.a", "replace vm.b", "verify vm.a.guest", "verify vm.b.guest")
	if why := p.Item(at("vm.b")).Why; why != "replace_triggered_by: vm.a changes" {
		t.Errorf("why: %q", why)
	}
}

func TestPreventDestroyHoldsInTheMark(t *testing.T) {
	r := newRig(t)
	kept := lifecycle(small(), "bridge.br1", schema.Lifecycle{PreventDestroy: true})
	r.apply(kept, engine.PlanOptions{})
	for name, p := range map[string]func() error{
		"destroy": func() error { _, err := r.engine.Destroy(t.Context(), "lab"); return err },
		"block deleted": func() error {
			_, err := r.engine.Plan(t.Context(), without(small(), "bridge.br1", "vm.b"), engine.PlanOptions{})
			return err
		},
		"declared": func() error {
			_, err := r.engine.Plan(t.Context(), kept, engine.PlanOptions{Destroy: true})
			return err
		},
		"replace": func() error {
			_, err := r.engine.Plan(t.Context(), kept, engine.PlanOptions{Replace: ats("bridge.br1")})
			return err
		},
		"declared as not": func() error { _, err := r.engine.Plan(t.Context(), small(), engine.PlanOptions{}); return err },
	} {
		err := p()
		if name == "declared as not" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "bridge.br1: ") || !strings.Contains(err.Error(), "prevent_destroy") {
			t.Errorf("%s: %v", name, err)
		}
	}
	p := r.plan(small(), engine.PlanOptions{})
	r.expect(p, "update bridge.br1")
	detail(t, p, "bridge.br1", "lifecycle.prevent_destroy")
	r.apply(small(), engine.PlanOptions{})
	r.apply(small(), engine.PlanOptions{Destroy: true})
}

func TestIgnoreChanges(t *testing.T) {
	r := newRig(t)
	r.apply(small(), engine.PlanOptions{})
	check(t, r.system.Change(at("vm.a"), func(b any) {
		d := b.(*schema.Domain)
		d.Memory, d.VCPUs, d.Interfaces[0].Link = 1<<30, 4, "down"
		d.Disks = append(d.Disks, schema.Disk{Name: "data", Size: 1 << 30})
	}))
	ignoring := func(paths ...string) *schema.Lab {
		return lifecycle(small(), "vm.a", schema.Lifecycle{IgnoreChanges: paths})
	}
	p := r.plan(ignoring("memory", "interface.eth0.link"), engine.PlanOptions{})
	r.expect(p, "update vm.a")
	if got := len(p.Item(at("vm.a")).Details); got != 2 {
		t.Errorf("%d details: %+v", got, p.Item(at("vm.a")).Details)
	}
	r.expect(r.plan(ignoring("memory", "vcpus", `interface["eth0"]`, "disk.data"), engine.PlanOptions{}))
	r.expect(r.plan(ignoring("all"), engine.PlanOptions{}))
	r.apply(ignoring("memory", "disk"), engine.PlanOptions{})
	for _, e := range r.system.Entries() {
		if d, ok := e.Body.(*schema.Domain); ok && e.Mark.Addr == at("vm.a") && (d.Memory != 1<<30 || len(d.Disks) != 1 || d.VCPUs != 1) {
			t.Errorf("ignored and yet changed, or not ignored and kept: %+v", d)
		}
	}
}

func TestMoved(t *testing.T) {
	r := newRig(t)
	r.apply(small(), engine.PlanOptions{})
	renamed := without(small(), "vm.a")
	renamed.Resources = append(renamed.Resources, vm(`new["x"]`, "br0", func(d *schema.Domain, g *schema.Guest) {
		d.Name, g.Domain, g.Hostname = "lab-a", "lab-a", "lab-a"
		d.Interfaces[0].MAC = schema.InterfaceMAC("lab", at("vm.a"), "eth0")
		g.Interfaces[0].MAC = d.Interfaces[0].MAC
	})...)
	r.expect(r.plan(renamed, engine.PlanOptions{}), "delete vm.a", `create vm.new["x"]`, `create vm.new["x"].guest`)
	renamed.Moved = []schema.Moved{{From: at("vm.a"), To: at(`vm.new["x"]`)}}
	p := r.plan(renamed, engine.PlanOptions{})
	r.expect(p, `update vm.new["x"]`, `update vm.new["x"].guest`)
	if item := p.Item(at(`vm.new["x"]`)); item.From != at("vm.a") || p.Summary().Move != 2 {
		t.Errorf("%+v", item)
	}
	r.apply(renamed, engine.PlanOptions{})
	renamed.Moved = nil
	r.expect(r.plan(renamed, engine.PlanOptions{}))
}

func TestUndeclaredRenameFreesTheNameFirst(t *testing.T) {
	r := newRig(t)
	r.apply(lab(bridge("br0")), engine.PlanOptions{})
	other := bridge("other")
	other.Body.(*schema.Bridge).Name = "br0"
	p := r.plan(lab(other), engine.PlanOptions{})
	r.expect(p, "delete bridge.br0", "create bridge.other")
	report := r.apply(lab(other), engine.PlanOptions{})
	before(t, report, "done delete bridge.br0", "done create bridge.other")
}

func TestDependentLeavesBeforeTheDeletion(t *testing.T) {
	r := newRig(t)
	r.apply(small(), engine.PlanOptions{})
	moved := without(small(), "bridge.br1", "vm.b")
	moved.Resources = append(moved.Resources, vm("b", "br0")...)
	report := r.apply(moved, engine.PlanOptions{})
	before(t, report, "done update vm.b", "done delete bridge.br1")
}

func TestRemovedLetsGo(t *testing.T) {
	r := newRig(t)
	r.apply(small(), engine.PlanOptions{})
	l := without(small(), "vm.b", "bridge.br1")
	l.Removed = []schema.Removed{{From: at("vm.b")}, {From: at("bridge.br1"), Destroy: true}}
	r.expect(r.plan(l, engine.PlanOptions{}), "forget vm.b", "delete bridge.br1")
	r.apply(l, engine.PlanOptions{})
	for _, e := range r.system.Entries() {
		if e.ID == "lab-b" && e.Type == "vm" && e.Mark.Lab == "" {
			return
		}
	}
	t.Error("what was let go of is gone, or still marked")
}

func TestForeignIsRefusedOrImported(t *testing.T) {
	r := newRig(t)
	body := small().Resources[1].Body.(*schema.Bridge)
	body.MTU = 9000
	check(t, r.system.Put(memory.Entry{Type: "bridge", ID: "br0", Body: body}))
	check(t, r.system.Put(memory.Entry{Type: "bridge", ID: "br1", Mark: provider.Mark{Lab: "their", Addr: at("bridge.x"), Version: 1}, Body: body}))
	p, err := r.engine.Plan(t.Context(), small(), engine.PlanOptions{})
	if !errors.Is(err, provider.ErrForeign) || len(p.Errors) != 2 {
		t.Fatalf("%v", err)
	}
	if text := err.Error(); !strings.Contains(text, `bridge.br1: plan: "br1" is there already and is lab "their"'s, as bridge.x`) {
		t.Errorf("%s", text)
	}
	if _, err := r.engine.Apply(t.Context(), p, engine.ApplyOptions{}); err == nil {
		t.Error("a plan with errors was applied")
	}
	l := lab(bridge("br0"))
	l.Imports = []schema.Import{{To: at("bridge.br0"), ID: "br0"}}
	p = r.plan(l, engine.PlanOptions{})
	r.expect(p, "update bridge.br0")
	if d := detail(t, p, "bridge.br0", "mtu"); d.New != nil || p.Summary().Import != 1 {
		t.Errorf("%+v", d)
	}
	r.apply(l, engine.PlanOptions{})
	r.expect(r.plan(l, engine.PlanOptions{})) // an import that is done asks for nothing

	for id, to := range map[string]string{"nothing": "bridge.br9", "br1": "bridge.br1"} {
		l := lab(bridge(at(to).Name))
		l.Imports = []schema.Import{{To: at(to), ID: id}}
		if _, err := r.engine.Plan(t.Context(), l, engine.PlanOptions{}); err == nil {
			t.Errorf("import of %s", id)
		}
	}
}

func TestUnreachableIsNeverAbsent(t *testing.T) {
	r := newRig(t)
	r.apply(small(), engine.PlanOptions{})
	r.provider.Down = func(addr schema.Addr) error {
		if addr == at("vm.a.guest") {
			return errors.New("the agent does not answer")
		}
		return nil
	}
	p, err := r.engine.Plan(t.Context(), with(small(), "bridge.br0", func(b *schema.Bridge) { b.MTU = 1400 }), engine.PlanOptions{})
	if !errors.Is(err, provider.ErrUnreachable) || len(p.Errors) != 1 || len(p.Unplanned) != 1 {
		t.Fatalf("%v, %v", err, p.Unplanned)
	}
	r.expect(p, "update bridge.br0")
	r.expect(r.plan(small(), engine.PlanOptions{Excludes: ats("vm.a.guest")}))
	restart := with(small(), "vm.a", func(d *schema.Domain) { d.Memory *= 2 })
	r.expect(r.plan(restart, engine.PlanOptions{}), "restart vm.a", "verify vm.a.guest") // it is read after the restart

	r.provider.Down = func(schema.Addr) error { return errors.New("no route to host") }
	p, err = r.engine.Plan(t.Context(), small(), engine.PlanOptions{})
	if !errors.Is(err, provider.ErrUnreachable) || len(p.Errors) != 1 || len(p.Unplanned) != 7 || !p.Empty() {
		t.Errorf("%v: %d errors, %d unplanned, %s", err, len(p.Errors), len(p.Unplanned), says(p))
	}
	if _, err := r.engine.Destroy(t.Context(), "lab"); !errors.Is(err, provider.ErrUnreachable) {
		t.Errorf("destroy of what cannot be reached: %v", err)
	}
}

func TestWhatCannotBeReadCanBeLeftOut(t *testing.T) {
	rules, bridges := memory.New(new(memory.System)), memory.New(new(memory.System))
	rules.Down = func(schema.Addr) error { return errors.New("nft is gone") }
	e := engine.New([]engine.Binding{
		{Type: "host.nftables", Provider: rules}, {Type: "bridge", Provider: bridges},
	}, engine.Options{})
	l := lab(bridge("br0"), schema.Resource{Addr: at("host.nftables"), Body: &schema.Ruleset{Text: "table ip x {\n}\n"}})
	if _, err := e.Plan(t.Context(), l, engine.PlanOptions{}); !errors.Is(err, provider.ErrUnreachable) {
		t.Errorf("%v", err)
	}
	for _, opts := range []engine.PlanOptions{
		{Excludes: ats("host.nftables")}, {Targets: ats("bridge.br0")}, {Destroy: true, Excludes: ats("host.nftables")},
	} {
		p, err := e.Plan(t.Context(), l, opts)
		if err != nil || len(p.Unplanned) > 0 {
			t.Errorf("%+v: %v, %v", opts, err, p.Unplanned)
		}
	}
}

func TestTargetsAndExcludes(t *testing.T) {
	r := newRig(t)
	r.expect(r.plan(small(), engine.PlanOptions{Targets: ats("vm.a")}),
		"create image.micro", "create bridge.br0", "create vm.a", "create vm.a.guest")
	r.expect(r.plan(small(), engine.PlanOptions{Excludes: ats("bridge.br0")}),
		"create image.micro", "create bridge.br1", "create vm.b", "create vm.b.guest")
	r.apply(small(), engine.PlanOptions{})
	r.expect(r.plan(small(), engine.PlanOptions{Destroy: true, Targets: ats("bridge.br0")}), "delete vm.a", "delete bridge.br0")
	r.expect(r.plan(small(), engine.PlanOptions{Destroy: true, Excludes: ats("vm.a")}), "delete vm.b", "delete bridge.br1")
	r.apply(small(), engine.PlanOptions{Destroy: true, Targets: ats("bridge.br0")})
	r.expect(r.plan(small(), engine.PlanOptions{}), "create bridge.br0", "create vm.a", "create vm.a.guest")
}

func TestOptionsThatNameNothingAreRefused(t *testing.T) {
	r := newRig(t)
	for flag, opts := range map[string]engine.PlanOptions{
		"-target": {Targets: ats("vm.typo")}, "-exclude": {Excludes: ats("vm.typo")}, "-replace": {Replace: ats("vm.typo")},
	} {
		_, err := r.engine.Plan(t.Context(), small(), opts)
		if err == nil || err.Error() != flag+" vm.typo names nothing that is declared or marked as the lab's" {
			t.Errorf("%v", err)
		}
	}
}

func TestCheckRefusesOnlyWhatChanges(t *testing.T) {
	r := newRig(t)
	r.apply(small(), engine.PlanOptions{})
	r.provider.Refuse = func(w schema.Resource) error {
		if b, ok := w.Body.(*schema.Bridge); ok && (b.MTU > 9000 || b.Name == "br1") {
			return errors.New("too big")
		}
		return nil
	}
	_, err := r.engine.Plan(t.Context(), with(small(), "bridge.br0", func(b *schema.Bridge) { b.MTU = 65536 }), engine.PlanOptions{})
	if err == nil || err.Error() != "bridge.br0: check: too big" {
		t.Errorf("%v", err)
	}
}

func TestCycleIsAnError(t *testing.T) {
	r := newRig(t)
	a, b := bridge("a"), bridge("b")
	a.Deps, b.Deps = ats("bridge.b"), ats("bridge.a")
	_, err := r.engine.Plan(t.Context(), lab(a, b), engine.PlanOptions{})
	if err == nil || !strings.Contains(err.Error(), "bridge.a → bridge.b → bridge.a") {
		t.Errorf("%v", err)
	}
}

func TestMachineThatCannotBePlannedIsOneError(t *testing.T) {
	r := newRig(t)
	check(t, r.system.Put(memory.Entry{Type: "vm", ID: "lab-a", Body: &schema.Domain{Name: "lab-a"}}))
	p, err := r.engine.Plan(t.Context(), small(), engine.PlanOptions{})
	if !errors.Is(err, provider.ErrForeign) || len(p.Errors) != 1 {
		t.Errorf("%v", err)
	}
	if p.Item(at("vm.b.guest")) == nil {
		t.Errorf("the rest is not planned: %v", says(p))
	}
}

func TestMarksThatContradictDoNotStopADestroy(t *testing.T) {
	r := newRig(t)
	a, b := bridge("a"), bridge("b")
	a.Deps = ats("bridge.b")
	r.apply(lab(a, b), engine.PlanOptions{})
	entries := r.system.Entries()
	for _, e := range entries {
		if e.ID == "b" {
			e.Mark.Deps = ats("bridge.a")
			check(t, r.system.Put(e))
		}
	}
	p, err := r.engine.Destroy(t.Context(), "lab")
	if err != nil {
		t.Fatal(err)
	}
	if report, err := r.engine.Apply(t.Context(), p, engine.ApplyOptions{}); err != nil || !report.Converged {
		t.Errorf("%v", err)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
