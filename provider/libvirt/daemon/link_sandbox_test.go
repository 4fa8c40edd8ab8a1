//go:build sandbox

package daemon

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"libvirt.org/go/libvirt"

	"github.com/labctl/labctl/provider"
)

const plainUUID = "6f1c9d8e-0b0a-4a57-9f0c-3f5d5a1b2c3d"

const plain = `<domain type='qemu'><name>plain</name><uuid>` + plainUUID + `</uuid><memory unit='MiB'>64</memory>
	<os><type arch='x86_64'>hvm</type></os></domain>`

func connectHere(t *testing.T) *Conn {
	t.Helper()
	c, err := Connect("qemu:///system")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func (c *Conn) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.links)
}

// TestCallersSideBySide: callers that hold a link for long do not keep others waiting, links are few all the same, and the next
// caller finds one that is free.
func TestCallersSideBySide(t *testing.T) {
	c := connectHere(t)
	if n := c.count(); n != 1 {
		t.Fatalf("%d links before there is any work", n)
	}
	release := make(chan struct{})
	var holding, ended sync.WaitGroup
	for range 2 * crowded * maxLinks {
		holding.Add(1)
		ended.Go(func() {
			err := c.Use(func(link *libvirt.Connect) error {
				_, err := link.GetLibVersion()
				holding.Done()
				<-release
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	holding.Wait()
	if n := c.count(); n != maxLinks {
		t.Errorf("%d links and not %d", n, maxLinks)
	}
	close(release)
	ended.Wait()
	c.mu.Lock()
	for _, l := range c.links {
		if l.busy != 0 {
			t.Errorf("a link still has %d uses", l.busy)
		}
	}
	c.mu.Unlock()
}

func sh(t *testing.T, command string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

// TestEventsOutliveTheDaemon: who watches a domain hears of it, is woken when the daemon dies, and hears of it again from the
// daemon that comes back.
func TestEventsOutliveTheDaemon(t *testing.T) {
	c := connectHere(t)
	if c.heard != nil {
		t.Error("events are asked for before anybody watches")
	}
	w := c.Watch(plainUUID)
	defer w.Stop()
	define := func() {
		t.Helper()
		err := c.Use(func(link *libvirt.Connect) error {
			dom, err := link.DomainDefineXML(plain)
			if err != nil {
				return err
			}
			return dom.Free()
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	hears := func(what string) {
		t.Helper()
		select {
		case <-w.C:
		case <-time.After(20 * time.Second):
			t.Fatalf("nobody is told that %s", what)
		}
	}
	define()
	hears("the domain is defined")
	pid, err := os.ReadFile("/run/libvirtd.pid")
	if err != nil {
		t.Fatal(err)
	}
	sh(t, "kill -9 "+strings.TrimSpace(string(pid)))
	hears("the daemon is gone")
	if err := c.Use(func(*libvirt.Connect) error { return nil }); !errors.Is(err, provider.ErrUnreachable) {
		t.Errorf("with no daemon: %v", err)
	}
	sh(t, "rm -f /run/libvirtd.pid; libvirtd -d; for n in $(seq 200); do virsh -q -c qemu:///system version >/dev/null 2>&1 && exit 0; sleep 0.1; done; exit 1")
	define()
	hears("the domain is defined anew")
	err = c.Domain(ByUUID(plainUUID), func(dom *libvirt.Domain) error { return dom.Undefine() })
	if err != nil {
		t.Error(err)
	}
}
