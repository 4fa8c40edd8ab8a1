package sandbox

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestMissingProgramsNameThePackagesToInstall(t *testing.T) {
	if err := missingError(nil); err != nil {
		t.Errorf("nothing is missing, yet: %v", err)
	}
	err := missingError([]Program{{networkd, "systemd"}, {"libvirtd", "libvirt-daemon-system"}, {"virtlogd", "libvirt-daemon-system"}})
	want := "this machine lacks systemd-networkd, libvirtd, virtlogd: run\n" +
		"  apt-get install --no-install-recommends systemd libvirt-daemon-system"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestLookPath(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	program, text := filepath.Join(dir, "lab-program"), filepath.Join(dir, "lab-text")
	for path, mode := range map[string]os.FileMode{program: 0o755, text: 0o644} {
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := lookPath("lab-program"); got != program || err != nil {
		t.Errorf("in PATH: got %q, %v", got, err)
	}
	if got, err := lookPath("sh"); err != nil {
		t.Errorf("beside PATH: got %q, %v", got, err)
	}
	if _, err := lookPath("lab-text"); !errors.Is(err, errNotFound) {
		t.Errorf("a text is no program: %v", err)
	}
	if _, err := lookPath(text); !errors.Is(err, os.ErrPermission) {
		t.Errorf("a text by its path: %v", err)
	}
	if _, err := lookPath(dir); !errors.Is(err, os.ErrPermission) {
		t.Errorf("a folder: %v", err)
	}
	if _, err := lookPath("lab-nothing"); !errors.Is(err, errNotFound) {
		t.Errorf("nothing: %v", err)
	}
}
