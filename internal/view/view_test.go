package view_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/engine"
	"github.com/labctl/labctl/internal/plan"
	"github.com/labctl/labctl/internal/view"
	"github.com/labctl/labctl/provider/memory"
	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/config"
)

var update = flag.Bool("update", false, "write what is shown into testdata")

// golden holds text against a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); d != "" {
		t.Errorf("%s (run with -update if the change is meant):\n%s", path, d)
	}
}

// stage is an engine on a system in memory.
func stage() (*engine.Engine, *memory.System) {
	system := new(memory.System)
	p := memory.New(system)
	var bindings []engine.Binding
	for _, typ := range []string{"image", "bridge", "network", "vm", "vm.guest", "host.sysctl", "host.nftables"} {
		bindings = append(bindings, engine.Binding{Type: typ, Provider: p})
	}
	return engine.New(bindings, engine.Options{}), system
}

// frozen is a lab as it was once made of the example holepunch: what is shown of it changes only when this package does.
func frozen(t *testing.T) *schema.Lab {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "lab.json"))
	if err != nil {
		t.Fatal(err)
	}
	l := new(schema.Lab)
	if err := json.Unmarshal(text, l); err != nil {
		t.Fatal(err)
	}
	l.Link()
	return l
}

func shown(p *plan.Plan) string {
	var b bytes.Buffer
	view.New(&b, view.Style{}).Plan(p)
	return b.String()
}

func TestCreation(t *testing.T) {
	e, _ := stage()
	p, err := e.Plan(t.Context(), frozen(t), engine.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "holepunch.txt", shown(p))
}

