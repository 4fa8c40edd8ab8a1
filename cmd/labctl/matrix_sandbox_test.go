//go:build sandbox

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestInsideMatrix takes every argument of what is in a machine through its life on a real guest: all are given, changed and
// taken away at once. The plan has to name each, live; the machine has to run on; and the plan after has to be empty.
func TestInsideMatrix(t *testing.T) {
	c := newCrash(t)
	before := leftovers(t)
	boot, began := "", time.Now()
	for i, stage := range stages() {
		if err := os.WriteFile(filepath.Join(c.dir, "lab.hcl"), []byte(insideLab(stage)), 0o644); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			code, plan := c.labctl(-1, "plan", "-json")
			if code != 0 {
				t.Fatalf("stage %d: %s", i, plan)
			}
			for _, row := range insideMatrix() {
				same := i == 2 && row.give == row.change || i == 3 && row.left
				if !same && !strings.Contains(plan, `"path":"`+row.paths) {
					t.Errorf("stage %d: the plan says nothing of %s", i, row.paths)
				}
			}
			if !strings.Contains(plan, `"change":1,"live":1,"restart":0,"replace":0`) {
				t.Errorf("stage %d: not all of it is live", i)
			}
			if t.Failed() {
				t.Log(plan)
			}
		}
		for _, step := range [][]string{{"apply", "-auto-approve"}, {"plan", "-detailed-exitcode"}} {
			if code, out := c.labctl(-1, step...); code != 0 {
				t.Fatalf("stage %d, %s: exit code %d\n%s", i, step[0], code, out)
			}
		}
		_, now := c.start("labctl", nil, "-chdir="+c.dir, "exec", "a", "--", "cat", "/proc/sys/kernel/random/boot_id")
		if boot == "" {
			boot = now
		}
		if now != boot {
			t.Errorf("stage %d: the machine was started anew: %s, %s", i, boot, now)
		}
		t.Logf("stage %d is done after %.1f s", i, time.Since(began).Seconds())
	}
	c.want(0, "destroy", "-auto-approve")
	if after := leftovers(t); after != before {
		t.Errorf("the host was\n%s\nand is\n%s", before, after)
	}
}
