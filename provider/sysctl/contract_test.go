package sysctl

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/providertest"
)

// line is a host that is reached over a line which can be cut.
type line struct {
	host.Host
	cut bool
}

func (l *line) Run(ctx context.Context, c host.Command) (host.Output, error) {
	if l.cut {
		return host.Output{}, fmt.Errorf("no answer")
	}
	return l.Host.Run(ctx, c)
}

func harness(t *testing.T) providertest.Harness {
	system := kernel(t, machine)
	before := normalAll(tree(t, system))
	far := &line{Host: host.Local{}}
	write := func(key, value string) error { return os.WriteFile(system.procPath(key), []byte(value+"\n"), 0o644) }
	return providertest.Harness{
		Lab: "bench",
		New: func() provider.Provider {
			p := New(far)
			p.Root = system.Root
			return p
		},
		Want: *want(map[string]string{"net.ipv4.ip_forward": "1", "kernel.hostname": "lab"}),
		Variants: []providertest.Variant{
			{Name: "value", Want: *want(map[string]string{"net.ipv4.ip_forward": "1", "kernel.hostname": "other"}),
				Action: provider.Update, Paths: []string{`values["kernel.hostname"]`}},
			{Name: "one goes and one comes", Want: *want(map[string]string{"net.ipv4.ip_forward": "1", "net.ipv4.conf.eth0/7.rp_filter": "1"}),
				Action: provider.Update, Paths: []string{`values["kernel.hostname"]`, `values["net.ipv4.conf.eth0/7.rp_filter"]`}},
		},
		Foreign: func() error {
			other := want(map[string]string{"net.ipv4.ip_forward": "2"})
			return system.Apply(t.Context(), "other", provider.Change{Addr: other.Addr, Action: provider.Create, Want: other})
		},
		Survives: func() error {
			if now := tree(t, system); now["/proc/sys/net/ipv4/ip_forward"] != "2" || now["/etc/sysctl.d/90-labctl-bench.conf"] != "" {
				return fmt.Errorf("there is %v", now)
			}
			return nil
		},
		Mutate: func() error { return write("net.ipv4.ip_forward", "0") },
		Lose:   func() error { return os.Remove(filepath.Join(system.Root, "etc/sysctl.d/90-labctl-bench.conf")) },
		Down: func() (func(), error) {
			far.cut = true
			return func() { far.cut = false }, nil
		},
		Gone: func() error {
			if diff := cmp.Diff(before, normalAll(tree(t, system))); diff != "" {
				return fmt.Errorf("%s", diff)
			}
			return nil
		},
	}
}

func TestContract(t *testing.T) { providertest.Run(t, harness) }
