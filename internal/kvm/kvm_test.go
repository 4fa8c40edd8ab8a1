package kvm

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/labctl/labctl/internal/host"
)

// machine is a host whose QEMU does what the test says.
type machine struct {
	files map[string]string
	qemu  func() error
	ran   int
}

func (m *machine) Run(_ context.Context, c host.Command) (host.Output, error) {
	if c.Args[0] == "test" {
		return host.Output{}, nil
	}
	m.ran++
	return host.Output{}, m.qemu()
}

func (m *machine) ReadFile(_ context.Context, path string) ([]byte, error) {
	text, ok := m.files[path]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return []byte(text), nil
}

func (m *machine) WriteFile(_ context.Context, path string, data []byte, _ fs.FileMode) error {
	m.files[path] = string(data)
	return nil
}

func (m *machine) Remove(_ context.Context, path string) error {
	delete(m.files, path)
	return nil
}

func TestProve(t *testing.T) {
	exit := func(code int, stderr string) func() error {
		return func() error {
			return &host.CommandError{Args: []string{"timeout"}, Exit: code, Stderr: stderr, Err: errors.New("exit")}
		}
	}
	for _, tc := range []struct {
		name  string
		qemu  func() error
		works bool
		why   string
		err   string
	}{
		{"the guest's own exit", exit(85, ""), true, "booted under KVM", ""},
		{"another exit", exit(1, "failed to set MSR 0x48d\nAborted"), false, "failed to set MSR 0x48d", ""},
		{"an end without proof", func() error { return nil }, false, "without running", ""},
		{"no QEMU", exit(127, ""), false, "", "not installed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := &machine{files: map[string]string{bootIDPath: "one\n"}, qemu: tc.qemu}
			got, err := Prove(t.Context(), m, "/pool")
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("error %v, want one with %q", err, tc.err)
				}
				return
			}
			if err != nil || got.Works != tc.works || !strings.Contains(got.Why, tc.why) || strings.Contains(got.Why, "\n") {
				t.Fatalf("%+v, %v; want works=%v and %q on one line", got, err, tc.works, tc.why)
			}
		})
	}
}

func TestVerdictIsKeptForOneBoot(t *testing.T) {
	m := &machine{files: map[string]string{bootIDPath: "one\n"}}
	m.qemu = func() error { return &host.CommandError{Args: []string{"timeout"}, Exit: 85} }
	for range 3 {
		if v, err := Prove(t.Context(), m, "/pool"); err != nil || !v.Works {
			t.Fatal(v, err)
		}
	}
	if m.ran != 1 {
		t.Fatalf("QEMU ran %d times in one boot, want once", m.ran)
	}
	m.files[bootIDPath] = "two\n"
	m.qemu = func() error { return &host.CommandError{Args: []string{"timeout"}, Exit: 1, Stderr: "no"} }
	if v, err := Prove(t.Context(), m, "/pool"); err != nil || v.Works {
		t.Fatalf("after a reboot: %+v, %v; want a new proof that fails", v, err)
	}
}

func TestCancelIsNoVerdict(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	m := &machine{files: map[string]string{bootIDPath: "one\n"}}
	m.qemu = func() error { cancel(); return &host.CommandError{Args: []string{"timeout"}, Exit: -1} }
	if v, err := Prove(ctx, m, "/pool"); !errors.Is(err, context.Canceled) {
		t.Fatalf("%+v, %v; want a cancelled proof to be an error", v, err)
	}
	if _, kept := m.files["/pool/kvm.json"]; kept {
		t.Fatal("a cancelled proof was kept as a verdict")
	}
}
