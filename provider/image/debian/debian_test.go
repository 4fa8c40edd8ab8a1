package debian

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
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
	const own = "deb [arch=amd64 signed-by=/keys/own.gpg] http://own.example bookworm-own main\n"
	const debian = "Types: deb deb-src\n# of the installer\nURIs: http://deb.example/debian\nSuites: bookworm bookworm-updates\nSigned-By: /keys/debian.gpg\n"
	root := tree(t, map[string]string{
		"etc/apt/sources.list": "# nothing here\n\n",
		"etc/apt/sources.list.d/debian.sources": "\n" + debian + "\nTypes: deb\nURIs: http://old.example\nSuites: bullseye\n \nTypes: deb\n" +
			"Enabled: no\nURIs: http://off.example\nSuites: bookworm\n",
		"etc/apt/sources.list.d/own.list":     own + "deb-src http://own.example bookworm main\ndeb http://own.example bookwormish main\n",
		"etc/apt/sources.list.d/off.list":     "# deb http://off.example bookworm main\n",
		"etc/apt/sources.list.d/foreign.list": "deb https://foreign.example stable main\n",
		"etc/apt/sources.list.d/old.list.bak": "deb http://old.example bookworm main\n",
		"keys/own.gpg":                        "own key", "keys/debian.gpg": "not this one",
	})
	sources, err := sourcesOf(root, "bookworm")
	if err != nil {
		t.Fatal(err)
	}
	want := aptSources{
		files:    map[string]string{"/etc/apt/sources.list.d/debian.sources": debian, "/etc/apt/sources.list.d/own.list": own},
		keyrings: []string{"/keys/debian.gpg", "/keys/own.gpg"},
	}
	if !reflect.DeepEqual(sources, want) {
		t.Errorf("sources: %q", sources)
	}
	guest := tree(t, map[string]string{"keys/debian.gpg": "its own", "etc/apt/sources.list": "mmdebstrap's", "etc/apt/sources.list.d/0000own.list": "too"})
	if err := sources.install(root, guest); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"keys/debian.gpg": "its own", "keys/own.gpg": "own key", "etc/apt/sources.list.d/own.list": own, "etc/apt/sources.list.d/debian.sources": debian,
		"etc/apt/sources.list": "", "etc/apt/sources.list.d/0000own.list": "",
	} {
		if text, _ := os.ReadFile(filepath.Join(guest, name)); string(text) != want {
			t.Errorf("the guest's %s is %q, not %q", name, text, want)
		}
	}
	for name, root := range map[string]string{"no sources": t.TempDir(), "none of the release": root} {
		if _, err := sourcesOf(root, "trixie"); err == nil || !strings.Contains(err.Error(), "trixie") {
			t.Errorf("a machine with %s: %v", name, err)
		}
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
	sources, err := sourcesOf(root, "bookworm")
	if err != nil {
		t.Fatal(err)
	}
	if err := install(t.Context(), h, "/pool/new/root", "bookworm", sources, []string{"nmap"}); err != nil {
		t.Fatal(err)
	}
	command := h.said[len(h.said)-1]
	if !strings.HasPrefix(command, "unshare --mount") || !strings.Contains(command, " bookworm /pool/new/root ") || !strings.HasSuffix(command, "/sources.list") {
		t.Errorf("command: %s", command)
	}
	if !strings.Contains(command, ",nmap ") || !strings.Contains(command, "cloud-init,") {
		t.Errorf("packages: %s", command)
	}
	h.err = &host.CommandError{Args: []string{"unshare"}, Exit: 1, Stderr: "W: slow\nE: no network\n"}
	err = install(t.Context(), h, "/pool/new/root", "bookworm", sources, nil)
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
		"etc/default/useradd": "# defaults\nSHELL=/bin/sh\n",
		"etc/systemd/system/timers.target.wants/apt-daily.timer": "x", "etc/systemd/system/timers.target.wants/systemd-tmpfiles-clean.timer": "kept",
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
		"etc/systemd/system/timers.target.wants/apt-daily.timer",
	} {
		if _, err := os.Lstat(filepath.Join(root, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
	for name, want := range map[string]string{"etc/ssh/sshd_config": "kept", "etc/default/useradd": "# defaults\nSHELL=/bin/bash\n",
		"etc/systemd/system/timers.target.wants/systemd-tmpfiles-clean.timer": "kept", "etc/fstab": "LABEL=" + label, "etc/cloud/cloud.cfg.d/90_labctl.cfg": "NoCloud"} {
		if text, err := os.ReadFile(filepath.Join(root, name)); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s is %q, %v", name, text, err)
		}
	}
	if target, err := os.Readlink(filepath.Join(root, "etc/resolv.conf")); err != nil || !strings.Contains(target, "stub-resolv") {
		t.Errorf("resolv.conf leads to %q, %v", target, err)
	}
}

func TestTakeKernel(t *testing.T) {
	root := tree(t, map[string]string{"boot/vmlinuz-6.1.0-10-cloud-amd64": "ten", "boot/vmlinuz-6.1.0-11-cloud-amd64": "eleven"})
	to := filepath.Join(t.TempDir(), "kernel")
	release, err := takeKernel(root, to)
	if text, _ := os.ReadFile(to); err != nil || release != "6.1.0-11-cloud-amd64" || string(text) != "eleven" {
		t.Errorf("took %q of %q, %v", text, release, err)
	}
	if _, err := takeKernel(t.TempDir(), to); err == nil {
		t.Errorf("no kernel: no error")
	}
}
