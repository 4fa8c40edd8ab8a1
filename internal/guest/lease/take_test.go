package lease_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/guest/lease"
)

func TestParse(t *testing.T) {
	env := map[string]string{
		"interface": "eth0", "ip": "10.0.0.5", "mask": "24", "router": "10.0.0.1 10.0.0.2", "dns": "10.0.0.3", "domain": "x.test", "lease": "600",
	}
	got, err := lease.Parse(func(name string) string { return env[name] })
	want := lease.Lease{
		Interface: "eth0", Address: netip.MustParsePrefix("10.0.0.5/24"), Servers: []string{"10.0.0.3"}, Domain: "x.test", Seconds: 600,
		Routers: []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); err != nil || diff != "" {
		t.Error(err, diff)
	}
	for name, bad := range map[string]string{"interface": "", "ip": "x", "mask": "255.255.255.0", "router": "here", "lease": "long"} {
		broken := func(key string) string {
			if key == name {
				return bad
			}
			return env[key]
		}
		if l, err := lease.Parse(broken); err == nil {
			t.Errorf("%s = %q was taken: %+v", name, bad, l)
		}
	}
}
