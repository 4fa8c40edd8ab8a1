package host

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// remote hides that a host is this machine.
type remote struct{ Host }

func TestReadFiles(t *testing.T) {
	root := t.TempDir()
	for name, data := range map[string]string{
		"etc/x/b.conf": "b", "etc/x/a.conf": "a\x00\n", "etc/x/a b.conf": "space", "etc/x/c.txt": "no", "run/x/z.conf": "z", "etc/x/d.conf/e": "folder",
	} {
		if err := (Local{}).WriteFile(t.Context(), filepath.Join(root, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("b.conf", filepath.Join(root, "etc/x/link.conf")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(root, "etc/x/broken.conf")); err != nil {
		t.Fatal(err)
	}
	want := []File{
		{root + "/run/x/z.conf", []byte("z")}, {root + "/etc/x/a b.conf", []byte("space")}, {root + "/etc/x/a.conf", []byte("a\x00\n")},
		{root + "/etc/x/b.conf", []byte("b")}, {root + "/etc/x/link.conf", []byte("b")},
	}
	for name, h := range map[string]Host{"local": Local{}, "remote": remote{Local{}}} {
		got, err := ReadFiles(t.Context(), h, root, "run/x/*.conf", "nothing/*", "etc/x/*.conf")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if none, err := ReadFiles(t.Context(), h, root, "nothing/*"); err != nil || len(none) != 0 {
			t.Errorf("%s: of nothing: %v, %v", name, none, err)
		}
	}
}
