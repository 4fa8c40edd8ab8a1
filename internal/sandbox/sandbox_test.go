//go:build sandbox

package sandbox_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/labctl/labctl/internal/sandbox"
)

// The test binary plays labctl: as process 1 of a sandbox, and as the labctl that makes one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == sandbox.InitArg {
		os.Exit(sandbox.Init())
	}
	if len(os.Args) > 2 && os.Args[1] == "make" {
		code, err := sandbox.Run(sandbox.Options{Args: os.Args[2:]})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(code)
	}
	os.Exit(m.Run())
}

func inSandbox(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, "/proc/self/exe", append([]string{"make"}, args...)...)
}

func output(t *testing.T, args ...string) string {
	t.Helper()
	cmd := inSandbox(t, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

func TestExitCodeIsTheCommands(t *testing.T) {
	for want, args := range map[int][]string{
		0:   {"true"},
		7:   {"sh", "-c", "exit 7"},
		126: {"/etc/passwd"},
		127: {"no-such-command"},
		137: {"sh", "-c", "kill -KILL $$"},
	} {
		cmd := inSandbox(t, args...)
		_ = cmd.Run()
		if got := cmd.ProcessState.ExitCode(); got != want {
			t.Errorf("%v: exit code %d, want %d", args, got, want)
		}
	}
}

func TestDaemonsAnswer(t *testing.T) {
	got := output(t, "sh", "-ec", `
		virsh -q -c qemu:///system list --all
		virsh -q -c qemu:///system net-list --all --name | grep .
		networkctl --no-legend list | wc -l
		nft list ruleset
		ip -br link show up | cut -d" " -f1`)
	if got != "default\n1\nlo" {
		t.Errorf("a new host has libvirt's own network, no domains, no rules and one link; got:\n%s", got)
	}
}

func TestBridgeComesUpThroughNetplan(t *testing.T) {
	got := output(t, "sh", "-ec", `
		umask 077
		echo '{network: {version: 2, bridges: {br7: {addresses: [192.0.2.1/24]}}}}' >/etc/netplan/10.yaml
		netplan generate
		networkctl reload
		for i in $(seq 100); do ip -br -4 addr show br7 2>/dev/null | grep -o 192.0.2.1/24 && exit; sleep 0.05; done
		exit 1`)
	if got != "192.0.2.1/24" {
		t.Errorf("got %q", got)
	}
}

func TestFilesAreItsOwn(t *testing.T) {
	name := fmt.Sprintf("sandbox-test-%d", os.Getpid())
	var paths []string
	for _, dir := range []string{
		"/etc/sysctl.d", "/etc/netplan", "/etc/systemd/system", "/etc/libvirt/qemu", "/etc/nftables.d",
		"/run", "/var/lib/labctl", "/var/lib/libvirt/images", "/var/log/libvirt",
	} {
		paths = append(paths, filepath.Join(dir, name))
	}
	script := `for path; do mkdir -p "$(dirname "$path")"; echo written >"$path"; cat "$path"; done`
	got := output(t, append([]string{"sh", "-ec", script, "sh"}, paths...)...)
	if strings.Count(got, "written") != len(paths) {
		t.Errorf("not every folder could be written to:\n%s", got)
	}
	for _, path := range paths {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s came through to the machine", path)
		}
	}
}

func TestImagesOfTheMachineAreSeenAndKept(t *testing.T) {
	if os.Getenv(sandbox.Variable) == "" {
		t.Fatal("this test writes to /var/lib/labctl: run it with -exec 'labctl sandbox --'")
	}
	const image = "/var/lib/labctl/images/test"
	if err := os.MkdirAll("/var/lib/labctl/images", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(image, []byte("base"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(image) })
	got := output(t, "sh", "-ec", "cat "+image+"; echo changed >"+image+"; chown 12:34 "+image)
	if got != "base" {
		t.Errorf("the sandbox saw %q", got)
	}
	text, err := os.ReadFile(image)
	if string(text) != "base" || err != nil {
		t.Errorf("the image is now %q, %v", text, err)
	}
	info, err := os.Stat(image)
	if err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("the image's owner came through: %v", err)
	}
}

func TestSignalsReachTheCommand(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		cmd := inSandbox(t, "sh", "-c", `trap 'echo heard; exit 3' TERM INT HUP; echo ready; while :; do sleep 0.05; done`)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line := make([]byte, len("ready\n"))
		if _, err := out.Read(line); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		rest := make([]byte, 100)
		n, _ := out.Read(rest)
		_ = cmd.Wait()
		if got := cmd.ProcessState.ExitCode(); got != 3 || string(rest[:n]) != "heard\n" {
			t.Errorf("%v: exit code %d, output %q", sig, got, rest[:n])
		}
	}
}

func TestKillLeavesNothing(t *testing.T) {
	marker := fmt.Sprintf("9%d", os.Getpid()) // a number of seconds that no other sleep here has
	cmd := inSandbox(t, "sh", "-c", "setsid sleep "+marker+" & echo ready; sleep "+marker)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	namespace := namespaceOf(t, marker)
	if n := len(inNamespace(namespace)); n < 6 { // process 1, three daemons and libvirtd, two sleeps
		t.Fatalf("only %d processes were found in the sandbox, so this test would prove nothing", n)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	deadline := time.Now().Add(5 * time.Second)
	for len(inNamespace(namespace)) > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("these processes outlived labctl: %v", inNamespace(namespace))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestSeveralAtOnce(t *testing.T) {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			cmd := inSandbox(t, "sh", "-ec", "ip link add br0 type bridge; ip -br link show type bridge | wc -l; virsh -q -c qemu:///system list --all")
			out, err := cmd.CombinedOutput()
			if err != nil || strings.TrimSpace(string(out)) != "1" {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	wg.Wait()
}

// namespaceOf is the PID namespace of the process that has the argument.
func namespaceOf(t *testing.T, arg string) string {
	t.Helper()
	for range 500 { // it may not have come so far yet
		lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, line := range lines {
			text, _ := os.ReadFile(line)
			if string(text) == "sleep\x00"+arg+"\x00" {
				namespace, err := os.Readlink(filepath.Join(filepath.Dir(line), "ns/pid"))
				if err == nil {
					return namespace
				}
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the sandbox's command was not found in /proc")
	return ""
}

func inNamespace(namespace string) (names []string) {
	links, _ := filepath.Glob("/proc/[0-9]*/ns/pid")
	for _, link := range links {
		if got, err := os.Readlink(link); err == nil && got == namespace {
			name, _ := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(link)), "comm"))
			names = append(names, strings.TrimSpace(string(name)))
		}
	}
	return names
}
