package debian

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
)

// tree writes files into a new folder.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestSuite(t *testing.T) {
	suite, err := suiteOf(tree(t, map[string]string{"etc/os-release": "ID=debian\nVERSION_CODENAME=\"trixie\"\nPRETTY_NAME='Debian 13'\n"}))
	if err != nil || suite != "trixie" {
		t.Errorf("%q, %v", suite, err)
	}
	_, err = suiteOf(tree(t, map[string]string{"etc/os-release": "ID=fedora\nPRETTY_NAME=\"Fedora Linux 44\"\n"}))
	if err == nil || !strings.Contains(err.Error(), "Fedora Linux 44") {
		t.Errorf("on another distribution: %v", err)
	}
}

func TestSources(t *testing.T) {
	root := tree(t, map[string]string{
		"etc/apt/sources.list":                  "# nothing here\n\n",
		"etc/apt/sources.list.d/debian.sources": "Types: deb\nURIs: http://deb.example/debian\n",
		"etc/apt/sources.list.d/own.list":       "deb [signed-by=/x] http://own.example stable main\n",
		"etc/apt/sources.list.d/off.list":       "# deb http://off.example stable main\n",
		"etc/apt/sources.list.d/old.list.bak":   "deb http://old.example stable main\n",
	})
	found, err := sourcesOf(root)
	if err != nil {
		t.Fatal(err)
	}
	for i, path := range found {
		found[i] = filepath.Base(path)
	}
	if !slices.Equal(found, []string{"own.list", "debian.sources"}) {
		t.Errorf("sources: %v", found)
	}
	if _, err := sourcesOf(t.TempDir()); err == nil {
		t.Errorf("a machine with no sources: no error")
	}
}

// speaker is a host whose commands print a text.
type speaker struct {
	host.Local
	out  string
	said []string
	err  error // of unshare
}

func (s *speaker) Run(_ context.Context, c host.Command) (host.Output, error) {
	s.said = append(s.said, strings.Join(c.Args, " "))
	if c.Args[0] == "unshare" {
		return host.Output{}, s.err
	}
	return host.Output{Stdout: []byte(s.out)}, nil
}

func TestProxies(t *testing.T) {
	h := &speaker{out: "Acquire::http::Proxy http://127.0.0.1:3142\nAcquire::http::Proxy::own.example DIRECT\nAcquire::https::Proxy \n"}
	options, err := proxiesOf(t.Context(), h)
	want := []string{`--aptopt=Acquire::http::Proxy "http://127.0.0.1:3142"`, `--aptopt=Acquire::http::Proxy::own.example "DIRECT"`}
	if err != nil || !slices.Equal(options, want) {
		t.Errorf("%q, %v", options, err)
	}
}

// What mmdebstrap complains of comes first; the rest of what it said is at hand.
func TestInstallSaysWhy(t *testing.T) {
	failed := &host.CommandError{
		Args: []string{"unshare"}, Exit: 25,
		Stderr: "I: automatically chosen format: directory\nE: Unable to locate package nosuch\nE: apt-get failed\nW: cleanup\n",
	}
	err := lastLine(failed)
	if err.Error() != "mmdebstrap: apt-get failed" {
		t.Errorf("the reason: %v", err)
	}
	if plain := errors.New("plain"); lastLine(plain) != plain {
		t.Errorf("another error is changed")
	}
}

func TestInstallCommand(t *testing.T) {
	root := tree(t, map[string]string{
		"etc/os-release": "ID=debian\nVERSION_CODENAME=bookworm\n", "etc/apt/sources.list": "deb http://deb.example/debian bookworm main\n",
	})
	h := &speaker{}
	if err := install(t.Context(), h, "/pool/new/root", Options{Packages: []string{"nmap"}, Root: root}); err != nil {
		t.Fatal(err)
	}
	command := h.said[len(h.said)-1]
	if !strings.HasPrefix(command, "unshare --mount") || !strings.HasSuffix(command, " bookworm /pool/new/root "+filepath.Join(root, "etc/apt/sources.list")) {
		t.Errorf("command: %s", command)
	}
	if !strings.Contains(command, ",nmap ") || !strings.Contains(command, "cloud-init,") {
		t.Errorf("packages: %s", command)
	}
	h.err = &host.CommandError{Args: []string{"unshare"}, Exit: 1, Stderr: "W: slow\nE: no network\n"}
	err := install(t.Context(), h, "/pool/new/root", Options{Root: root})
	known, ok := errors.AsType[*provider.Error](err)
	if !ok || !strings.Contains(known.Error(), "no network") || !strings.Contains(known.Hint, "etc/apt/sources.list") {
		t.Errorf("a failed installation: %#v", err)
	}
}

// Two guests of one image share no identity.
func TestFinish(t *testing.T) {
	root := tree(t, map[string]string{
		"etc/machine-id": "0123456789abcdef\n", "etc/hostname": "builder\n", "etc/resolv.conf": "nameserver 192.0.2.1\n",
		"etc/ssh/ssh_host_ed25519_key": "secret", "etc/ssh/sshd_config": "kept", "var/lib/apt/lists/x_Packages": "x",
		"etc/apt/apt.conf.d/99mmdebstrap": "x", "etc/dpkg/dpkg.cfg.d/99mmdebstrap": "x", "var/lib/dbus/machine-id": "x",
	})
	if err := finish(root); err != nil {
		t.Fatal(err)
	}
	if id, err := os.ReadFile(filepath.Join(root, "etc/machine-id")); err != nil || len(id) != 0 {
		t.Errorf("machine-id %q, %v", id, err)
	}
	for _, name := range []string{
		"etc/hostname", "etc/ssh/ssh_host_ed25519_key", "var/lib/apt/lists/x_Packages", "etc/apt/apt.conf.d/99mmdebstrap", "var/lib/dbus/machine-id",
	} {
		if _, err := os.Lstat(filepath.Join(root, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
	for name, want := range map[string]string{"etc/ssh/sshd_config": "kept", "etc/fstab": "LABEL=" + label, "etc/cloud/cloud.cfg.d/90_labctl.cfg": "NoCloud"} {
		if text, err := os.ReadFile(filepath.Join(root, name)); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s is %q, %v", name, text, err)
		}
	}
	if target, err := os.Readlink(filepath.Join(root, "etc/resolv.conf")); err != nil || !strings.Contains(target, "stub-resolv") {
		t.Errorf("resolv.conf leads to %q, %v", target, err)
	}
}

func TestTakeOut(t *testing.T) {
	root := tree(t, map[string]string{"boot/vmlinuz-6.1.0-10-cloud-amd64": "ten", "boot/vmlinuz-6.1.0-11-cloud-amd64": "eleven"})
	to := filepath.Join(t.TempDir(), "kernel")
	if err := takeOut(root, "vmlinuz", to); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(to); string(text) != "eleven" {
		t.Errorf("took %q", text)
	}
	if err := takeOut(root, "initrd.img", to); err == nil {
		t.Errorf("no initrd: no error")
	}
}
