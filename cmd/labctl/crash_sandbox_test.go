//go:build sandbox

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// crashLab has one of everything that a host carries: a bridge, the host's own rules and settings, and a machine with its
// guest. The variable changes each of them.
const crashLab = `
lab "crash" {}
variable "second" {
  type    = bool
  default = false
}
variable "running" {
  type    = bool
  default = false
}
host {
  forwarding = true
  nftables   = [nftables.edge]
}
image "micro" {
  build = "micro"
}
bridge "br0" {
  name      = "crash0"
  addresses = [var.second ? "192.168.77.2/24" : "192.168.77.1/24"]
}
nftables "edge" {
  table "inet" "crash" {
    chain "input" {
      hook   = "input"
      policy = "accept"
      rules  = ["tcp dport ${var.second ? 23 : 22} counter accept"]
    }
  }
}
vm "a" {
  image   = image.micro
  memory  = var.second ? "160MiB" : "128MiB"
  running = var.running
  interface "eth0" {
    bridge    = bridge.br0
    addresses = [var.second ? "192.168.77.11/24" : "192.168.77.10/24"]
  }
}
`

// crash is the lab on the test's host.
type crash struct {
	t      *testing.T
	dir    string
	helper string // a copy of the helper for guests, so that a build that goes on meanwhile changes nothing
	vars   []string
}

func newCrash(t *testing.T) *crash {
	t.Helper()
	c := &crash{t: t, dir: t.TempDir(), helper: filepath.Join(t.TempDir(), "labctl-guest")}
	helper, err := os.ReadFile("../../bin/labctl-guest")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.helper, helper, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.dir, "lab.hcl"), []byte(crashLab), 0o644); err != nil {
		t.Fatal(err)
	}
	return c
}

// labctl runs the real labctl in a process of its own, or with a step the one that dies there; it gives its exit code, -1
// for a death by signal, and what it printed.
func (c *crash) labctl(step int, args ...string) (int, string) {
	c.t.Helper()
	if step < 0 {
		return c.start("labctl", nil, args...)
	}
	return c.start("labctl-killed", []string{fmt.Sprintf("%s=%d", stepVariable, step)}, args...)
}

func (c *crash) start(program string, env []string, args ...string) (int, string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 3*time.Minute)
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		c.t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, self, append(append(args, c.vars...), c.dir)...)
	cmd.Args[0] = program
	cmd.Env = append(os.Environ(), append(env, "LABCTL_GUEST="+c.helper)...)
	out, err := cmd.CombinedOutput()
	if exited, ok := errors.AsType[*exec.ExitError](err); ok {
		return exited.ExitCode(), string(out)
	}
	if err != nil {
		c.t.Fatalf("labctl %v: %v", args, err)
	}
	return 0, string(out)
}

// want runs labctl and demands an exit code.
func (c *crash) want(code int, args ...string) string {
	c.t.Helper()
	got, out := c.labctl(-1, args...)
	if got != code {
		c.t.Fatalf("labctl %v %v: exit code %d, not %d\n%s", args, c.vars, got, code, out)
	}
	return out
}

// leftovers is everything of the host that a lab could leave something in.
func leftovers(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	for _, command := range []string{
		"nft list tables", "ip -br link show type bridge", "ls /etc/netplan /etc/sysctl.d",
		"virsh -q -c qemu:///system list --all --name", "ls /var/lib/labctl/labs",
		"cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding", "ls /run/systemd/network",
	} {
		args := strings.Fields(command)
		out, _ := exec.Command(args[0], args[1:]...).Output() // a folder that is not there holds nothing
		fmt.Fprintf(&b, "$ %s\n%s\n", command, out)
	}
	return b.String()
}

// TestKilledAnywhere kills labctl with SIGKILL before each step of an apply from nothing, of a change of everything and of a
// destroy. After each death a plan can be made, one apply converges, and the destroy at the end leaves the host as it was.
func TestKilledAnywhere(t *testing.T) {
	for _, way := range []struct {
		name    string
		running string
	}{{"defined", "false"}, {"running", "true"}} {
		t.Run(way.name, func(t *testing.T) {
			c := newCrash(t)
			before := leftovers(t)
			first := []string{"-var=second=false", "-var=running=" + way.running}
			second := []string{"-var=second=true", "-var=running=" + way.running}
			died := 0
			for step := 0; ; step++ {
				hits := 0
				for _, passage := range []struct {
					vars []string
					args []string
				}{{first, []string{"apply", "-auto-approve"}}, {second, []string{"apply", "-auto-approve"}}, {second, []string{"destroy", "-auto-approve"}}} {
					c.vars = passage.vars
					if c.passage(step, passage.args) {
						hits++
					}
				}
				if after := leftovers(t); after != before {
					t.Fatalf("step %d: the host was\n%s\nand is\n%s", step, before, after)
				}
				died += hits
				if hits == 0 {
					break
				}
			}
			t.Logf("%d deaths survived", died)
			if died < 10 {
				t.Errorf("only %d deaths: the steps have been lost", died)
			}
		})
	}
}

// passage carries out one command with a death before the step, and mends it. It reports whether there was such a step.
func (c *crash) passage(step int, args []string) bool {
	c.t.Helper()
	got, out := c.labctl(step, args...)
	if got == 0 {
		return false
	}
	if got != -1 {
		c.t.Fatalf("labctl %v, step %d: it did not die, it failed with %d\n%s", args, step, got, out)
	}
	plan := []string{"plan", "-detailed-exitcode"}
	if args[0] == "destroy" {
		plan = append(plan, "-destroy")
	}
	if got, out := c.labctl(-1, plan...); got != 2 && got != 0 {
		c.t.Fatalf("a plan after a death at step %d of %v: exit code %d\n%s", step, args, got, out)
	}
	mended := c.want(0, args...)
	if got, out := c.labctl(-1, plan...); got != 0 {
		c.t.Fatalf("after a death at step %d of %v and its mend\n%s\nthere is left\n%s", step, args, mended, out)
	}
	return true
}
