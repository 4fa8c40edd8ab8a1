//go:build sandbox

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// onHost runs a command on the test's host.
func onHost(t *testing.T, command string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "sh", "-c", command).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

const (
	killLibvirtd  = `kill -9 "$(cat /run/libvirtd.pid)"`
	startLibvirtd = `rm -f /run/libvirtd.pid; sleep 0.2; libvirtd -d || exit
		for _ in $(seq 100); do virsh -q -c qemu:///system version >/dev/null 2>&1 && exit 0; sleep 0.1; done; exit 1`
)

// TestFaultsOfTheHost lets the systems under labctl fail in the middle of an apply. Each time the apply says what failed, a
// further apply converges once the fault is gone, and the destroy leaves the host as it was.
func TestFaultsOfTheHost(t *testing.T) {
	stub := filepath.Join(t.TempDir(), "bin")
	if err := os.MkdirAll(stub, 0o755); err != nil {
		t.Fatal(err)
	}
	refuse := filepath.Join(stub, "refuse")
	refusing := "#!/bin/sh\nif [ -e " + refuse + " ]; then echo 'netlink: Error: Operation not permitted' >&2; exit 1; fi\nexec /usr/sbin/nft \"$@\"\n"
	if err := os.WriteFile(filepath.Join(stub, "nft"), []byte(refusing), 0o755); err != nil {
		t.Fatal(err)
	}
	full := "mkdir -p /var/lib/labctl/labs && mount -t tmpfs -o size=16k tmpfs /var/lib/labctl/labs"
	agent := `virsh -q -c qemu:///system qemu-agent-command crash-a '{"execute":"guest-exec","arguments":{"path":"/bin/sh","arg":["-c","kill -9 $(pidof qemu-ga)"]}}'`
	for _, f := range []struct {
		name    string
		stage   string // before which do happens
		do      string
		before  string   // instead: done before the apply
		env     []string // beside it
		mend    string
		says    string // what the apply must tell; "" where it may succeed all the same
		running string
	}{
		{name: "libvirtd dies", stage: "define", do: killLibvirtd, mend: startLibvirtd, says: "vm.a"},
		{name: "libvirtd dies and comes back", stage: "define", do: killLibvirtd + "; " + startLibvirtd},
		{name: "disk full", before: full, mend: "umount /var/lib/labctl/labs", says: "no space left on device"},
		{name: "nft refuses", stage: "load rules", do: "touch " + refuse, mend: "rm " + refuse, env: []string{"PATH=" + stub + ":" + os.Getenv("PATH")}, says: "Operation not permitted"},
		{name: "interrupted once", stage: "define", do: "kill -INT $PPID; sleep 0.2", says: "Apply stopped."},
		{name: "interrupted twice", stage: "define", do: "kill -INT $PPID; sleep 0.2; kill -INT $PPID; sleep 0.2", says: "interrupted"},
		{name: "agent dies", stage: "converge", do: agent, running: "true"},
	} {
		t.Run(strings.ReplaceAll(f.name, " ", "_"), func(t *testing.T) {
			c := newCrash(t)
			before := leftovers(t)
			running := f.running
			if running == "" {
				running = "false"
			}
			c.vars = []string{"-var=running=" + running}
			if f.running != "" { // it is the change of a running lab that is disturbed
				c.want(0, "apply", "-auto-approve")
				c.vars = append(c.vars, "-var=second=true")
			}
			if f.before != "" {
				onHost(t, f.before)
			}
			env := append(f.env, stageVariable+"="+f.stage, doVariable+"="+f.do)
			code, out := c.start("labctl-killed", env, "apply", "-auto-approve")
			if f.stage != "" && !strings.Contains(out, fmt.Sprintf("before %q", f.stage)) {
				t.Errorf("the fault was not met\n%s", out)
			}
			if f.says != "" && (code != 1 || !strings.Contains(out, f.says)) {
				t.Errorf("exit code %d, and %q is not told:\n%s", code, f.says, out)
			}
			t.Logf("exit code %d", code)
			if f.mend != "" {
				onHost(t, f.mend)
			}
			c.want(0, "apply", "-auto-approve")
			c.want(0, "plan", "-detailed-exitcode")
			c.want(0, "destroy", "-auto-approve")
			if after := leftovers(t); after != before {
				t.Errorf("the host was\n%s\nand is\n%s", before, after)
			}
		})
	}
}

// TestTwoAppliesAtOnce: the second is refused and told who is at work, or waits for its turn.
func TestTwoAppliesAtOnce(t *testing.T) {
	c := newCrash(t)
	c.vars = []string{"-var=running=false"}
	type ended struct {
		code int
		out  string
	}
	first := make(chan ended)
	held := filepath.Join(t.TempDir(), "held")
	go func() {
		code, out := c.start("labctl-killed", []string{stageVariable + "=define", doVariable + "=touch " + held + "; sleep 3"}, "apply", "-auto-approve")
		first <- ended{code, out}
	}()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(held); err == nil {
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatal("the first apply does not come to its define")
		}
	}
	if code, out := c.labctl(-1, "apply", "-auto-approve"); code != 1 || !strings.Contains(out, `lab "crash" is locked by process`) {
		t.Errorf("the second: exit code %d\n%s", code, out)
	}
	if out := c.want(0, "apply", "-auto-approve", "-lock-timeout=1m"); !strings.Contains(out, "No changes") {
		t.Errorf("the third, which waits, does something:\n%s", out)
	}
	if e := <-first; e.code != 0 {
		t.Errorf("the first: exit code %d\n%s", e.code, e.out)
	}
	c.want(0, "destroy", "-auto-approve")
}

// silent is a machine that boots a kernel with nothing behind it, so that no agent ever answers.
const silent = `
lab "silent" {}
bridge "br0" {
  addresses = ["192.168.78.1/24"]
}
vm "mute" {
  memory = "96MiB"
  boot {
    kernel  = "%s"
    cmdline = "console=ttyS0 panic=0"
  }
  interface "eth0" {
    bridge    = bridge.br0
    addresses = ["192.168.78.10/24"]
  }
  timeouts {
    agent = "5s"
  }
}
`

// TestGuestThatNeverAnswers: the machine is kept, the error says what its console said last, and everything can be destroyed.
func TestGuestThatNeverAnswers(t *testing.T) {
	kernels, err := filepath.Glob("/boot/vmlinuz-*")
	if err != nil || len(kernels) == 0 {
		t.Fatalf("no kernel to boot: %v", err)
	}
	c := newCrash(t)
	before := leftovers(t)
	if err := os.WriteFile(filepath.Join(c.dir, "lab.hcl"), []byte(fmt.Sprintf(silent, kernels[0])), 0o644); err != nil {
		t.Fatal(err)
	}
	code, out := c.labctl(-1, "apply", "-auto-approve")
	if code != 1 || !strings.Contains(out, "vm.mute.guest") || !strings.Contains(out, "✓ vm.mute: created") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if !strings.Contains(out, "Kernel panic") {
		t.Errorf("the console's last lines are not told\n%s", out)
	}
	code, out = c.labctl(-1, "plan", "-detailed-exitcode")
	if code == 0 || !strings.Contains(out, "vm.mute") {
		t.Errorf("the plan afterwards: exit code %d\n%s", code, out)
	}
	c.want(0, "destroy", "-auto-approve")
	if after := leftovers(t); after != before {
		t.Errorf("the host was\n%s\nand is\n%s", before, after)
	}
}
