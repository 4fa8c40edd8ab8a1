package config

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/schema/diag"
)

var update = flag.Bool("update", false, "write golden files anew")

// TestBadInput holds what is said about each mistake in testdata/bad against what was agreed on. With -update it writes anew.
func TestBadInput(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.hcl")
	if err != nil || len(files) < 25 {
		t.Fatalf("%d bad labs, error %v", len(files), err)
	}
	codes := make(map[string]bool)
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".hcl"), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			res, diags := Load("lab", Options{Overlay: map[string][]byte{"lab/lab.hcl": text}, Version: "0.1.0", Systems: systems{}})
			if len(diags) == 0 {
				t.Fatal("nothing is wrong with it")
			}
			for _, d := range diags {
				code := diag.CodeOf(d)
				if _, ok := diag.Explain(code); !ok {
					t.Errorf("%q has the code %q, which is not explained", d.Summary, code)
				}
				codes[code] = true
			}
			var got bytes.Buffer
			if err := diag.Text(&got, diags, res.Files, false, 100); err != nil {
				t.Fatal(err)
			}
			golden(t, strings.TrimSuffix(path, ".hcl")+".golden", got.Bytes())
		})
	}
	for _, e := range diag.Codes() {
		if !codes[e.Code] {
			t.Logf("no bad lab shows %s (%s)", e.Code, e.Title)
		}
	}
}

// golden compares with a file, or writes it.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (-want +got):\n%s", path, d)
	}
}
