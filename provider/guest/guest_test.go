package guest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/helper"
	"github.com/labctl/labctl/internal/nft"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

func TestNoMachineIsCreate(t *testing.T) {
	p, _, want := setup(t, func(string, *schema.Guest) *machine { return nil })
	if change, have := read(t, p, want); have != nil || change.Action != provider.Create {
		t.Errorf("%+v, %+v", change, have)
	}
}

func TestGuestMadeByItsSeedCostsOneCallToMark(t *testing.T) {
	p, m, want := setup(t, newMachine)
	err := p.Apply(t.Context(), "lab", provider.Change{Addr: want.Addr, Action: provider.Create, Want: &want})
	if err != nil {
		t.Fatal(err)
	}
	if len(m.execs) != 1 {
		t.Errorf("started %q", m.execs)
	}
	mark, ok := provider.ParseMark(m.mark)
	if !ok || mark.Lab != "lab" || mark.Addr != want.Addr {
		t.Errorf("mark %q", m.mark)
	}
	change, have := read(t, p, want)
	if change.Action != provider.NoOp || len(change.Details) > 0 {
		t.Errorf("%+v", change)
	}
	if !have.Owned("lab") || have.ID != "lab-nat-a" {
		t.Errorf("%+v", have)
	}
	if diff := cmp.Diff(want.Body, have.Body); diff != "" {
		t.Error(diff)
	}
}

func TestUnmarkedGuestIsMarked(t *testing.T) {
	p, _, want := setup(t, newMachine)
	if change, _ := read(t, p, want); change.Action != provider.Update || len(change.Details) > 0 || change.Why == "" {
		t.Errorf("%+v", change)
	}
}

func TestMovedLineOfARuleIsNoChange(t *testing.T) {
	p, _, want := setup(t, newMachine)
	if err := p.Apply(t.Context(), "lab", provider.Change{Addr: want.Addr, Action: provider.Create, Want: &want}); err != nil {
		t.Fatal(err)
	}
	moved := declared()
	moved.Body.(*schema.Guest).Ruleset.Lines[0].Line = 99
	moved.Body.(*schema.Guest).AgentTimeout = 3
	if change, _ := read(t, p, moved); change.Action != provider.NoOp {
		t.Errorf("%+v", change)
	}
}

func TestDriftIsShownByPathAndMended(t *testing.T) {
	p, m, want := setup(t, newMachine)
	if err := p.Apply(t.Context(), "lab", provider.Change{Addr: want.Addr, Action: provider.Create, Want: &want}); err != nil {
		t.Fatal(err)
	}
	m.live.Interfaces = []schema.GuestInterface{{Name: "eth0", MAC: "52:54:00:00:00:01", Addresses: []string{"192.168.111.9/24"}, ConnectedRoute: true}}
	m.live.Routes, m.live.Forwarding = nil, false
	m.live.Ruleset = &schema.Ruleset{Text: "table inet filter …"}
	m.rules = []nft.Difference{
		{Table: "inet filter", Chain: "input", Kind: "rule", Old: "tcp dport 9 drop"},
		{Table: "inet filter", Chain: "input", Kind: "rule", New: "tcp dport 22 accept"},
	}
	change, have := read(t, p, want)
	if change.Action != provider.Update {
		t.Fatalf("%+v", change)
	}
	if have.Mark.Fingerprint != provider.Fingerprint(want.Body) {
		t.Errorf("the mark does not say that it is the guest that moved and not the declaration: %+v", have.Mark)
	}
	other := declared()
	other.Body.(*schema.Guest).Hostname = "other"
	if _, have := read(t, p, other); have.Mark.Fingerprint == provider.Fingerprint(other.Body) {
		t.Errorf("the mark says that the declaration is still the same: %+v", have.Mark)
	}
	got := map[string][2]any{}
	for _, d := range change.Details {
		if d.Effect != provider.Live {
			t.Errorf("%s is %q", d.Path, d.Effect)
		}
		if d.Old != nil {
			got["- "+d.Path] = [2]any{d.Old}
		}
		if d.New != nil {
			got["+ "+d.Path] = [2]any{d.New}
		}
	}
	for _, path := range []string{
		"- interface.eth0.addresses", "+ interface.eth0.addresses", "+ route.default", "- forwarding", "+ forwarding",
		`- nftables["inet filter"].input.rule`, `+ nftables["inet filter"].input.rule`,
	} {
		if _, ok := got[path]; !ok {
			t.Errorf("%s is not told", path)
		}
		delete(got, path)
	}
	if len(got) > 0 {
		t.Errorf("told too much: %v", got)
	}
	if err := p.Apply(t.Context(), "lab", change); err != nil {
		t.Fatal(err)
	}
	if change, _ := read(t, p, want); change.Action != provider.NoOp {
		t.Errorf("after mending: %+v", change)
	}
}

func TestWhatStaysDifferentIsAnError(t *testing.T) {
	p, m, want := setup(t, newMachine)
	m.live.Hostname, m.stubborn = "other", true
	err := p.Apply(t.Context(), "lab", provider.Change{Addr: want.Addr, Action: provider.Update, Want: &want})
	if err == nil || !strings.Contains(err.Error(), "hostname is still other, not nat-a") {
		t.Errorf("%v", err)
	}
}

func TestMachineThatIsOffIsReadLater(t *testing.T) {
	p, m, want := setup(t, newMachine)
	m.off = true
	if change, _ := read(t, p, want); change.Action != provider.Verify {
		t.Errorf("%+v", change)
	}
	if err := p.Apply(t.Context(), "lab", provider.Change{Addr: want.Addr, Action: provider.Verify, Want: &want}); err != nil || len(m.execs) > 0 {
		t.Errorf("%v, started %q", err, m.execs)
	}
}

