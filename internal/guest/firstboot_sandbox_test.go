//go:build sandbox

package guest_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labctl/labctl/internal/guest/native"
	"github.com/labctl/labctl/internal/host"
)

// TestFirstBootTakesNetplanOver plays a distribution whose cloud-init has just had netplan configure the network: the boot leaves
// the system's own files as the lab's, and the converge after it has nothing to do but to mark them.
func TestFirstBootTakesNetplanOver(t *testing.T) {
	s, g := machine(t), router()
	seed, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"run/seed/labctl/guest.json": string(seed), native.CloudNetplan: "network: {version: 2}\n", "usr/sbin/netplan": "", "etc/nftables.conf": "#!/usr/sbin/nft -f\n",
		"etc/cloud/cloud.cfg.d/90_own.cfg": "",
	} {
		if err := (host.Local{}).WriteFile(t.Context(), filepath.Join(s.Root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := s.Boot(t.Context()); err != nil || len(r.Problems) > 0 {
		t.Fatalf("%+v, %v", r.Problems, err)
	}
	for name, want := range map[string]string{
		native.NetplanFile: `- "10.0.0.2/24"`, native.CloudNetplan: "It was cloud-init's", "/etc/nftables.conf": "oifname \"eth0\" masquerade",
		"/etc/sysctl.d/90-labctl.conf": "net.ipv4.ip_forward = 1", "/etc/cloud/cloud.cfg.d/99-labctl-network.cfg": "disabled",
	} {
		if text, err := os.ReadFile(filepath.Join(s.Root, name)); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %v, %q", name, err, text)
		}
	}
	if r := converge(t, s, g); len(r.Changed) > 0 {
		t.Errorf("the converge after it changed %q", r.Changed)
	}
}
