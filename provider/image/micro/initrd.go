package micro

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cavaliergopher/cpio"
)

// rootFiles are the files of the guest that labctl writes itself. Executable are those that begin with #!.
//
//go:embed root
var rootFiles embed.FS

// recipe is a digest of what this package puts into the image by itself.
func recipe() string {
	sum := sha256.New()
	fmt.Fprintln(sum, "format 2", programs, modules, withoutApplets, leftOut, preparations, versionQuestions, droppedSections, droppedTables, squeezeLevel)
	sum.Write(stub)
	err := fs.WalkDir(rootFiles, "root", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := rootFiles.ReadFile(name)
		fmt.Fprintln(sum, name, len(data))
		sum.Write(data)
		return err
	})
	if err != nil {
		panic(err) // embedded: it cannot fail
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

// archive writes the initramfs's cpio, making each file's folders first.
type archive struct {
	w    *cpio.Writer
	dirs map[string]bool
}

func (a *archive) dir(name string) error {
	if name == "." || name == "/" || a.dirs[name] {
		return nil
	}
	if err := a.dir(path.Dir(name)); err != nil {
		return err
	}
	a.dirs[name] = true
	return a.w.WriteHeader(&cpio.Header{Name: strings.TrimPrefix(name, "/"), Mode: cpio.TypeDir | 0o755, Links: 2})
}

func (a *archive) file(name string, mode cpio.FileMode, data []byte) error {
	if err := a.dir(path.Dir(name)); err != nil {
		return err
	}
	err := a.w.WriteHeader(&cpio.Header{
		Name: strings.TrimPrefix(name, "/"), Mode: cpio.TypeReg | mode, Size: int64(len(data)), Links: 1,
	})
	if err != nil {
		return err
	}
	_, err = a.w.Write(data)
	return err
}

func (a *archive) link(name, target string) error {
	if err := a.dir(path.Dir(name)); err != nil {
		return err
	}
	err := a.w.WriteHeader(&cpio.Header{
		Name: strings.TrimPrefix(name, "/"), Mode: cpio.TypeSymlink | 0o777, Size: int64(len(target)), Links: 1,
	})
	if err != nil {
		return err
	}
	_, err = a.w.Write([]byte(target))
	return err
}

// writeInitrd writes the compressed initramfs to a file: an archive of the system and one of labctl-guest, which changes more often.
// The kernel takes any number of them, one behind the other (Linux' Documentation/driver-api/early-userspace/buffer-format.rst).
func writeInitrd(ctx context.Context, s *squeezer, path string, in Inputs) error {
	applets, err := appletsOf(ctx, s.host, in)
	if err != nil {
		return err
	}
	var system, guest bytes.Buffer
	if err := writeArchive(&system, in, applets); err != nil {
		return err
	}
	if err := writeGuest(&guest, in); err != nil {
		return err
	}
	var initrd []byte
	for _, archive := range []*bytes.Buffer{&system, &guest} {
		packed, err := s.squeeze(ctx, archive.Bytes())
		if err != nil {
			return err
		}
		initrd = append(initrd, packed...)
		for len(initrd)%4 != 0 {
			initrd = append(initrd, 0)
		}
	}
	return os.WriteFile(path, initrd, 0o644)
}

// writeGuest writes the archive of labctl-guest: an empty one where the image is built without.
func writeGuest(w io.Writer, in Inputs) error {
	a := &archive{w: cpio.NewWriter(w), dirs: map[string]bool{}}
	if in.opts.Guest != "" {
		data, err := os.ReadFile(in.opts.Guest)
		if err != nil {
			return err
		}
		if err := a.file("/usr/bin/labctl-guest", 0o755, data); err != nil {
			return err
		}
	}
	return a.w.Close()
}

func writeArchive(w io.Writer, in Inputs, applets []string) error {
	a := &archive{w: cpio.NewWriter(w), dirs: map[string]bool{}}
	for _, dir := range []string{"/dev", "/proc", "/sys", "/run", "/root", "/mnt", "/etc/network", "/var/lib/labctl", "/var/log"} {
		if err := a.dir(dir); err != nil {
			return err
		}
	}
	if err := a.w.WriteHeader(&cpio.Header{Name: "tmp", Mode: cpio.TypeDir | 0o1777, Links: 2}); err != nil {
		return err
	}
	for _, link := range [][2]string{
		{"/bin", "usr/bin"}, {"/sbin", "usr/bin"}, {"/usr/sbin", "bin"}, {"/var/run", "../run"}, {"/etc/mtab", "../proc/self/mounts"},
	} {
		if err := a.link(link[0], link[1]); err != nil {
			return err
		}
	}
	steps := []func(*archive, Inputs) error{addOwn, addPrograms, addModules}
	for _, add := range steps {
		if err := add(a, in); err != nil {
			return err
		}
	}
	for _, applet := range applets {
		if err := a.link("/usr/bin/"+applet, "busybox"); err != nil {
			return err
		}
	}
	return a.w.Close()
}

// addOwn adds the files that labctl writes itself.
func addOwn(a *archive, _ Inputs) error {
	return fs.WalkDir(rootFiles, "root", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := rootFiles.ReadFile(name)
		if err != nil {
			return err
		}
		mode := cpio.FileMode(0o644)
		if strings.HasPrefix(string(data), "#!") {
			mode = 0o755
		}
		return a.file(strings.TrimPrefix(name, "root"), mode, data)
	})
}

func addPrograms(a *archive, in Inputs) error {
	sources := slices.Sorted(maps.Keys(in.places))
	for _, source := range sources {
		data, err := os.ReadFile(filepath.Join(in.opts.Root, source))
		if err != nil {
			return err
		}
		if err := a.file(in.places[source], 0o755, data); err != nil {
			return err
		}
	}
	absent, err := standIns(in.opts.Root, sources)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(absent)) {
		if err := a.file("/usr/lib/"+name, 0o755, absent[name]); err != nil {
			return err
		}
	}
	return nil
}

// addModules adds the chosen modules and the tables by which modprobe(8) finds them, cut down to them.
func addModules(a *archive, in Inputs) error {
	top := "/lib/modules/" + in.Release
	var dep strings.Builder
	for _, file := range in.chosen {
		data, err := os.ReadFile(filepath.Join(in.modules.dir, file))
		if err != nil {
			return err
		}
		if data, err = stripModule(data); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if err := a.file(path.Join(top, file), 0o644, data); err != nil {
			return err
		}
		fmt.Fprintf(&dep, "%s: %s\n", file, strings.Join(in.modules.deps[file], " "))
	}
	if err := a.file(top+"/modules.dep", 0o644, []byte(dep.String())); err != nil {
		return err
	}
	for _, table := range []struct {
		name  string
		field int // that names the module
	}{{"modules.alias", 2}, {"modules.symbols", 2}, {"modules.softdep", 1}} {
		text, err := in.modules.linesOf(table.name, in.chosen, func(line string) string {
			if fields := strings.Fields(line); len(fields) > table.field {
				return fields[table.field]
			}
			return ""
		})
		if err != nil {
			return err
		}
		if err := a.file(path.Join(top, table.name), 0o644, []byte(text)); err != nil {
			return err
		}
	}
	return nil
}
