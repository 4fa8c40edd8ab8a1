//go:build sandbox

package native_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labctl/labctl/internal/guest/native"
	"github.com/labctl/labctl/internal/host"
)

// TestNetplanTakesItsFile has the real netplan make networkd's files of ours.
func TestNetplanTakesItsFile(t *testing.T) {
	root := t.TempDir()
	h := host.Local{}
	for _, f := range native.Files(native.Netplan, router(), func(path string) bool { return path == native.CloudNetplan }) {
		if strings.HasPrefix(f.Path, "/etc/netplan/") {
			if err := h.WriteFile(t.Context(), filepath.Join(root, f.Path), []byte(f.Content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	out, err := h.Run(t.Context(), host.Cmd("netplan", "generate", "--root-dir", root))
	if err != nil || len(out.Stderr) > 0 {
		t.Fatalf("%v: %s", err, out.Stderr)
	}
	text, err := os.ReadFile(filepath.Join(root, "run/systemd/network/10-netplan-eth1.network"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"MACAddress=52:54:00:aa:00:02", "Address=10.1.0.1/24", "DNS=10.0.0.53", "Domains=lab.test", "Destination=10.9.0.0/16", "Gateway=10.1.0.9",
		"GatewayOnLink=true", "Metric=50", "Table=100", "PreferredSource=10.1.0.1", "Destination=10.7.0.0/16", "Scope=link",
	} {
		if !strings.Contains(string(text), line+"\n") {
			t.Errorf("%s is not in\n%s", line, text)
		}
	}
}
