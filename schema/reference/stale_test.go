package reference

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/labctl/labctl/schema/table"
)

var update = flag.Bool("update", false, "write docs/reference anew")

// TestReferenceIsUpToDate holds docs/reference against what the table makes. With -update it writes it anew.
func TestReferenceIsUpToDate(t *testing.T) {
	root, dir := table.Root(), filepath.Join("..", "..", "docs", "reference")
	pages := Pages(root)
	text, err := json.MarshalIndent(JSONSchema(root), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	pages["lab.schema.json"] = string(text) + "\n"
	if *update {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, page := range pages {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(page), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		page, ok := pages[entry.Name()]
		if !ok {
			t.Errorf("docs/reference/%s is made by nothing", entry.Name())
			continue
		}
		delete(pages, entry.Name())
		have, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if string(have) != page {
			t.Errorf("docs/reference/%s is stale: run go test ./schema/reference -update", entry.Name())
		}
	}
	for name := range pages {
		t.Errorf("docs/reference/%s is missing: run go test ./schema/reference -update", name)
	}
}
