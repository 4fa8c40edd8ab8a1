package disk

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/labctl/labctl/internal/host"
)

// TestSuperblockOfMke2fs reads what the real mke2fs has written.
func TestSuperblockOfMke2fs(t *testing.T) {
	for args, want := range map[string][2]uint64{"1024": {20 << 10, 1024}, "4096": {5 << 10, 4096}} {
		file := filepath.Join(t.TempDir(), "disk")
		if _, err := (host.Local{}).Run(t.Context(), host.Cmd("/sbin/mke2fs", "-q", "-t", "ext4", "-O", "64bit", "-b", args, file, "20M")); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		blocks, size, ok := parseSuperblock(data[superblockAt:])
		if !ok || blocks != want[0] || size != want[1] {
			t.Errorf("-b %s: %d blocks of %d bytes, %t", args, blocks, size, ok)
		}
	}
	if _, _, ok := parseSuperblock(make([]byte, 1024)); ok {
		t.Error("nothing is taken for an ext4")
	}
}

func TestNothingGrowsWhereNothingIsMounted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "labctl")
	for range 2 {
		if did, err := Grow(dir); did != "" || err != nil {
			t.Errorf("%q, %v", did, err)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}
