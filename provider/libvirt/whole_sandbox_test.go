//go:build sandbox

package libvirt

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/table"
)

// surround makes what the rows below refer to.
func (w *world) surround() {
	w.Helper()
	script := `set -e; cd "$1"; mkdir -p images/tiny-2 shared other; cp images/tiny-1/* images/tiny-2/; chmod 777 shared other
cp images/tiny-1/initrd another-initrd
ip address add 10.99.0.1/24 dev tbr0 # on a host with none, spice finds no family to listen on
for net in one two; do printf '<network><name>m-%s</name><bridge name="m-%s"/></network>' $net $net >net.xml; virsh -q -c qemu:///system net-create net.xml >&2; done`
	if _, err := (host.Local{}).Run(w.ctx, host.Cmd("sh", "-c", script, "sh", w.p.root)); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		for _, net := range []string{"m-one", "m-two"} {
			if _, err := (host.Local{}).Run(context.Background(), host.Cmd("virsh", "-q", "-c", "qemu:///system", "net-destroy", net)); err != nil {
				w.Error(err)
			}
		}
	})
}

// others are rows whose machine needs something around it.
func (w *world) others() []attribute {
	tiny := func(name string) string { return filepath.Join(w.p.root, "images/tiny-1", name) }
	second := func(network string) func(d *schema.Domain) {
		return func(d *schema.Domain) {
			d.Interfaces = append(d.Interfaces[:1:1], schema.NIC{Name: "eth1", Network: network, MAC: "52:54:00:00:00:41", Model: "virtio", Link: "up"})
		}
	}
	share := func(driver, folder string) func(d *schema.Domain) {
		return func(d *schema.Domain) {
			d.Filesystems = []schema.Filesystem{{Source: filepath.Join(w.p.root, folder), Target: "share", Driver: driver}}
		}
	}
	off := func(f func(d *schema.Domain)) func(d *schema.Domain) { // there is no such device here, so it cannot start
		return func(d *schema.Domain) { d.Running = false; f(d) }
	}
	device := func(dev schema.HostDev) func(d *schema.Domain) {
		return off(func(d *schema.Domain) { d.HostDevs = []schema.HostDev{dev} })
	}
	return []attribute{
		{"filesystem.driver filesystem.source", share("9p", "shared"), share("virtiofs", "other"), restart, restart, restart},
		{
			"boot.kernel boot.initrd", func(d *schema.Domain) {
				d.Boot = schema.Boot{Kernel: tiny("kernel"), Initrd: tiny("initrd"), Cmdline: "console=ttyS0"}
			},
			func(d *schema.Domain) { d.Boot.Initrd = filepath.Join(w.p.root, "another-initrd") }, restart, restart, restart,
		},
		{"disk.boot_order", func(d *schema.Domain) { d.Disks = []schema.Disk{{Name: "root", BootOrder: 1}} },
			func(d *schema.Domain) { d.Disks = []schema.Disk{{Name: "root", BootOrder: 2}} }, restart, restart, restart},
		{"interface.network", second("m-one"), second("m-two"), live, live, live},
		{"virt", func(d *schema.Domain) { d.Virt = "auto" }, func(d *schema.Domain) { d.Virt = "" }, nothing, nothing, nothing},
		{"image", func(d *schema.Domain) { d.Image = &schema.ImageRef{Key: "tiny-2", Build: "micro"} },
			func(d *schema.Domain) { d.Image = w.image() }, replace, replace, nothing},
		{"hostdev.pci", device(schema.HostDev{PCI: "0000:7e:1d.0"}), device(schema.HostDev{PCI: "0000:7e:1e.0"}), restart, live, live},
		{"hostdev.usb", device(schema.HostDev{USB: "dead:beef"}), device(schema.HostDev{USB: "dead:bee0"}), restart, live, live},
	}
}

// elsewhere names the tests that take an argument through its life where the matrix has no row for it.
func elsewhere() map[string]string {
	const changes, restarts = "TestLiveChanges", "TestRestart"
	return map[string]string{
		"name": restarts, "running": restarts, "interface.pci": restarts,
		"memory": changes, "vcpus": changes, "disk.size": changes,
		"interface.bridge": changes, "interface.mac": changes, "interface.model": changes, "interface.mtu": changes, "interface.link": changes,
		"interface.impair.on": "TestLimitAtTheHostsEnd", "interface.impair.direction": "TestLimitAtTheHostsEnd", "interface.impair.rate": "TestLimitAtTheHostsEnd",
		"cdrom": "TestInstallerDisc", "clone": "TestClone", "linked": "TestClone", "os_variant": "TestSystemsStart",
	}
}

