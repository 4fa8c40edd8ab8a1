package lock

import (
	"bufio"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

const holdVariable = "LABCTL_LOCK_TEST_DIR"

// TestMain holds a lock in a process of its own when it is told to, so that its death can be tried.
func TestMain(m *testing.M) {
	if dir := os.Getenv(holdVariable); dir != "" {
		if _, err := Acquire(context.Background(), dir, "lab", "", "apply", 0); err != nil {
			os.Exit(1)
		}
		os.Stdout.WriteString("held\n")
		select {}
	}
	os.Exit(m.Run())
}

func TestHeldTellsWhoAndReleaseFrees(t *testing.T) {
	dir := t.TempDir()
	first, err := Acquire(t.Context(), dir, "lab", "h1", "apply", 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Acquire(t.Context(), dir, "lab", "h1", "destroy", 0)
	held, is := errors.AsType[*HeldError](err)
	if !is || held.Holder.PID != os.Getpid() || held.Holder.Command != "apply" {
		t.Fatalf("second lock: %v", err)
	}
	if !strings.Contains(err.Error(), `lab "lab" on host "h1" is locked by process`) {
		t.Errorf("message: %v", err)
	}
	if other, err := Acquire(t.Context(), dir, "lab", "h2", "apply", 0); err != nil {
		t.Errorf("another host's lock is not this one: %v", err)
	} else if err := other.Release(); err != nil {
		t.Error(err)
	}
	if who, locked, err := Who(dir, "lab", "h1"); err != nil || !locked || who.Command != "apply" {
		t.Errorf("Who: %v %v %v", who, locked, err)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	if _, locked, err := Who(dir, "lab", "h1"); err != nil || locked {
		t.Errorf("after the release: locked %v, %v", locked, err)
	}
	again, err := Acquire(t.Context(), dir, "lab", "h1", "plan", 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Release(); err != nil {
		t.Error(err)
	}
}

func TestWaitsUntilFree(t *testing.T) {
	dir := t.TempDir()
	first, err := Acquire(t.Context(), dir, "lab", "", "apply", 0)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := Acquire(t.Context(), dir, "lab", "", "plan", 120*time.Millisecond); err == nil {
		t.Fatal("two hold it")
	} else if time.Since(began) < 120*time.Millisecond {
		t.Errorf("gave up after %s", time.Since(began))
	}
	time.AfterFunc(100*time.Millisecond, func() { _ = first.Release() })
	second, err := Acquire(t.Context(), dir, "lab", "", "plan", 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Release(); err != nil {
		t.Error(err)
	}
}

func TestDeathFrees(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	child, err := os.StartProcess(self, []string{self}, &os.ProcAttr{
		Env: append(os.Environ(), holdVariable+"="+dir), Files: []*os.File{nil, in, os.Stderr},
	})
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "held\n" {
		t.Fatalf("the child said %q, %v", line, err)
	}
	_, err = Acquire(t.Context(), dir, "lab", "", "plan", 0)
	if held, is := errors.AsType[*HeldError](err); !is || held.Holder.PID != child.Pid {
		t.Fatalf("while the child lives: %v", err)
	}
	if err := child.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	lock, err := Acquire(t.Context(), dir, "lab", "", "plan", 0)
	if err != nil {
		t.Fatalf("after the child's death: %v", err)
	}
	if err := lock.Release(); err != nil {
		t.Error(err)
	}
}
