//go:build sandbox

package libvirt

import (
	"os"
	"strings"
	"testing"

	"github.com/labctl/labctl/internal/osinfo"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// TestSystemsStart gives machines what the distribution's own database says that systems want: QEMU has to start with it, and
// the plan has to be empty. It takes one machine from each system to the next.
func TestSystemsStart(t *testing.T) {
	w := newWorld(t)
	systems := osinfo.NewCatalogue(osinfo.Places(os.Getenv)...)
	of := func(name string) schema.Resource {
		d, err := systems.Defaults(name, "x86_64", "")
		if err != nil || d == nil {
			t.Fatal(name, d, err)
		}
		return w.vm("a", func(b *schema.Domain) {
			b.Timeouts.Shutdown, b.VCPUs, b.MaxVCPUs = 0.1, 2, 3
			b.OSVariant, b.OSID, b.System, b.Machine, b.Firmware = name, d.ID, d.System, d.Machine, d.Firmware
			b.Interfaces[0].Model = d.NIC
			b.Disks = []schema.Disk{{Name: "root", Bus: d.Disk}, {Name: "stick", Size: 1 << 20, Bus: "usb"}}
			b.Graphics = []schema.Graphics{{Type: "vnc"}}
			if d.TPM {
				b.TPM = &schema.TPM{Version: "2.0"}
			}
		})
	}
	first := of("debian11")
	w.apply(first, provider.Create)
	for _, name := range []string{"winxp", "win11", "freebsd13.1", "debian11"} {
		vm := of(name)
		if c := w.apply(vm, provider.Restart); !saysWhy(c) {
			t.Errorf("%s: the restart has no reason: %+v", name, c.Details)
		}
		xml := w.virsh("dumpxml", "--inactive", "t-a")
		if id := body(&vm).OSID; strings.Count(xml, "<libosinfo:os ") != 1 || !strings.Contains(xml, `<libosinfo:os id="`+id+`"/>`) {
			t.Errorf("%s: the domain does not say that it is for %s:\n%s", name, id, xml)
		}
		for _, wants := range []string{
			"<clock offset='" + body(&vm).System.Clock + "'", "<model type='" + body(&vm).System.Video + "'", "model='" + body(&vm).System.USB + "'",
		} {
			if !strings.Contains(xml, wants) {
				t.Errorf("%s: no %s in\n%s", name, wants, xml)
			}
		}
	}
	// The name alone is no reason to restart, and neither is a default that is said.
	plain := of("debian11")
	d := body(&plain)
	d.OSVariant, d.OSID, d.System = "", "", schema.System{}
	w.apply(plain, provider.Update)
	if xml := w.virsh("dumpxml", "--inactive", "t-a"); strings.Contains(xml, "libosinfo") {
		t.Errorf("the domain still says what it is for:\n%s", xml)
	}
	w.apply(of("debian11"), provider.Update)
}
