//go:build sandbox

package image_test

import (
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
	m := start(t, dir, paths, micro.Cmdline, "-m", "128")
	t.Logf("the agent answered after %v", m.booted.Round(10*time.Millisecond))
	tryTools(m)
	m.exec("busybox", "sh", "-c", "echo kept >/root/kept && sync")
	m.powerOff(m.agent, shutdown)

	m = start(t, dir, paths, micro.Cmdline, "-m", "128", "-serial", "null", "-device", "virtconsole,chardev=hvc", "-chardev", "null,id=hvc",
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
	m = start(t, dir, paths, micro.Cmdline, "-m", "128")
	// A reboot from inside: memory is not cleared, and the kernel is unpacked once more.
	m.exec("busybox", "touch", "/tmp/before")
	fmt.Fprintln(m.agent, `{"execute":"guest-shutdown","arguments":{"mode":"reboot"}}`)
	time.Sleep(time.Second) // an answer within it is the old system's
	m.await(time.Now())
	m.exec("busybox", "test", "!", "-e", "/tmp/before")
	if said := m.exec("busybox", "cat", "/run/labctl-boot.log", "/root/kept"); said != "two boot\nkept\n" {
		t.Errorf("with the new helper: %q", said)
	}
	m.powerOff(m.agent, shutdown)
}
