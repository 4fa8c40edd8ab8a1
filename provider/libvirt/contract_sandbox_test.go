//go:build sandbox

package libvirt

import (
	"context"
	"errors"
	"testing"
	"time"

	"libvirt.org/go/libvirt"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/daemon"
	"github.com/labctl/labctl/provider/providertest"
	"github.com/labctl/labctl/schema"
)

// stopDaemon stops the sandbox's own libvirtd, and returns what starts it again.
func stopDaemon(ctx context.Context) (func(), error) {
	run := func(script string) error {
		_, err := host.Local{}.Run(ctx, host.Cmd("sh", "-c", script))
		return err
	}
	if err := run(`pid=$(cat /run/libvirtd.pid) && kill "$pid" && while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done`); err != nil {
		return nil, err
	}
	return func() {
		_ = run(`libvirtd -d && for i in $(seq 100); do virsh -q -c qemu:///system version >/dev/null 2>&1 && exit; sleep 0.1; done`)
	}, nil
}

// TestContractReal is the same suite on QEMU, with machines that are off.
func TestContractReal(t *testing.T) {
	providertest.Run(t, func(t *testing.T) providertest.Harness {
		w := newWorld(t)
		h := harness(t, w.conn, schema.Resource{
			Addr: schema.Addr{Kind: "vm", Name: "a", Key: "0"},
			Deps: []schema.Addr{{Kind: "bridge", Name: "tbr0"}},
			Body: &schema.Domain{
				Name: "lab-a", Memory: 64 << 20, MaxMemory: 256 << 20, VCPUs: 1, MaxVCPUs: 4, Virt: "qemu",
				Interfaces: []schema.NIC{{Name: "eth0", Bridge: "tbr0", MAC: "52:54:00:00:00:01", Model: "virtio", Link: "up"}},
			},
		})
		h.Down = func() (func(), error) { return stopDaemon(t.Context()) }
		return h
	})
}

// TestRunningContract is the suite on a machine that runs.
func TestRunningContract(t *testing.T) {
	providertest.Run(t, func(t *testing.T) providertest.Harness {
		w := newWorld(t)
		vm := w.vm("a", func(d *schema.Domain) { d.Timeouts.Shutdown = 0.1 })
		h := harness(t, w.conn, vm)
		h.New = func() provider.Provider { return w.p }
		keep := map[string]bool{"description": true, "bridge": true, "boot": true}
		var variants []providertest.Variant
		for _, v := range h.Variants {
			d := v.Want.Body.(*schema.Domain)
			for i := range d.Interfaces {
				if d.Interfaces[i].Bridge == "br1" {
					d.Interfaces[i].Bridge = "tbr1"
				}
			}
			if v.Name == "boot" {
				v.Action = provider.Restart
			}
			if keep[v.Name] {
				variants = append(variants, v)
			}
		}
		h.Variants = variants
		h.Lab = testLab
		h.Mutate = func() error {
			return w.conn.Domain(daemon.ByName("t-a"), func(dom *libvirt.Domain) error { return dom.Destroy() })
		}
		h.Lose = func() error {
			return w.conn.Domain(daemon.ByName("t-a"), func(dom *libvirt.Domain) error {
				if err := dom.Destroy(); err != nil {
					return err
				}
				return dom.Undefine()
			})
		}
		h.Down = func() (func(), error) { return stopDaemon(t.Context()) }
		return h
	})
}

// TestAgent waits for the guest, talks to its agent, and tells a machine that is off from one that does not answer.
func TestAgent(t *testing.T) {
	w := newWorld(t)
	vm := w.vm("a", func(d *schema.Domain) { d.Timeouts.Shutdown = 0.2 })
	w.apply(vm, provider.Create)
	began := time.Now()
	w.up("t-a")
	t.Logf("the agent answers %.2f s after the start", time.Since(began).Seconds())
	answer, err := w.conn.AgentCommand(w.ctx, "t-a", []byte(`{"execute":"guest-ping"}`))
	if err != nil || string(answer) != `{"return":{}}` {
		t.Errorf("ping: %s, %v", answer, err)
	}
	if _, err := w.conn.AgentCommand(w.ctx, "t-a", []byte(`{"execute":"no-such"}`)); err == nil || errors.Is(err, provider.ErrUnreachable) {
		t.Errorf("an unknown command: %v, want the agent's own refusal", err)
	}
	if tail := w.conn.ConsoleTail("t-a"); tail == "" {
		t.Error("the console's log is empty")
	}
	up, err := stopDaemon(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.conn.AgentCommand(w.ctx, "t-a", []byte(`{"execute":"guest-ping"}`)); !errors.Is(err, provider.ErrUnreachable) {
		t.Errorf("with the daemon stopped: %v, want it unreachable", err)
	}
	up()
	w.up("t-a") // over a new connection
	body(&vm).Running = false
	w.apply(vm, provider.Update)
	if err := w.conn.WaitAgent(w.ctx, "t-a"); !errors.Is(err, provider.ErrUnreachable) {
		t.Errorf("off: %v, want it unreachable", err)
	}
	changed := body(&vm)
	changed.Running, changed.Boot.Cmdline = true, "console=ttyS0 rdinit=/nothing"
	w.apply(vm, provider.Update)
	ctx, cancel := context.WithTimeout(w.ctx, 4*time.Second)
	defer cancel()
	err = w.conn.WaitAgent(ctx, "t-a")
	failed, ok := errors.AsType[*provider.Error](err)
	if !ok || !errors.Is(err, provider.ErrIncomplete) || failed.Detail == "" || failed.Hint == "" {
		t.Errorf("a guest that does not come up: %v, want it incomplete with the console's last lines", err)
	} else {
		t.Logf("%v\n%s", err, failed.Detail)
	}
}

// TestConsole reads what the guest says and types to it.
func TestConsole(t *testing.T) {
	w := newWorld(t)
	w.apply(w.vm("a"), provider.Create)
	console, err := w.conn.OpenConsole(w.ctx, "t-a", true)
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 100)
	go func() {
		defer close(said)
		buffer := make([]byte, 4096)
		for {
			n, err := console.Read(buffer)
			if n > 0 {
				said <- string(buffer[:n])
			}
			if err != nil {
				return
			}
		}
	}()
	heard := w.hears(said, "", "guest is up")
	if _, err := console.Write([]byte("hello\n")); err != nil {
		t.Fatal(err)
	}
	w.hears(said, heard, "heard hello")
	if err := console.Close(); err != nil {
		t.Error(err)
	}
	for {
		if _, more := <-said; !more { // the reader has ended
			break
		}
	}
	if err := w.conn.Stop(w.ctx, "t-a", 0); err != nil {
		t.Fatal(err)
	}
	if _, err := w.conn.OpenConsole(w.ctx, "t-a", true); err == nil {
		t.Error("the console of a machine that is off was opened")
	}
}
