//go:build sandbox

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
	"github.com/labctl/labctl/provider/image/micro"
	"github.com/labctl/labctl/schema"
)

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
func start(t *testing.T, dir string, paths image.Paths, extra ...string) *machine {
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
		"qemu-system-x86_64", "-accel", "tcg", "-m", "128", "-nodefaults", "-display", "none", "-nic", "none",
		"-kernel", paths.Kernel, "-initrd", paths.Initrd, "-append", micro.Cmdline, "-serial", "file:" + filepath.Join(dir, "serial"),
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
	for {
		fmt.Fprintln(m.agent, `{"execute":"guest-sync","arguments":{"id":7}}`)
		_ = m.agent.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if line, err := m.lines.ReadString('\n'); err == nil && strings.Contains(line, `"return": 7`) {
			break
		}
		m.check(began)
	}
	m.booted = time.Since(began)
	for { // answers to the pings that were queued while it booted
		_ = m.agent.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		if _, err := m.lines.ReadString('\n'); err != nil {
			return m
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
	if time.Since(began) > 30*time.Second {
		m.t.Fatalf("no answer from the agent after 30 s:\n%s", m.serial())
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

// writeHelper writes something in place of labctl-guest, which tells how it was called.
func writeHelper(t *testing.T, path, name string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("#!/bin/busybox sh\necho "+name+" $*\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// checkSize holds the image to its size on disk.
func checkSize(t *testing.T, paths image.Paths) {
	t.Helper()
	var size int64
	for _, path := range []string{paths.Kernel, paths.Initrd} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	t.Logf("kernel and initrd: %.2f MB", float64(size)/1e6)
	if size > 16e6 {
		t.Errorf("kernel and initrd are %d bytes, more than 16 MB", size)
	}
}

// tryTools uses the guest's programs.
func tryTools(m *machine) {
	t := m.t
	t.Helper()
	for _, tool := range [][]string{
		{"nft", "--version"}, {"conntrack", "--version"}, {"ncat", "--version"}, {"ip", "-V"}, {"busybox", "uname", "-r"}, {"tc", "-V"},
		{"tcpdump", "--version"}, {"labctl-guest", "version"},
	} {
		m.exec(tool...)
	}
	m.exec("nft", "add table ip t; add chain ip t c { type nat hook postrouting priority 100; }; "+
		"add rule ip t c ip protocol tcp masquerade random")
	if rules := m.exec("nft", "list", "ruleset"); !strings.Contains(rules, "masquerade random") {
		t.Errorf("the rule is not in the ruleset:\n%s", rules)
	}
	m.exec("nft", "flush ruleset")
	// ncat and tcpdump without the libraries that are left out.
	said := m.exec("busybox", "sh", "-c", `(tcpdump -i lo -c 1 -w /tmp/seen udp & ncat -l 127.0.0.1 7000 &
		until echo hello | ncat --send-only 127.0.0.1 7000; do usleep 100000; done
		until tcpdump -nr /tmp/seen | grep UDP; do echo hi | ncat -u --send-only 127.0.0.1 9; usleep 100000; done) 2>&1`)
	if !strings.Contains(said, "\nhello\n") || !strings.Contains(said, "127.0.0.1.9: UDP, length 3") {
		t.Errorf("what ncat and tcpdump heard: %s", said)
	}
}

// plugNIC plugs a network card into a machine that had none: its driver is loaded by itself.
func plugNIC(m *machine, monitor io.Writer) {
	m.t.Helper()
	fmt.Fprintln(monitor, "device_add virtio-net-pci,mac=52:54:00:01:02:03")
	found := m.exec("busybox", "sh", "-c", `n=0; until [ -e /sys/class/net/eth0 ] || [ $((n += 1)) = 100 ]; do usleep 100000; done
		cat /sys/class/net/eth0/address`)
	if found != "52:54:00:01:02:03\n" {
		m.t.Errorf("a network card that was plugged in: %q", found)
	}
}

func TestMicroBoots(t *testing.T) {
	img := &schema.Image{Name: "micro", Build: "micro"}
	img.Key = schema.ImageKey(*img)
	helper := filepath.Join(t.TempDir(), "labctl-guest")
	build := host.Command{
		Args: []string{"go", "build", "-trimpath", "-ldflags", "-s -w", "-o", helper, "../../cmd/labctl-guest"}, Env: []string{"CGO_ENABLED=0"},
	}
	if _, err := (host.Local{}).Run(t.Context(), build); err != nil {
		t.Fatal(err)
	}
	p := image.New(host.Local{}, t.TempDir(), image.Options{GuestBinary: helper})
	apply(t, p, img, provider.Create)
	paths, err := p.Pool().Paths(img.Key)
	if err != nil {
		t.Fatal(err)
	}
	checkSize(t, paths)
	dir := t.TempDir()
	m := start(t, dir, paths)
	t.Logf("the agent answered after %v", m.booted.Round(10*time.Millisecond))
	tryTools(m)
	m.exec("busybox", "sh", "-c", "echo kept >/root/kept && sync")
	m.powerOff(m.agent, shutdown)

	m = start(t, dir, paths, "-serial", "null", "-device", "virtconsole,chardev=hvc", "-chardev", "null,id=hvc",
		"-monitor", "unix:"+filepath.Join(dir, "monitor")+",server=on,wait=off")
	monitor, err := net.Dial("unix", filepath.Join(dir, "monitor"))
	if err != nil {
		t.Fatal(err)
	}
	defer monitor.Close()
	plugNIC(m, monitor)
	if shells := m.exec("busybox", "sh", "-c", "grep -c autologin /etc/inittab"); shells != "3\n" {
		t.Errorf("%s consoles on a machine with a second serial port and a virtio console", shells)
	}
	if kept := m.exec("busybox", "cat", "/root/kept"); kept != "kept\n" {
		t.Errorf("/root/kept after a restart: %q", kept)
	}
	m.powerOff(monitor, "system_powerdown")

	// A new helper: the image is made again, the disk stays, and so does what a guest had on it.
	before, err := os.Stat(paths.Disk)
	if err != nil {
		t.Fatal(err)
	}
	writeHelper(t, helper, "two")
	if c := apply(t, p, img, provider.Update); !strings.Contains(c.Why, "labctl-guest changed") {
		t.Errorf("why: %q", c.Why)
	}
	if after, err := os.Stat(paths.Disk); err != nil || !os.SameFile(before, after) {
		t.Errorf("the disk that overlays stand on was replaced: %v", err)
	}
	m = start(t, dir, paths)
	if said := m.exec("busybox", "cat", "/run/labctl-boot.log", "/root/kept"); said != "two boot\nkept\n" {
		t.Errorf("with the new helper: %q", said)
	}
	m.powerOff(m.agent, shutdown)
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