func TestSilentGuestIsUnreachableAndNotAbsent(t *testing.T) {
	p, m, want := setup(t, newMachine)
	m.deaf = true
	want.Body.(*schema.Guest).AgentTimeout = 0.05
	objects, err := p.Read(t.Context(), "lab", []schema.Resource{want})
	told, ok := errors.AsType[*provider.Error](err)
	if len(objects) > 0 || !ok || !errors.Is(err, provider.ErrUnreachable) {
		t.Fatalf("%+v, %v", objects, err)
	}
	if told.Addr != want.Addr || told.Detail != "last words of lab-nat-a" || told.Hint == "" {
		t.Errorf("%+v", told)
	}
}

func TestHelperIsBroughtOnApplyAndNotOnRead(t *testing.T) {
	p, m, want := setup(t, newMachine)
	m.programs = map[string]string{}
	change, _ := read(t, p, want)
	if change.Action != provider.Update || len(m.files) > 0 {
		t.Fatalf("%+v, wrote %d files", change, len(m.files))
	}
	if err := p.Apply(t.Context(), "lab", change); err != nil {
		t.Fatal(err)
	}
	if len(m.files[helper.UploadPath]) == 0 || m.started("labctl-guest") == 0 {
		t.Errorf("no helper was brought: %q", m.execs)
	}
	if change, _ := read(t, p, want); change.Action != provider.NoOp {
		t.Errorf("%+v", change)
	}
}

func TestOutdatedHelperOfTheLabIsRenewedOnRead(t *testing.T) {
	p, m, want := setup(t, newMachine)
	if err := p.Apply(t.Context(), "lab", provider.Change{Addr: want.Addr, Action: provider.Create, Want: &want}); err != nil {
		t.Fatal(err)
	}
	m.programs[helper.Name] = "an older build"
	if change, _ := read(t, p, want); change.Action != provider.NoOp {
		t.Errorf("%+v", change)
	}
	if len(m.files[helper.UploadPath]) == 0 {
		t.Error("it was not renewed")
	}
}

func TestRefusedRuleIsShownAtItsLine(t *testing.T) {
	p, m, want := setup(t, newMachine)
	m.problems = []helper.Problem{{Code: helper.Refused, Path: "nftables", Message: "…", Lines: []nft.LineError{{Line: 1, Column: 3, Message: "syntax error"}}}}
	objects, err := p.Read(t.Context(), "lab", []schema.Resource{want})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Plan(&want, &objects[0])
	told, ok := errors.AsType[*provider.Error](err)
	if !ok || told.Pos.Line != 7 || told.Path != "nftables" || !strings.Contains(told.Error(), "nft: syntax error") {
		t.Errorf("%+v", err)
	}
	err = p.Apply(t.Context(), "lab", provider.Change{Addr: want.Addr, Action: provider.Update, Want: &want})
	if told, ok := errors.AsType[*provider.Error](err); !ok || told.Pos.Line != 7 {
		t.Errorf("%+v", err)
	}
}

func TestFirstBootOnlyAttributesAreNoDrift(t *testing.T) {
	p, m, want := setup(t, newMachine)
	m.first = &helper.FirstBoot{Packages: []string{"curl", "vim"}}
	if err := p.Apply(t.Context(), "lab", provider.Change{Addr: want.Addr, Action: provider.Create, Want: &want}); err != nil {
		t.Fatal(err)
	}
	change, _ := read(t, p, want)
	if change.Action != provider.NoOp || !strings.Contains(change.Why, "packages changed") {
		t.Errorf("%+v", change)
	}
}

func TestFailedFirstBootIsTold(t *testing.T) {
	p, m, want := setup(t, newMachine)
	m.first = &helper.FirstBoot{Failed: "package-update-upgrade-install"}
	if err := p.Apply(t.Context(), "lab", provider.Change{Addr: want.Addr, Action: provider.Create, Want: &want}); err != nil {
		t.Fatal(err)
	}
	change, _ := read(t, p, want)
	if change.Action != provider.NoOp || !strings.Contains(change.Why, "package-update-upgrade-install") || !strings.Contains(change.Why, "replace the machine") {
		t.Errorf("%+v", change)
	}
}

func TestGuestGoesWithItsMachine(t *testing.T) {
	p, m, want := setup(t, newMachine)
	_, have := read(t, p, want)
	m.execs = nil
	change, err := p.Plan(nil, have)
	if err != nil || change.Action != provider.Delete {
		t.Fatalf("%+v, %v", change, err)
	}
	if err := p.Apply(t.Context(), "lab", change); err != nil || len(m.execs) > 0 {
		t.Errorf("%v, started %q", err, m.execs)
	}
}

func TestStepsCanStopAnApply(t *testing.T) {
	p, m, want := setup(t, newMachine)
	stop := errors.New("stop")
	var heard []string
	ctx := provider.WithSteps(t.Context(), func(stage string) error {
		heard = append(heard, stage)
		if stage == "converge" {
			return stop
		}
		return nil
	})
	err := p.Apply(ctx, "lab", provider.Change{Addr: want.Addr, Action: provider.Create, Want: &want})
	if !errors.Is(err, stop) || len(m.execs) > 0 || len(heard) != 2 {
		t.Errorf("%v after %q, started %q", err, heard, m.execs)
	}
}
