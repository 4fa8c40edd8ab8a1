//go:build sandbox

package nat_test

import (
	"context"
	"testing"

	"github.com/labctl/labctl/internal/host"
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
