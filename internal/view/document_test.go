package view_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	tfjson "github.com/hashicorp/terraform-json"

	"github.com/labctl/labctl/internal/plan"
	"github.com/labctl/labctl/internal/view"
)

func document(t *testing.T, p *plan.Plan) string {
	t.Helper()
	text, err := json.MarshalIndent(view.NewDocument(p, "1.0", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

// TestDocumentIsReadByTerraformsOwnLibrary reads it with the library that policy tools use.
func TestDocumentIsReadByTerraformsOwnLibrary(t *testing.T) {
	_, _, p := second(t)
	text := document(t, p)
	golden(t, "document.json", text)
	if strings.Contains(text, "hunter2") {
		t.Error("it holds a sensitive value")
	}
	var read tfjson.Plan
	if err := json.Unmarshal([]byte(text), &read); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, c := range read.ResourceChanges {
		got[c.Address] = fmt.Sprint(c.Change.Actions)
	}
	for addr, want := range map[string]tfjson.Actions{
		`bridge.br0`: {tfjson.ActionUpdate}, `vm.nat["a"]`: {tfjson.ActionUpdate}, `vm.nat["b"]`: {tfjson.ActionDelete, tfjson.ActionCreate},
		`vm.nat["a"].guest`: {tfjson.ActionRead}, `vm.client["b"]`: {tfjson.ActionDelete}, `image.micro`: {tfjson.ActionNoop},
		`host.sysctl`: {tfjson.ActionForget},
	} {
		if got[addr] != fmt.Sprint(want) {
			t.Errorf("%s: %s, not %s", addr, got[addr], want)
		}
	}
	at := slices.IndexFunc(read.ResourceChanges, func(c *tfjson.ResourceChange) bool { return c.Address == `vm.nat["b"]` })
	if c := read.ResourceChanges[at]; c.Index != "b" || c.Name != "nat" || c.Type != "vm" || !c.Change.Actions.Replace() {
		t.Errorf("%+v", c)
	}
	if n := len(read.ResourceDrift); n != 1 || read.ResourceDrift[0].Address != "bridge.br0" {
		t.Errorf("%d drifted", n)
	}
	if len(read.PlannedValues.RootModule.Resources) == 0 || read.PriorState == nil {
		t.Error("no values")
	}
}

// TestSavedPlanShowsTheSame: what is shown of a plan from its file is what was shown when it was made.
func TestSavedPlanShowsTheSame(t *testing.T) {
	_, _, p := second(t)
	path := filepath.Join(t.TempDir(), "plan")
	if err := plan.Write(path, p, plan.Source{}, "1.0"); err != nil {
		t.Fatal(err)
	}
	file, err := plan.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := shown(file.Plan), shown(p); got != want {
		t.Errorf("saved:\n%s\nmade:\n%s", got, want)
	}
	var got, want any
	for text, into := range map[string]*any{document(t, file.Plan): &got, document(t, p): &want} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Error("the documents differ")
	}
}
