//go:build sandbox

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// bench is a lab on the benchmark's host, and the real labctl to work on it.
type bench struct {
	b      *testing.B
	labctl string
	dir    string
}

func newBench(b *testing.B) *bench {
	b.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		b.Fatal(err)
	}
	return &bench{b, filepath.Join(root, "bin", "labctl"), filepath.Join(root, "examples", "holepunch")}
}

// run runs a command to its end and returns its output and how long it took.
func (b *bench) run(args ...string) (string, time.Duration) {
	b.b.Helper()
	ctx, cancel := context.WithTimeout(b.b.Context(), 5*time.Minute)
	defer cancel()
	began := time.Now()
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	if err != nil {
		b.b.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out), time.Since(began)
}

func (b *bench) lab(args ...string) time.Duration {
	b.b.Helper()
	_, took := b.run(append([]string{b.labctl, "-chdir=" + b.dir}, args...)...)
	return took
}

func (b *bench) virsh(args ...string) string {
	b.b.Helper()
	out, _ := b.run(append([]string{"virsh", "-q", "-c", "qemu:///system"}, args...)...)
	return strings.TrimSpace(out)
}

// BenchmarkApply holds an apply of the example lab from nothing against plain `virsh create` of the same four guests until
// their agents answer, in the same run.
func BenchmarkApply(b *testing.B) {
	lab := newBench(b)
	var apply, plain, noop, destroy time.Duration
	for b.Loop() {
		lab.lab("apply", "-auto-approve") // warms caches, and shows what virsh is to create
		plain += lab.plainCreate()
		lab.lab("apply", "-auto-approve") // over what virsh made
		lab.lab("destroy", "-auto-approve")
		apply += lab.lab("apply", "-auto-approve")
		noop += lab.lab("plan", "-detailed-exitcode")
		destroy += lab.lab("destroy", "-auto-approve")
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(apply.Seconds()/float64(b.N), "s/apply")
	b.ReportMetric(plain.Seconds()/float64(b.N), "s/virsh-create")
	b.ReportMetric(apply.Seconds()/plain.Seconds(), "apply/virsh")
	b.ReportMetric(noop.Seconds()/float64(b.N), "s/no-op-plan")
	b.ReportMetric(destroy.Seconds()/float64(b.N), "s/destroy")
	fmt.Fprintf(os.Stderr, "apply takes %.2f × plain virsh create; a plan with nothing to do takes %.2f s\n",
		apply.Seconds()/plain.Seconds(), noop.Seconds()/float64(b.N))
}

// plainCreate stops the lab's machines, creates them with virsh from their own XML, side by side, and returns how long it
// took until all their agents answered.
func (b *bench) plainCreate() time.Duration {
	b.b.Helper()
	folder := b.b.TempDir()
	names := strings.Fields(b.virsh("list", "--name"))
	if len(names) != 4 {
		b.b.Fatalf("the lab has machines %v, not four", names)
	}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(b.virsh("dumpxml", "--inactive", name)), 0o600); err != nil {
			b.b.Fatal(err)
		}
	}
	for _, name := range names {
		b.virsh("destroy", name)
	}
	began := time.Now()
	var wait sync.WaitGroup
	for _, name := range names {
		wait.Go(func() {
			b.virsh("create", filepath.Join(folder, name))
			for exec.CommandContext(b.b.Context(), "virsh", "-q", "-c", "qemu:///system", "qemu-agent-command", name, `{"execute":"guest-ping"}`).Run() != nil {
				time.Sleep(50 * time.Millisecond)
			}
		})
	}
	wait.Wait()
	return time.Since(began)
}
