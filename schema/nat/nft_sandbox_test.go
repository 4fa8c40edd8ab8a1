//go:build sandbox

package nat_test

import (
	"context"
	"testing"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/internal/nft"
	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/nat"
)

// check gives the rules to the real nft and the kernel, which change nothing.
func check(t *testing.T, n schema.NAT) {
	t.Helper()
	text := nat.Compile(n)
	_, err := host.Local{}.Run(context.Background(), host.Command{Args: []string{"nft", "-c", "-f", "-"}, Stdin: []byte(text)})
	if err != nil {
		t.Errorf("%+v: %v\n%s", n, err, text)
	}
}

func TestNftAcceptsExamples(t *testing.T) {
	for name, n := range examples() {
		t.Run(name, func(t *testing.T) { check(t, n) })
	}
}

// What the kernel lists after loading is what a scratch namespace lists: no phantom difference.
func TestLoadedIsAsDeclared(t *testing.T) {
	for name, n := range examples() {
		t.Run(name, func(t *testing.T) {
			text := nat.Compile(n)
			if err := nft.Replace(t.Context(), host.Local{}, text); err != nil {
				t.Fatal(err)
			}
			have, _, err := nft.List(t.Context(), host.Local{})
			if err != nil {
				t.Fatal(err)
			}
			want, _, err := nft.Scratch(t.Context(), host.Local{}, text)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range nft.Diff(have, want) {
				t.Errorf("differs: %+v", d)
			}
			if len(have.Tables) != 1 {
				t.Errorf("%d tables are loaded", len(have.Tables))
			}
		})
	}
}

func TestNftAcceptsWhateverHasNoProblem(t *testing.T) {
	const wanted = 300
	accepted := 0
	for seed := uint64(0); accepted < wanted; seed++ {
		n := generated(seed)
		if len(nat.Problems(n)) > 0 {
			continue
		}
		accepted++
		check(t, n)
		if t.Failed() {
			return
		}
	}
}
