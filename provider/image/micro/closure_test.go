package micro

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cavaliergopher/cpio"
	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider/image/initramfs"
)

func TestClosureOfPrograms(t *testing.T) {
	files, err := closure("", []string{"/bin/sh"})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		names = append(names, filepath.Base(file))
	}
	if !slices.Contains(names, "libc.so.6") || !slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, "ld-") }) {
		t.Errorf("what /bin/sh needs: %v", files)
	}
}

func TestClosureNamesTheMissingLibrary(t *testing.T) {
	root := t.TempDir()
	shell, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "sh"), shell, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := closure(root, []string{"/sh"}); err == nil || !strings.Contains(err.Error(), "libc.so.6 is not on this machine") {
		t.Errorf("with no library: %v", err)
	}
}

// A program that was linked against libraries starts with stand-ins in their places; what is left out says so and ends the
// program. One library has symbol versions, the other has none.
func TestStandIns(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	script := filepath.Join(dir, "map")
	if err := errors.Join(os.MkdirAll(filepath.Join(root, "lib"), 0o755), os.WriteFile(script, []byte("OPENSSL_3.0.0 { global: *; };"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for source, name := range map[string]string{
		"int SSL_CTX_new(void) { return 5; } int SSL_connect(void) { return 6; }": "libssl.so.3",
		"int pcre2_compile_8(void) { return 7; }":                                 "libpcre2-8.so.0",
	} {
		args := []string{"-shared", "-fPIC", "-Wl,-soname," + name}
		if name == "libssl.so.3" {
			args = append(args, "-Wl,--version-script="+script)
		}
		if err := os.Rename(compile(t, source, args...), filepath.Join(root, "lib", name)); err != nil {
			t.Fatal(err)
		}
	}
	program := compile(t, `
		#include <stdio.h>
		int SSL_CTX_new(void), SSL_connect(void), pcre2_compile_8(void);
		int main(int argc, char **argv) {
			printf("%d\n", SSL_CTX_new()); fflush(stdout);
			return argc > 1 ? SSL_connect() : pcre2_compile_8();
		}`, "-Wl,-z,now", "-Wl,-rpath,"+dir, filepath.Join(root, "lib/libssl.so.3"), filepath.Join(root, "lib/libpcre2-8.so.0"))
	if err := os.Rename(program, filepath.Join(root, "program")); err != nil {
		t.Fatal(err)
	}
	made, err := standIns(root, []string{"/program", "/lib/../lib/libssl.so.3"})
	if err != nil || len(made) != 2 {
		t.Fatalf("%d stand-ins, %v", len(made), err)
	}
	for name, library := range made {
		if err := os.WriteFile(filepath.Join(dir, name), library, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for want, args := range map[string][]string{"TLS is left out of the micro image (SSL_connect)": {"x"}, "GRegex is left out of the micro image (pcre2_compile_8)": nil} {
		out, err := (host.Local{}).Run(t.Context(), host.Cmd(append([]string{filepath.Join(root, "program")}, args...)...))
		failed, ok := errors.AsType[*host.CommandError](err)
		if !ok || failed.Exit != 127 || failed.Stderr != "labctl: "+want+"\n" || string(out.Stdout) != "1\n" {
			t.Errorf("printed %q: %v", out.Stdout, err)
		}
	}
}

func TestArchive(t *testing.T) {
	var out bytes.Buffer
	a := initramfs.New(&out)
	if err := errors.Join(a.File("/usr/bin/tool", 0o755, []byte("#!")), a.Link("/usr/bin/alias", "tool"), addOwn(a, Inputs{}), a.Close()); err != nil {
		t.Fatal(err)
	}
	modes := map[string]cpio.FileMode{}
	for r := cpio.NewReader(&out); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := modes[header.Name]; twice {
			t.Errorf("%s is there twice", header.Name)
		}
		if parent := filepath.Dir(header.Name); parent != "." && modes[parent]&cpio.TypeDir == 0 {
			t.Errorf("%s comes before its folder", header.Name)
		}
		modes[header.Name] = header.Mode
	}
	for name, want := range map[string]cpio.FileMode{
		"usr/bin": cpio.TypeDir | 0o755, "usr/bin/tool": cpio.TypeReg | 0o755, "usr/bin/alias": cpio.TypeSymlink | 0o777,
		"init": cpio.TypeReg | 0o755, "etc/inittab": cpio.TypeReg | 0o644,
	} {
		if modes[name] != want {
			t.Errorf("%s has mode %o, want %o", name, modes[name], want)
		}
	}
}

func TestNewestKernel(t *testing.T) {
	boot, modules := t.TempDir(), t.TempDir()
	for _, release := range []string{"6.1.0-9-amd64", "6.1.0-9-cloud-amd64", "6.1.0-10-cloud-amd64", "6.12.0-1-amd64", "6.1.0-11-cloud-amd64"} {
		if err := os.WriteFile(filepath.Join(boot, "vmlinuz-"+release), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if release == "6.1.0-11-cloud-amd64" {
			continue // its modules are not there
		}
		if err := os.MkdirAll(filepath.Join(modules, release), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(modules, release, "modules.dep"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	release, path, err := newestKernel(Options{Boot: boot, Modules: modules})
	if err != nil || release != "6.1.0-10-cloud-amd64" || path != filepath.Join(boot, "vmlinuz-"+release) {
		t.Errorf("%s at %s, %v", release, path, err)
	}
	if _, _, err := newestKernel(Options{Boot: t.TempDir(), Modules: modules}); err == nil || !strings.Contains(err.Error(), "kernel") {
		t.Errorf("with no kernel: %v", err)
	}
}

func TestMissingNamesThePackages(t *testing.T) {
	var said []string
	for _, err := range Missing(Options{Root: t.TempDir(), Boot: t.TempDir()}) {
		said = append(said, err.Error())
	}
	text := strings.Join(said, "\n")
	for _, name := range []string{"busybox", "qemu-ga", "nft", "conntrack", "ncat", "ip", "mke2fs", "zstd", "vmlinuz"} {
		if !strings.Contains(text, name+" is not on this machine") && !strings.Contains(text, name) {
			t.Errorf("%s is not said to be missing:\n%s", name, text)
		}
	}
}
