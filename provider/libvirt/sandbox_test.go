//go:build sandbox

package libvirt

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

const testLab = "t"

// world is the throwaway host of a test: a connection, a root folder and bridges.
type world struct {
	*testing.T
	p     *Provider
	ctx   context.Context
	conn  *Conn
	steps []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	conn, err := Connect("qemu:///system")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	// QEMU's own user has to get through every folder above the disks.
	root, err := os.MkdirTemp("/var/tmp", "labctl-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, conn: conn}
	began := time.Now()
	w.p = New(conn, host.Local{}, root)
	w.ctx = provider.WithSteps(t.Context(), func(stage string) error {
		w.steps = append(w.steps, stage)
		t.Logf("%6.2f s %s", time.Since(began).Seconds(), stage)
		return nil
	})
	w.bridge("tbr0")
	w.bridge("tbr1")
	t.Cleanup(func() {
		objects, err := w.p.Read(context.Background(), testLab, nil)
		if err != nil {
			t.Error(err)
		}
		for _, o := range objects {
			if err := w.p.Apply(context.Background(), testLab, provider.Change{Addr: o.Addr, Action: provider.Delete, Have: &o}); err != nil {
				t.Error(err)
			}
		}
	})
	return w
}

func (w *world) bridge(name string) {
	w.Helper()
	if _, err := netlink.LinkByName(name); err == nil {
		return // a test around this one has made it
	}
	link := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}}
	if err := netlink.LinkAdd(link); err != nil {
		w.Fatal(err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		now, err := netlink.LinkByName(name) // a test may have made it anew
		if err == nil {
			err = netlink.LinkDel(now)
		}
		if err != nil {
			w.Error(err)
		}
	})
}

// micro is the image that labctl makes, or its files where a test has made them.
func (w *world) image() *schema.ImageRef {
	w.Helper()
	folder := filepath.Join(w.p.root, "images", "tiny-1")
	if _, err := os.Stat(folder); err == nil {
		return &schema.ImageRef{Key: "tiny-1", Build: "micro"}
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		w.Fatal(err)
	}
	if err := tinyImage(w.ctx, folder); err != nil {
		w.Fatal(err)
	}
	return &schema.ImageRef{Key: "tiny-1", Build: "micro"}
}

// tinyImage is this machine's own kernel with a guest of one busybox: it loads the drivers that hotplug needs, and waits.
func tinyImage(ctx context.Context, folder string) error {
	script := `set -e
kernel=$(ls /boot/vmlinuz-*-cloud-amd64 | tail -1); version=${kernel#/boot/vmlinuz-}
cp "$kernel" "$1/kernel"
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/bin "$work"/proc "$work"/sys "$work"/dev "$work"/m
cp "$(command -v busybox)" "$work/bin/busybox"
for file in $(command -v qemu-ga) $(ldd "$(command -v qemu-ga)" | grep -o '/[^ ]*'); do
  mkdir -p "$work${file%/*}"; cp -L "$file" "$work$file"
done
for module in virtio_pci virtio_blk virtio_net virtio_balloon virtio_console sr_mod ahci button; do
  modprobe -S "$version" --show-depends "$module" | while read -r _ file _; do
    case $file in *.ko) cp -n "$file" "$work/m/"; echo "${file##*/}" >>"$work/order";; esac
  done # of one driver
done
cat >"$work/init" <<'EOT'
#!/bin/busybox sh
/bin/busybox mount -t proc p /proc; /bin/busybox mount -t sysfs s /sys; /bin/busybox mount -t devtmpfs d /dev
for m in $(/bin/busybox cat /order); do /bin/busybox insmod /m/$m 2>/dev/null; done
/bin/busybox mkdir -p /run /tmp; /bin/busybox ln -s /bin/busybox /bin/sh
(while :; do QEMUGA -m virtio-serial -p /dev/vport*p1 -t /tmp -f /tmp/ga.pid; /bin/busybox sleep 1; done) &
echo guest is up
while read -r line; do echo "heard $line"; done
while :; do /bin/busybox sleep 1; done
EOT
sed -i "s,QEMUGA,$(command -v qemu-ga)," "$work/init"
chmod +x "$work/init"
(cd "$work" && find . | cpio -o -H newc --quiet) >"$1/initrd"
qemu-img create -q -f qcow2 "$1/disk.qcow2" 16M
printf '{"version":1,"files":{"kernel":{},"initrd":{},"disk.qcow2":{}}}' >"$1/manifest.json"
`
	_, err := host.Local{}.Run(ctx, host.Cmd("sh", "-c", script, "sh", folder))
	return err
}

func (w *world) vm(name string, change ...func(*schema.Domain)) schema.Resource {
	addr := schema.Addr{Kind: "vm", Name: name}
	d := &schema.Domain{
		Name: testLab + "-" + name, Running: true, Memory: 128 << 20, VCPUs: 1, Virt: "qemu", Image: w.image(),
		Interfaces: []schema.NIC{{Name: "eth0", Bridge: "tbr0", MAC: schema.InterfaceMAC(testLab, addr, "eth0"), Model: "virtio", Link: "up"}},
		Seed:       &schema.Guest{Domain: testLab + "-" + name, Hostname: name},
	}
	for _, f := range change {
		f(d)
	}
	return schema.Resource{Addr: addr, Body: d, Deps: []schema.Addr{{Kind: "bridge", Name: "br0"}}}
}

// plan reads and plans for one resource.
func (w *world) plan(want *schema.Resource, addr schema.Addr) (provider.Change, error) {
	w.Helper()
	var wants []schema.Resource
	if want != nil {
		wants = append(wants, *want)
	}
	objects, err := w.p.Read(w.ctx, testLab, wants)
	if err != nil {
		w.Fatal(err)
	}
	var have *provider.Object
	for i := range objects {
		if objects[i].Addr == addr {
			have = &objects[i]
		}
	}
	return w.p.Plan(want, have)
}

// apply plans, checks the action, applies, and requires that the plan after it is empty.
func (w *world) apply(want schema.Resource, action provider.Action) provider.Change {
	w.Helper()
	c, err := w.plan(&want, want.Addr)
	if err != nil {
		w.Fatal(err)
	}
	if c.Action != action {
		w.Fatalf("the plan is %s %s %v, want %s", c.Action, c.Why, c.Details, action)
	}
	w.steps = nil
	if err := w.p.Apply(w.ctx, testLab, c); err != nil {
		w.Fatalf("apply %s: %v (steps %q)", c.Action, describe(err), w.steps)
	}
	w.empty(want)
	return c
}

func (w *world) empty(want schema.Resource) {
	w.Helper()
	c, err := w.plan(&want, want.Addr)
	if err != nil {
		w.Fatal(err)
	}
	if c.Action != provider.NoOp {
		w.Fatalf("the plan after an apply is %s %s %v, want nothing", c.Action, c.Why, c.Details)
	}
}

func describe(err error) string {
	return fmt.Sprintf("%v", err)
}
