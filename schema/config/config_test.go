package config

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/diag"
)

// load reads a lab that must be without errors.
func load(t testing.TB, dir string, opts Options) *Result {
	t.Helper()
	res, diags := Load(dir, opts)
	if diags.HasErrors() {
		var b bytes.Buffer
		if err := diag.Text(&b, diags, res.Files, false, 100); err != nil {
			t.Fatal(err)
		}
		t.Fatalf("load %s:\n%s", dir, b.String())
	}
	return res
}

// write puts a lab's files into a folder of its own.
func write(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// body is the body of a resource of the lab.
func body[T any](t testing.TB, lab *schema.Lab, addr string) *T {
	t.Helper()
	for _, r := range lab.Resources {
		if r.Addr.String() == addr {
			typed, ok := r.Body.(*T)
			if !ok {
				t.Fatalf("%s is a %T", addr, r.Body)
			}
			return typed
		}
	}
	t.Fatalf("the lab has no %s", addr)
	return nil
}

func TestScratch(t *testing.T) {
	res := load(t, os.Getenv("LABDIR"), Options{})
	out, _ := json.MarshalIndent(res.Lab, "", " ")
	os.Stdout.Write(out)
}
