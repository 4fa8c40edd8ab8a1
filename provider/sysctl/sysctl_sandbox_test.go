//go:build sandbox

package sysctl

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/providertest"
)

// realHarness plays on the kernel of the test's own network namespace.
func realHarness(t *testing.T) providertest.Harness {
	read := func(path string) string {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(data))
	}
	state := func() string {
		files, err := os.ReadDir("/etc/sysctl.d")
		return fmt.Sprint(read("/proc/sys/net/ipv4/ip_forward"), read("/proc/sys/net/ipv4/ip_local_port_range"),
			read("/proc/sys/net/ipv4/conf/all/send_redirects"), files, err)
	}
	set := func(key, value string) error { return os.WriteFile("/proc/sys/"+key, []byte(value), 0o644) }
	// Each case begins with what a new network namespace has.
	for key, value := range map[string]string{"net/ipv4/ip_forward": "0", "net/ipv4/ip_local_port_range": "32768 60999",
		"net/ipv4/conf/all/send_redirects": "1"} {
		if err := set(key, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove("/etc/sysctl.d/90-labctl-bench.conf"); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	before := state()
	return providertest.Harness{
		Lab:  "bench",
		New:  func() provider.Provider { return New(host.Local{}) },
		Want: *want(map[string]string{"net.ipv4.ip_forward": "1", "net.ipv4.ip_local_port_range": "20000 30000"}),
		Variants: []providertest.Variant{{
			Name: "another", Action: provider.Update, Paths: []string{`values["net.ipv4.conf.all.send_redirects"]`},
			Want: *want(map[string]string{"net.ipv4.ip_forward": "1", "net.ipv4.conf.all.send_redirects": "0"}),
		}},
		Mutate: func() error { return set("net/ipv4/ip_forward", "0") },
		Lose:   func() error { return os.Remove("/etc/sysctl.d/90-labctl-bench.conf") },
		Gone: func() error {
			if after := state(); after != before {
				return fmt.Errorf("%s, and before %s", after, before)
			}
			return nil
		},
	}
}

func TestContractOnTheKernel(t *testing.T) { providertest.Run(t, realHarness) }
