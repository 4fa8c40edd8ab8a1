//go:build sandbox

package nftables

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/providertest"
	"github.com/labctl/labctl/schema"
)

func nftCommand(words string) error {
	_, err := host.Local{}.Run(context.Background(), host.Command{Args: []string{"nft", "-f", "-"}, Stdin: []byte(words)})
	return err
}

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
	system := clean(t)
	t.Cleanup(func() { _ = nftCommand("flush ruleset") })
	if err := nftCommand("table inet site { chain c { counter; }; }"); err != nil {
		t.Fatal(err)
	}
	before := run(t, "nft", "list", "ruleset")
	far := &line{Host: host.Local{}}
	with := func(text string) schema.Resource {
		r := rules(text)
		r.Deps = []schema.Addr{{Kind: "bridge", Name: "br0"}}
		return r
	}
	const stranger = "table inet filter { chain theirs { counter packets 3 bytes 4; }; }"
	return providertest.Harness{
		Lab: lab,
		New: func() provider.Provider {
			p := New(far)
			p.Root = system.Root
			return p
		},
		Want: with(nat + filter),
		Variants: []providertest.Variant{
			{Name: "rule", Want: with(nat + strings.Replace(filter, "invalid : drop", "invalid : accept", 1)), Action: provider.Update,
				Paths: []string{`table["inet filter"].chain.in.rule`}},
			{Name: "table goes", Want: with(nat), Action: provider.Update, Paths: []string{`table["inet filter"]`}},
			{Name: "table comes", Want: with(nat + filter + "table arp x {\n}\n"), Action: provider.Update, Paths: []string{`table["arp x"]`}},
		},
		Foreign: func() error { return nftCommand(stranger) },
		Survives: func() error {
			if all := run(t, "nft", "list", "ruleset"); !strings.Contains(all, "packets 3 bytes 4") || strings.Contains(all, "labctl") {
				return fmt.Errorf("there is %s", all)
			}
			return nil
		},
		Mutate: func() error { return nftCommand("add rule inet filter in counter") },
		Lose:   func() error { return nftCommand("delete table inet filter") },
		Down: func() (func(), error) {
			far.cut = true
			return func() { far.cut = false }, nil
		},
		Gone: func() error {
			if after := run(t, "nft", "list", "ruleset"); after != before {
				return fmt.Errorf("%s", after)
			}
			return filepath.Walk(filepath.Join(system.Root, "etc"), func(name string, info os.FileInfo, err error) error {
				if err == nil && !info.IsDir() {
					err = fmt.Errorf("%s", name)
				}
				if os.IsNotExist(err) {
					err = nil
				}
				return err
			})
		},
	}
}

func TestContract(t *testing.T) { providertest.Run(t, harness) }
