package guest

import (
	"testing"

	"github.com/labctl/labctl/internal/helper"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// What is ignored has drifted, an apply went by since, and it drifts on: neither what the guest keeps for its next boot nor its
// mark calls for a change.
func TestIgnoredDriftIsNoChange(t *testing.T) {
	guest := func(panic, other, content string) *schema.Guest {
		return &schema.Guest{
			Domain: "lab-a", Hostname: "a", Sysctl: map[string]string{"kernel.panic": panic, "kernel.other": other},
			Files: []schema.File{{Path: "/etc/x", Content: content, Mode: "0644", Owner: "root:root"}},
		}
	}
	addr := schema.Addr{Kind: "vm", Name: "a", Part: "guest"}
	plan := func(keeps, live, declared *schema.Guest, ignore ...string) provider.Change {
		t.Helper()
		ignored := schema.Lifecycle{IgnoreChanges: ignore}
		earlier := schema.Resource{Addr: addr, Lifecycle: ignored, Body: keeps}
		body, err := provider.CarryPaths(addr.Type(), declared, live, ignore) // as the engine does
		if err != nil {
			t.Fatal(err)
		}
		change, err := new(Provider).Plan(&schema.Resource{Addr: addr, Lifecycle: ignored, Body: body}, &provider.Object{
			Addr: addr, Mark: provider.Mark{Lab: "lab", Addr: addr}, Body: live,
			Aux: &aux{keeps: helper.Essence(keeps), marked: markOf("lab", &earlier).String()},
		})
		if err != nil {
			t.Fatal(err)
		}
		return change
	}
	paths := []string{`sysctl["kernel.panic"]`, `file["/etc/x"].content`}
	if c := plan(guest("9", "1", "z"), guest("10", "1", "y"), guest("7", "1", "x"), paths...); c.Action != provider.NoOp {
		t.Errorf("drift of what is ignored is planned: %s, %s, %v", c.Action, c.Why, c.Details)
	}
	if c := plan(guest("9", "2", "z"), guest("9", "1", "z"), guest("7", "1", "x"), paths...); c.Action != provider.Update {
		t.Errorf("that the next boot makes something else is not planned: %s", c.Action)
	}
	if c := plan(guest("9", "1", "z"), guest("7", "1", "x"), guest("7", "1", "x")); c.Action != provider.Update {
		t.Errorf("without anything ignored it is not planned: %s", c.Action)
	}
	if c := plan(guest("9", "2", "z"), guest("3", "3", "q"), guest("7", "1", "x"), "all"); c.Action != provider.NoOp {
		t.Errorf("with all ignored it is planned: %s, %s", c.Action, c.Why)
	}
}
