package plan

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

func sample() *Plan {
	addr := schema.Addr{Kind: "bridge", Name: "br0"}
	want := schema.Resource{Addr: addr, Body: &schema.Bridge{Name: "br0", MTU: 1400}}
	return &Plan{
		Lab: &schema.Lab{Name: "lab", Resources: []schema.Resource{want}},
		Items: []Item{{Change: provider.Change{
			Addr: addr, Action: provider.Update, Want: &want,
			Details: []provider.Detail{{Path: "mtu", Old: 1500, New: 1400, Effect: provider.Live}},
		}}},
		Seen: []Seen{{Addr: addr, Type: "bridge", ID: "br0", Fingerprint: "0123456789ab", Body: &schema.Bridge{Name: "br0", MTU: 1500}}},
	}
}

func TestFileIsPrivateAndReadBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lab.plan")
	if err := Write(path, sample(), Source{Dir: "/lab"}, "1.0"); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	file, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if stale := Compare(file.Plan, sample()); stale != nil {
		t.Errorf("what was read back differs: %v", stale)
	}
	if !file.Plan.Saved || file.Source.Dir != "/lab" || file.NeedsSecrets() {
		t.Errorf("%+v", file)
	}
	if _, is := file.Plan.Lab.Resources[0].Body.(*schema.Bridge); !is {
		t.Errorf("the body is a %T", file.Plan.Lab.Resources[0].Body)
	}
}

// Secret rules and checks stay out of the file and are put back, also where the lab is read from another folder.
func TestSecretRulesAndChecksComeBack(t *testing.T) {
	lab := func(folder string) *schema.Lab {
		set := &schema.Ruleset{Text: "table ip t { } # hunter2", Lines: []schema.Pos{{File: folder + "lab.hcl", Line: 3}}}
		guest := schema.Resource{Addr: schema.Addr{Kind: "vm", Name: "a", Part: "guest"}, Sensitive: []string{"nftables", "nftables.text"}, Body: &schema.Guest{Domain: "a", Ruleset: set}}
		host := schema.Resource{Addr: schema.Addr{Kind: "host", Part: "nftables"}, Sensitive: []string{"text", "table"}, Body: set}
		return &schema.Lab{Name: "lab", Resources: []schema.Resource{host, guest}, Checks: []schema.Check{
			{Addr: schema.Addr{Kind: "check", Name: "open"}},
			{Addr: schema.Addr{Kind: "check", Name: "secret"}, Sensitive: true, Exec: &schema.ExecCheck{Command: []string{"echo", "hunter2"}}},
		}}
	}
	path := filepath.Join(t.TempDir(), "x")
	if err := Write(path, &Plan{Lab: lab("")}, Source{}, "1.0"); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || strings.Contains(string(text), "hunter2") {
		t.Errorf("the file holds the secret, or %v", err)
	}
	file, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Supply(lab("/elsewhere/")); err != nil {
		t.Fatal(err)
	}
	got := file.Plan.Lab
	if len(got.Checks) != 2 || got.Checks[1].Exec.Command[1] != "hunter2" || !strings.Contains(got.Resources[0].Body.(*schema.Ruleset).Text, "hunter2") {
		t.Errorf("what came back: %+v", got)
	}
	other := lab("")
	other.Resources[0].Body.(*schema.Ruleset).Text = "table ip t { } # other"
	if file, err = Read(path); err != nil || file.Supply(other) == nil {
		t.Errorf("another secret is taken for the plan's, %v", err)
	}
}

func TestFileIsUsedOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lab.plan")
	if err := Write(path, sample(), Source{}, "1.0"); err != nil {
		t.Fatal(err)
	}
	file, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Use(path); err != nil {
		t.Fatal(err)
	}
	again, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*File{file, again} {
		if err := f.Use(path); err == nil || !strings.Contains(err.Error(), "it was applied at") {
			t.Errorf("used twice: %v", err)
		}
	}
}

func TestGarbageIsRefused(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	if err := Write(good, sample(), Source{}, "1.0"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	whole := string(text)
	for name, c := range map[string]struct{ text, why string }{
		"empty":         {"", "it is no plan that labctl saved"},
		"binary":        {"PK\x03\x04\x00", "it is no plan that labctl saved"},
		"other JSON":    {`{"format_version":"1.2"}`, "it is no plan that labctl saved"},
		"HCL":           {`lab "x" {}`, "it is no plan that labctl saved"},
		"later format":  {strings.Replace(whole, `"version":1`, `"version":2`, 1), "it has format 2, written by labctl 1.0; this labctl reads format 1"},
		"cut short":     {whole[:len(whole)/2], "it is no plan that labctl saved"},
		"unknown field": {strings.Replace(whole, `"created"`, `"creator":1,"created"`, 1), "it is damaged"},
		"unknown type":  {strings.ReplaceAll(whole, "bridge.br0", "widget.br0"), "it is damaged"},
		"no lab":        {`{"kind":"labctl saved plan","version":1}`, "it is damaged: it names no lab"},
	} {
		path := filepath.Join(dir, "bad")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Read(path)
		if _, is := errors.AsType[*NotAPlanError](err); !is || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Read(filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestPlanWithErrorsIsNotSaved(t *testing.T) {
	p := sample()
	p.Errors = []error{errors.New("unreachable")}
	if err := Write(filepath.Join(t.TempDir(), "x"), p, Source{}, "1.0"); err == nil {
		t.Error("saved")
	}
}

func TestSummary(t *testing.T) {
	p := sample()
	for _, action := range []provider.Action{provider.Create, provider.Replace, provider.Restart, provider.Delete, provider.Forget, provider.Verify, provider.NoOp} {
		p.Items = append(p.Items, Item{Change: provider.Change{Action: action}})
	}
	want := Summary{Add: 2, Change: 2, Live: 1, Restart: 1, Replace: 1, Remove: 2, Forget: 1, Verify: 1}
	if got := p.Summary(); got != want {
		t.Errorf("%+v, not %+v", got, want)
	}
}

// FuzzRead: whatever a file holds, reading it ends in a plan or an error.
func FuzzRead(f *testing.F) {
	path := filepath.Join(f.TempDir(), "seed")
	if err := Write(path, sample(), Source{}, "1.0"); err != nil {
		f.Fatal(err)
	}
	seed, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte(`{"kind":"labctl saved plan","version":1,"plan":{"lab":{"name":"x","resources":[{"address":"vm.a","body":null}]}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "plan")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if file, err := Read(path); err == nil && (file.Plan == nil || file.Plan.Lab == nil) {
			t.Error("no error and no plan")
		}
	})
}
