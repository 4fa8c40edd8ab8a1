package folder

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

func TestLifeOfAFolder(t *testing.T) {
	f := Folders{host.Local{}, t.TempDir()}
	mark := provider.Mark{Lab: "lab", Addr: schema.Addr{Kind: "vm", Name: "a", Key: `"x y"`}, Version: 1}
	if marks, err := f.List(t.Context(), "lab"); err != nil || len(marks) != 0 {
		t.Fatalf("before anything is made: %v, %v", marks, err)
	}
	paths := []string{f.Of("lab", "lab-a", "0123456789"), f.Of("lab", "lab-a", "9876543210")}
	for _, path := range paths {
		if err := f.Make(t.Context(), path, mark, false); err != nil {
			t.Fatal(err)
		}
	}
	disk := filepath.Join(paths[0], "disk")
	if err := os.WriteFile(disk, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.Make(t.Context(), paths[0], mark, false); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(disk); err != nil {
		t.Error("a folder made again lost what was in it")
	}
	if err := f.Make(t.Context(), paths[0], mark, true); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(disk); err == nil {
		t.Error("a fresh folder has an old disk in it")
	}
	marks, err := f.List(t.Context(), "lab")
	if err != nil || len(marks) != 2 || marks[paths[1]].Addr != mark.Addr {
		t.Errorf("listed %v, %v", marks, err)
	}
	if err := f.Unmark(t.Context(), "lab", paths[1]); err != nil {
		t.Fatal(err)
	}
	if marks, err := f.List(t.Context(), "lab"); err != nil || len(marks) != 1 {
		t.Errorf("after one was let go of: %v, %v", marks, err)
	}
	if err := f.Unmark(t.Context(), "other", paths[0]); err == nil {
		t.Error("another lab's folder lost its mark")
	}
	for _, path := range paths {
		if err := f.Remove(t.Context(), "lab", path); err != nil {
			t.Fatal(err)
		}
	}
	if left, _ := os.ReadDir(filepath.Join(f.Root, "labs")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestRemoveKeepsToTheLab: a path that a mark was given by hand never makes labctl remove anything else.
func TestRemoveKeepsToTheLab(t *testing.T) {
	f := Folders{host.Local{}, t.TempDir()}
	keep := filepath.Join(f.Root, "labs", "lab", "a", "deep")
	if err := os.MkdirAll(keep, 0o755); err != nil {
		t.Fatal(err)
	}
	lab := filepath.Join(f.Root, "labs", "lab")
	for _, tc := range [][2]string{
		{"lab", "/"}, {"lab", f.Root}, {"lab", lab}, {"lab", lab + "/a/deep"}, {"lab", lab + "/../lab"}, {"lab", lab + "/.."},
		{"other", lab + "/a"}, {"", lab}, {"lab/..", lab}, {"lab", "labs/lab/a"}, {"lab", ""},
	} {
		if err := f.Remove(t.Context(), tc[0], tc[1]); err == nil || !strings.Contains(err.Error(), "left alone") {
			t.Errorf("lab %q, path %q: %v, want it left alone", tc[0], tc[1], err)
		}
	}
	if _, err := os.Stat(keep); err != nil {
		t.Error(err)
	}
}
