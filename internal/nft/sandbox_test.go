//go:build sandbox

package nft_test

import (
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/internal/nft"
)

func TestScratchIsWhatTheKernelLists(t *testing.T) {
	text, err := os.ReadFile("testdata/hard.nft")
	if err != nil {
		t.Fatal(err)
	}
	h := host.Local{}
	want, listing, err := nft.Scratch(t.Context(), h, string(text), "eth0", "eth1")
	if err != nil {
		t.Fatal(err)
	}
	if len(want.Tables) != 4 {
		t.Fatalf("%d tables in\n%s", len(want.Tables), listing)
	}
	empty, _, err := nft.List(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	if len(empty.Tables) != 0 {
		t.Fatalf("the scratch load leaked: %+v", empty)
	}
	for _, link := range []string{"eth0", "eth1"} {
		if _, err := h.Run(t.Context(), host.Cmd("ip", "link", "add", link, "type", "veth")); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second time over a ruleset that is there
		if err := nft.Replace(t.Context(), h, string(text)); err != nil {
			t.Fatal(err)
		}
		have, _, err := nft.List(t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		if d := nft.Diff(have, want); len(d) != 0 {
			t.Fatalf("phantom differences: %+v", d)
		}
	}
	if err := nft.Load(t.Context(), h, "insert rule inet filter input tcp dport 9 drop"); err != nil {
		t.Fatal(err)
	}
	have, _, err := nft.List(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]nft.Difference{{Table: "inet filter", Chain: "input", Kind: "rule", Old: "tcp dport 9 drop"}},
		nft.Diff(have, want)); diff != "" {
		t.Error(diff)
	}
}

func TestRefusedNamesTheLine(t *testing.T) {
	text := "table ip x {\n  chain c {\n    tcp dprt 22 accept\n  }\n}\n"
	for name, load := range map[string]func() error{
		"scratch": func() error { _, _, err := nft.Scratch(t.Context(), host.Local{}, text); return err },
		"replace": func() error { return nft.Replace(t.Context(), host.Local{}, text) },
	} {
		bad, ok := errors.AsType[*nft.RefusedError](load())
		if !ok {
			t.Fatalf("%s: it was taken", name)
		}
		if len(bad.Lines) != 1 || bad.Lines[0].Line != 3 || bad.Lines[0].Column != 9 {
			t.Errorf("%s: %+v", name, bad.Lines)
		}
	}
}
