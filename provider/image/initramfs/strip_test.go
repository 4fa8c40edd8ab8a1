package initramfs

import (
	"bytes"
	"debug/elf"
	"os"
	"path/filepath"
	"testing"

	"github.com/labctl/labctl/internal/host"
)

func TestStripModule(t *testing.T) {
	dir := t.TempDir()
	source, object := filepath.Join(dir, "f.c"), filepath.Join(dir, "f.o")
	if err := os.WriteFile(source, []byte("extern int other; int f(void) { return other; }"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (host.Local{}).Run(t.Context(), host.Cmd("gcc", "-O1", "-g", "-c", "-o", object, source)); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(object)
	if err != nil {
		t.Fatal(err)
	}
	stripped, err := Strip(append(bytes.Clone(data), "signature~Module signature appended~\n"...))
	if err != nil {
		t.Fatal(err)
	}
	if len(stripped) >= len(data) || bytes.Contains(stripped, []byte("Module signature")) {
		t.Errorf("%d bytes of %d", len(stripped), len(data))
	}
	before, _ := elf.NewFile(bytes.NewReader(data))
	after, err := elf.NewFile(bytes.NewReader(stripped))
	if err != nil {
		t.Fatal(err)
	}
	if after.Section(".comment") != nil {
		t.Errorf(".comment is still there")
	}
	for i, section := range after.Sections {
		if section.Type == elf.SHT_NULL || section.Type == elf.SHT_NOBITS {
			continue
		}
		was, _ := before.Sections[i].Data()
		is, err := section.Data()
		if err != nil || !bytes.Equal(was, is) || section.Link != before.Sections[i].Link {
			t.Errorf("section %d %s is not what it was: %v", i, section.Name, err)
		}
	}
}
