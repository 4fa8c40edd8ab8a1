//go:build sandbox || debian

package image_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/image"
	"github.com/labctl/labctl/schema"
)

// bootLimit is far more than any guest takes to boot on a machine that does nothing else.
const bootLimit = 3 * time.Minute

// machine is a QEMU process with no network, under emulation, started on an image as libvirt would.
type machine struct {
	t      *testing.T
	dir    string
	agent  net.Conn
	lines  *bufio.Reader
	ended  chan error
	booted time.Duration
}

// start boots the image and waits for its agent to answer.
func start(t *testing.T, dir string, paths image.Paths, cmdline string, extra ...string) *machine {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	m := &machine{t: t, dir: dir, ended: make(chan error, 1)}
	socket := filepath.Join(dir, "agent")
	_ = os.Remove(socket)
	disk := filepath.Join(dir, "root.qcow2")
	if _, err := os.Stat(disk); err != nil {
		run(t, "qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", paths.Disk, disk)
	}
	args := append([]string{
		"qemu-system-x86_64", "-accel", "tcg", "-nodefaults", "-display", "none", "-nic", "none",
		"-kernel", paths.Kernel, "-initrd", paths.Initrd, "-append", cmdline, "-serial", "file:" + filepath.Join(dir, "serial"),
		"-drive", "if=virtio,format=qcow2,file=" + disk, "-device", "virtio-serial", "-chardev", "socket,id=agent,server=on,wait=off,path=" + socket,
		"-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
	}, extra...)
	began := time.Now()
	go func() {
		_, err := host.Local{}.Run(ctx, host.Cmd(args...))
		m.ended <- err
	}()
	t.Cleanup(func() { cancel(); m.wait(5 * time.Second) })
	for m.agent == nil {
		m.agent, _ = net.Dial("unix", socket)
		m.check(began)
	}
	m.lines = bufio.NewReader(m.agent)
	m.await(began)
	return m
}

// await waits for the agent to answer.
func (m *machine) await(began time.Time) {
	m.t.Helper()
	for {
		fmt.Fprintln(m.agent, `{"execute":"guest-sync","arguments":{"id":7}}`)
		_ = m.agent.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if line, err := m.lines.ReadString('\n'); err == nil && strings.Contains(line, `"return": 7`) {
			break
		}
		m.check(began)
	}
	m.booted = time.Since(began)
	for { // answers to the questions that were queued while it booted
		_ = m.agent.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		if _, err := m.lines.ReadString('\n'); err != nil {
			return
		}
	}
}

// check fails the test when the machine has ended or takes far too long.
func (m *machine) check(began time.Time) {
	m.t.Helper()
	select {
	case err := <-m.ended:
		m.t.Fatalf("the machine ended: %v\n%s", err, m.serial())
	case <-time.After(10 * time.Millisecond):
	}
	if time.Since(began) > bootLimit {
		m.t.Fatalf("no answer from the agent after %v:\n%s", bootLimit, m.serial())
	}
}

func (m *machine) serial() string {
	text, _ := os.ReadFile(filepath.Join(m.dir, "serial"))
	return string(text)
}

// wait reports whether the machine ended within the time.
func (m *machine) wait(limit time.Duration) bool {
	select {
	case err := <-m.ended:
		m.ended <- err
		return true
	case <-time.After(limit):
		return false
	}
}

func (m *machine) call(command string, arguments, result any) {
	m.t.Helper()
	request, _ := json.Marshal(map[string]any{"execute": command, "arguments": arguments})
	_, _ = m.agent.Write(append(request, '\n'))
	_ = m.agent.SetReadDeadline(time.Now().Add(20 * time.Second))
	line, err := m.lines.ReadBytes('\n')
	if err != nil {
		m.t.Fatalf("%s: %v\n%s", command, err, m.serial())
	}
	answer := struct{ Return, Error json.RawMessage }{}
	if err := json.Unmarshal(line, &answer); err != nil || answer.Error != nil {
		m.t.Fatalf("%s: %v %s", command, err, line)
	}
	if err := json.Unmarshal(answer.Return, result); err != nil {
		m.t.Fatalf("%s: %v in %s", command, err, line)
	}
}

// exec runs a program in the guest and returns what it printed; it fails the test when the program fails.
func (m *machine) exec(args ...string) string {
	m.t.Helper()
	var started struct{ PID int }
	m.call("guest-exec", map[string]any{"path": args[0], "arg": args[1:], "capture-output": true}, &started)
	for limit := time.Now().Add(time.Minute); ; {
		var status struct {
			Exited   bool
			ExitCode int
			Out      string `json:"out-data"`
			Err      string `json:"err-data"`
		}
		m.call("guest-exec-status", map[string]any{"pid": started.PID}, &status)
		if !status.Exited {
			if time.Now().After(limit) {
				m.t.Fatalf("%q: still running after a minute", args)
			}
			time.Sleep(10 * time.Millisecond)
			continue
		}
		out, _ := base64.StdEncoding.DecodeString(status.Out)
		said, _ := base64.StdEncoding.DecodeString(status.Err)
		if status.ExitCode != 0 {
			m.t.Errorf("%q: exit %d\n%s%s", args, status.ExitCode, out, said)
		}
		return string(out)
	}
}

func run(t *testing.T, args ...string) {
	t.Helper()
	if _, err := (host.Local{}).Run(t.Context(), host.Cmd(args...)); err != nil {
		t.Fatal(err)
	}
}

// planOf reads the pool and plans one image.
func planOf(t *testing.T, p *image.Provider, img *schema.Image) provider.Change {
	t.Helper()
	want := schema.Resource{Addr: schema.Addr{Kind: "image", Name: img.Name}, Body: img}
	objects, err := p.Read(t.Context(), "lab", []schema.Resource{want})
	if err != nil {
		t.Fatal(err)
	}
	var have *provider.Object
	if len(objects) > 0 {
		have = &objects[0]
	}
	c, err := p.Plan(&want, have)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// apply makes the image as planned; the plan after it is empty.
func apply(t *testing.T, p *image.Provider, img *schema.Image, want provider.Action) provider.Change {
	t.Helper()
	c := planOf(t, p, img)
	if c.Action != want {
		t.Fatalf("the plan is to %s (%s), want %s", c.Action, c.Why, want)
	}
	began := time.Now()
	if err := p.Apply(t.Context(), "lab", c); err != nil {
		t.Fatal(err)
	}
	t.Logf("made in %v", time.Since(began).Round(10*time.Millisecond))
	if after := planOf(t, p, img); after.Action != provider.NoOp {
		t.Fatalf("the plan after it is to %s: %s", after.Action, after.Why)
	}
	return c
}

// powerOff asks the machine to stop by writing a command to its agent, as libvirt does, or its monitor: the power button.
func (m *machine) powerOff(to io.Writer, command string) {
	m.t.Helper()
	began := time.Now()
	fmt.Fprintln(to, command)
	if !m.wait(10 * time.Second) {
		m.t.Fatalf("%s: still running after 10 s:\n%s", command, strings.TrimSpace(m.serial()))
	}
	m.t.Logf("off after %v", time.Since(began).Round(10*time.Millisecond))
}

const shutdown = `{"execute":"guest-shutdown"}`
