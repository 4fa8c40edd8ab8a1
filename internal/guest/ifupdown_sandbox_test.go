//go:build sandbox

package guest_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/labctl/labctl/internal/guest/native"
	"github.com/labctl/labctl/schema"
)

// TestIfupBringsUpWhatIsDeclared: of the file that labctl writes, each of the three programs called ifup makes, by itself, all that
// is declared of interfaces, addresses and routes.
func TestIfupBringsUpWhatIsDeclared(t *testing.T) {
	parts, err := filepath.Abs("../../.cache/alpine")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(parts); err != nil {
		t.Fatalf("%v: run make alpine", err)
	}
	g := router()
	g.Ruleset, g.Sysctl, g.Files, g.Hosts, g.Nameservers, g.Search, g.Hostname, g.Forwarding = nil, nil, nil, nil, nil, nil, "", false
	g.Routes = append(g.Routes, schema.Route{To: "2001:db8:7::/64", Via: "2001:db8::7", Metric: 7}, schema.Route{To: "10.7.0.0/16", Interface: "eth1"})
	for tool, command := range map[string]string{
		"ifupdown-ng": parts + "/ng/sbin/ifup -a -E " + parts + "/ng/usr/libexec/ifupdown-ng -S $work/state",
		"ifupdown":    parts + "/classic/sbin/ifup -a --state-dir=$work",
		// With its own ip, as on a system that has nothing else.
		"BusyBox": "ip address flush dev lo; ln -s $(command -v busybox) $work/ip; PATH=$work:$PATH; busybox ifup -a",
	} {
		t.Run(tool, func(t *testing.T) {
			s := machine(t)
			for near, name := range map[string]string{"kernela": "eth0", "kernelb": "eth1"} {
				run(t, "ip", "link", "set", near, "name", name)
			}
			text := native.Files(native.Ifupdown, g, func(string) bool { return false })[0].Content
			if err := os.WriteFile(filepath.Join(s.Root, "interfaces"), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			// The folders of scripts that its package brings.
			script := "set -e; work=" + s.Root + "; export LD_LIBRARY_PATH=" + parts + "/ng/usr/lib/x86_64-linux-gnu\n" +
				"mount -t tmpfs tmpfs /etc; cd /etc; mkdir -p network/if-pre-up.d network/if-up.d\n" + command + " -i $work/interfaces"
			run(t, "unshare", "--mount", "sh", "-c", script)
			r := snapshot(t, s, g)
			r.Kept = true
			expect(t, r, g)
		})
	}
}