// TestMatrixIsWhole goes through the table of blocks: every argument of a machine that a domain has needs a row in the matrix,
// or a test of its own, so that none comes without.
func TestMatrixIsWhole(t *testing.T) {
	tests := testsHere(t)
	rows := map[string]bool{}
	for _, a := range (&world{T: t, p: &Provider{}}).matrix() {
		for _, arg := range strings.Fields(a.args) {
			rows[arg] = true
		}
	}
	own, known := elsewhere(), map[string]bool{}
	n := 0
	arguments(table.Root().Block("vm"), "", reflect.TypeFor[schema.Domain](), func(path string) {
		n++
		known[path] = true
		switch name, ok := own[path]; {
		case !ok && strings.HasPrefix(path, "interface.impair."): // which is done in the guest alone
		case ok && rows[path]:
			t.Errorf("%s has a row and is said to be elsewhere", path)
		case ok && !tests[name]:
			t.Errorf("%s is said to be in %s, which there is not", path, name)
		case !ok && !rows[path]:
			t.Errorf("%s has no row in the matrix", path)
		}
	})
	for _, list := range []map[string]bool{rows, namesOf(own)} {
		for path := range list {
			if !known[path] && path != "boot.order" {
				t.Errorf("%s is no argument of a machine", path)
			}
		}
	}
	if n < 50 {
		t.Errorf("only %d arguments were found", n)
	}
}

func namesOf(m map[string]string) map[string]bool {
	out := map[string]bool{}
	for name := range m {
		out[name] = true
	}
	return out
}

// arguments calls f with the path of each argument of the block for which the type has a field.
func arguments(b *table.Block, prefix string, typ reflect.Type, f func(path string)) {
	for typ.Kind() == reflect.Slice || typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	field := func(name string) (reflect.Type, bool) {
		for i := range typ.NumField() {
			if tag, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ","); tag == name {
				return typ.Field(i).Type, true
			}
		}
		return nil, false
	}
	for i := range b.Attrs {
		a := &b.Attrs[i]
		_, there := field(a.Name)
		if path := prefix + a.Name; !a.Computed && (there || path == "linked" || prefix == "interface." && (a.Name == "bridge" || a.Name == "network")) {
			f(path)
		}
	}
	for i := range b.Blocks {
		if inner, ok := field(b.Blocks[i].Kind); ok {
			arguments(&b.Blocks[i], prefix+b.Blocks[i].Kind+".", inner, f)
		}
	}
}

// testsHere are the names of this package's tests.
func testsHere(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range parsed.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok {
				names[f.Name.Name] = true
			}
		}
	}
	return names
}

// TestDeviceThatIsNotThere: a running machine that is given a device that the host has not runs on as it was.
func TestDeviceThatIsNotThere(t *testing.T) {
	w := newWorld(t)
	vm := w.vm("a", func(d *schema.Domain) { d.Timeouts.Shutdown = 0.1 })
	w.apply(vm, provider.Create)
	before := w.virsh("dumpxml", "t-a", "--inactive")
	for _, dev := range []schema.HostDev{{PCI: "0000:7e:1d.0"}, {USB: "dead:beef"}} {
		with := vm
		body(&with).HostDevs = []schema.HostDev{dev}
		c, err := w.plan(&with, with.Addr)
		if err != nil || c.Action != provider.Restart || !saysWhy(c) {
			t.Fatalf("%+v: the plan is %s %q %+v, %v", dev, c.Action, c.Why, c.Details, err)
		}
		if err := w.p.Apply(w.ctx, testLab, c); err == nil {
			t.Errorf("%+v: it was taken", dev)
		} else {
			t.Logf("%+v: %v", dev, err)
		}
		if now := w.virsh("dumpxml", "t-a", "--inactive"); now != before || !w.running() {
			t.Errorf("%+v: the machine is not as it was", dev)
		}
		w.empty(vm)
	}
}