// TestExamplePlanFitsTwoScreens holds the example itself, as it is now, against what a person reads at once.
func TestExamplePlanFitsTwoScreens(t *testing.T) {
	result, diags := config.Load(filepath.Join("..", "..", "examples", "holepunch"), config.Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	e, _ := stage()
	p, err := e.Plan(t.Context(), result.Lab, engine.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(shown(p), "\n"); lines > 120 {
		t.Errorf("%d lines:\n%s", lines, shown(p))
	}
}

// edit changes the body of one resource of a lab.
func edit[T any](t *testing.T, l *schema.Lab, addr string, change func(*T)) {
	t.Helper()
	for n := range l.Resources {
		if l.Resources[n].Addr.String() == addr {
			change(l.Resources[n].Body.(*T))
			return
		}
	}
	t.Fatalf("no %s", addr)
}

func parse(t *testing.T, text string) schema.Addr {
	t.Helper()
	addr, err := schema.ParseAddr(text)
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// second is holepunch with a change of every sort, planned on the holepunch that is there.
func second(t *testing.T) (*engine.Engine, *memory.System, *plan.Plan) {
	t.Helper()
	e, system := stage()
	first := frozen(t)
	p, err := e.Plan(t.Context(), first, engine.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Apply(t.Context(), p, engine.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	stranger := &schema.Bridge{Name: "br9", MTU: 9000}
	if err := system.Put(memory.Entry{Type: "bridge", ID: "br9", Body: stranger}); err != nil {
		t.Fatal(err)
	}
	if err := system.Change(parse(t, "bridge.br0"), func(b any) { b.(*schema.Bridge).Addresses = []string{"192.168.111.7/24"} }); err != nil {
		t.Fatal(err)
	}
	l := frozen(t)
	edit(t, l, `vm.nat["a"]`, func(d *schema.Domain) { d.Memory *= 2; d.Description = "more room" })
	edit(t, l, `vm.nat["b"]`, func(d *schema.Domain) { d.Image.Key = "micro-other" })
	edit(t, l, `vm.client["a"].guest`, func(g *schema.Guest) {
		g.Ruleset.Text = strings.Replace(g.Ruleset.Text, "tcp dport 22 ", "tcp dport { 22, 80 } ", 1)
		g.Files = []schema.File{{Path: "/etc/key", Content: "hunter2", Mode: "0600"}}
		g.Routes[0].Metric = 5
	})
	l.Resources = slices.DeleteFunc(l.Resources, func(r schema.Resource) bool { return r.Addr.Whole() == parse(t, `vm.client["b"]`) })
	for n := range l.Resources {
		if l.Resources[n].Addr.String() == `vm.client["a"].guest` {
			l.Resources[n].Sensitive = []string{`file["/etc/key"].content`}
		}
		if l.Resources[n].Addr.String() == "bridge.br1" {
			l.Resources[n].Addr.Name = "outer"
		}
	}
	l.Moved = []schema.Moved{{From: parse(t, "bridge.br1"), To: parse(t, "bridge.outer")}}
	l.Resources = append(l.Resources, schema.Resource{Addr: parse(t, "bridge.br9"), Body: &schema.Bridge{Name: "br9"}})
	l.Imports = []schema.Import{{To: parse(t, "bridge.br9"), ID: "br9"}}
	l.Removed = []schema.Removed{{From: parse(t, "host.sysctl")}}
	l.Resources = slices.DeleteFunc(l.Resources, func(r schema.Resource) bool { return r.Addr.String() == "host.sysctl" })
	p, err = e.Plan(t.Context(), l, engine.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return e, system, p
}

func TestEverySortOfChange(t *testing.T) {
	_, _, p := second(t)
	text := shown(p)
	golden(t, "changes.txt", text)
	if strings.Contains(text, "hunter2") {
		t.Error("a sensitive value is shown")
	}
	var b bytes.Buffer
	view.New(&b, view.Style{Color: true}).Plan(p)
	golden(t, "changes-colored.txt", b.String())
	if plain := regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(b.String(), ""); plain != text {
		t.Error("without its colours it is another text")
	}
}

// TestPlansFitTheirTerminal: no terminal breaks a line in the middle of a word, and nothing but breaks is lost by it.
func TestPlansFitTheirTerminal(t *testing.T) {
	e, _ := stage()
	creation, err := e.Plan(t.Context(), frozen(t), engine.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, _, changes := second(t)
	for _, p := range []*plan.Plan{creation, changes} {
		for _, width := range []int{60, 80, 120} {
			var b bytes.Buffer
			view.New(&b, view.Style{Terminal: true, Width: width}).Plan(p)
			for line := range strings.Lines(b.String()) {
				if n := len([]rune(strings.TrimRight(line, "\n"))); n > width {
					t.Errorf("%d columns of %d: %s", n, width, line)
				}
			}
			if !slices.Equal(strings.Fields(b.String()), strings.Fields(shown(p))) {
				t.Errorf("with %d columns it is another text:\n%s", width, b.String())
			}
		}
	}
}

func TestNoChanges(t *testing.T) {
	e, _ := stage()
	p, err := e.Plan(t.Context(), &schema.Lab{Name: "none"}, engine.PlanOptions{})
	if err != nil || shown(p) != "No changes. The live systems are as the lab declares.\n" {
		t.Errorf("%q, %v", shown(p), err)
	}
	p, err = e.Destroy(t.Context(), "none")
	if err != nil || shown(p) != "No changes. Nothing here is marked as lab \"none\"'s.\n" {
		t.Errorf("%q, %v", shown(p), err)
	}
}

func TestDestroyPlan(t *testing.T) {
	e, _, _ := second(t)
	p, err := e.Destroy(t.Context(), "holepunch")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "destroy.txt", shown(p))
}

// A path that is no plain word is spelled in two ways; what it leads to is hidden in both.
func TestNoSensitiveValueOfACreationIsShown(t *testing.T) {
	e, _ := stage()
	l := frozen(t)
	edit(t, l, `vm.client["a"].guest`, func(g *schema.Guest) {
		g.Files = []schema.File{{Path: "/etc/key", Content: "hunter2", Mode: "0600"}, {Path: "plain", Content: "hunter2"}}
	})
	for n := range l.Resources {
		if l.Resources[n].Addr.String() == `vm.client["a"].guest` {
			l.Resources[n].Sensitive = []string{`file["/etc/key"].content`, "file.plain.content"}
		}
	}
	p, err := e.Plan(t.Context(), l, engine.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	text := shown(p)
	if strings.Contains(text, "hunter2") || strings.Count(text, "(sensitive value)") != 2 {
		t.Errorf("it shows\n%s", text)
	}
}
