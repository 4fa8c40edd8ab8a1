//go:build sandbox

package guest_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/labctl/labctl/internal/guest"
	"github.com/labctl/labctl/internal/helper"
	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/schema"
)

// TestMain makes this test's program the script that udhcpc calls, as labctl-guest is in a guest.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == helper.Lease {
		root := os.Getenv("LEASE_ROOT")
		if err := (guest.System{Root: root, Host: host.Local{}}).Lease(context.Background(), os.Args[2], os.Getenv); err != nil {
			_ = os.WriteFile(filepath.Join(root, "lease-error"), []byte(err.Error()), 0o600)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestLeaseIsTakenAndLetGo(t *testing.T) {
	s := machine(t)
	t.Setenv("LEASE_ROOT", s.Root)
	neighbour(t, "server", "fara", "192.168.111.1/24", "")
	dir := t.TempDir()
	leases := filepath.Join(dir, "leases")
	config := filepath.Join(dir, "udhcpd.conf")
	text := "interface fara\nstart 192.168.111.50\nend 192.168.111.50\nlease_file " + leases + "\npidfile " + dir + "/pid\n" +
		"opt router 192.168.111.1\nopt dns 192.168.111.2\nopt domain lab.test\nopt subnet 255.255.255.0\nopt lease 600\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(leases, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "sh", "-c", "ip netns exec server busybox udhcpd -f "+config+" >/dev/null 2>&1 &")
	t.Cleanup(func() { run(t, "sh", "-c", "kill $(cat "+dir+"/pid)") })

	g := &schema.Guest{Domain: "x", Interfaces: []schema.GuestInterface{{Name: "eth0", MAC: mac0, DHCP4: true, ConnectedRoute: true}}}
	converge(t, s, g)
	routes := func() string { return run(t, "ip", "-4", "route", "show", "default", "dev", "eth0") }
	for end := time.Now().Add(15 * time.Second); !strings.Contains(routes(), "via 192.168.111.1"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			failed, _ := os.ReadFile(filepath.Join(s.Root, "lease-error"))
			t.Fatalf("no lease came: %s", failed)
		}
	}
	if out := run(t, "ip", "-4", "addr", "show", "dev", "eth0"); !strings.Contains(out, "192.168.111.50/24") || !strings.Contains(out, "dynamic") {
		t.Errorf("address: %s", out)
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if dns, err := os.ReadFile(filepath.Join(s.Root, "etc/resolv.conf")); err == nil {
			if !strings.Contains(string(dns), "nameserver 192.168.111.2\n") || !strings.Contains(string(dns), "search lab.test\n") {
				t.Errorf("resolv.conf: %s", dns)
			}
			break
		} else if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	if again := converge(t, s, g); len(again.Changed) > 0 {
		t.Errorf("a lease is a difference: %q", again.Changed)
	}
	g.Interfaces[0].DHCP4 = false
	g.Interfaces[0].Addresses = []string{"192.168.111.77/24"}
	if have := snapshot(t, s, g).Guest; !have.Interfaces[0].DHCP4 {
		t.Error("the running client is not seen")
	}
	converge(t, s, g)
	if out := run(t, "ip", "-4", "addr", "show", "dev", "eth0"); strings.Contains(out, "192.168.111.50") || routes() != "" {
		t.Errorf("the lease stayed: %s%s", out, routes())
	}
}
