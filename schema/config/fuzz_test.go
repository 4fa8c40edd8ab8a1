package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/diag"
)

// seeds are all labs at hand, good and bad.
func seeds(f *testing.F) [][]byte {
	var out [][]byte
	for _, pattern := range []string{"testdata/bad/*.hcl", "../../examples/*/lab.hcl"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			f.Fatalf("%s: %d files, error %v", pattern, len(paths), err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			out = append(out, text)
		}
	}
	return out
}

// FuzzLoad: whatever the file holds, reading it ends, and what is said about it can be shown.
func FuzzLoad(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(string(seed), false)
	}
	f.Add(`{"lab": {"x": {}}, "bridge": {"br0": {"addresses": ["10.0.0.1/24"]}}}`, true)
	f.Add("lab \"x\" {}\nvm \"a\" {\n dynamic \"interface\" {\n for_each = [1]\n labels = [\"e\"]\n content {}\n}\n}", false)
	f.Fuzz(func(t *testing.T, text string, isJSON bool) {
		if strings.Contains(text, "range(") || strings.Contains(text, "count") || strings.Contains(text, "fileset") {
			return // a lab may ask for a hundred thousand machines; that is slow and no fault
		}
		name := "fuzz/lab.hcl"
		if isJSON {
			name += ".json"
		}
		res, diags := Load("fuzz", Options{Overlay: map[string][]byte{name: []byte(text)}})
		var b bytes.Buffer
		if err := diag.Text(&b, diags, res.Files, true, 80); err != nil {
			t.Fatal(err)
		}
		if res.Lab == nil && !diags.HasErrors() {
			t.Fatal("there is no lab, and nothing is said about it")
		}
		for _, d := range diags {
			if _, ok := diag.Explain(diag.CodeOf(d)); !ok {
				t.Errorf("%q has no code", d.Summary)
			}
		}
		if res.Lab == nil {
			return
		}
		for _, r := range res.Lab.Resources {
			if _, err := schema.ParseAddr(r.Addr.String()); err != nil {
				t.Errorf("the lab has the address %q: %v", r.Addr, err)
			}
			res.Range(r.Addr, "interface.eth0.addresses[0]")
		}
	})
}

// FuzzParseAddr: an address that can be read is written as it was read, and read again the same.
func FuzzParseAddr(f *testing.F) {
	for _, seed := range []string{
		"bridge.br0", `vm.nat["a"]`, `vm.nat["a"].guest`, "host", "host.sysctl", "host.h1.nftables", "vm.guest.guest",
		`module.site["a.b"].module.x[0].vm.m`, `module.a`, `vm.a["\""]`, `vm.a["]"].guest`, "vm", "", "vm.a[1", "vm..a", "vm.a[b-1]", "module.m[x].vm.a[_]",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		addr, err := schema.ParseAddr(text)
		if err != nil {
			return
		}
		again, err := schema.ParseAddr(addr.String())
		if err != nil || again != addr {
			t.Errorf("%q is read as %#v, written %q, and that is read as %#v, error %v", text, addr, addr.String(), again, err)
		}
	})
}
