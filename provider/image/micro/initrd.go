package micro

import (
	"bytes"
	"context"
	"embed"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/labctl/labctl/provider/image/initramfs"
	"github.com/labctl/labctl/provider/image/recipe"
)

// rootFiles are the files of the guest that labctl writes itself. Executable are those that begin with #!.
//
//go:embed root
var rootFiles embed.FS

// ownDigest is a digest of what this package puts into the image by itself.
func ownDigest() string {
	return recipe.Digest(stub, rootFiles, "format 2", programs, modules, withoutApplets, leftOut, preparations, versionQuestions, initramfs.Dropped(), droppedTables, squeezeLevel)
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
	a := initramfs.New(w)
	if in.opts.Guest != "" {
		data, err := os.ReadFile(in.opts.Guest)
		if err != nil {
			return err
		}
		if err := a.File("/usr/bin/labctl-guest", 0o755, data); err != nil {
			return err
		}
	}
	return a.Close()
}

func writeArchive(w io.Writer, in Inputs, applets []string) error {
	a := initramfs.New(w)
	for _, dir := range []string{"/dev", "/proc", "/sys", "/run", "/root", "/mnt", "/etc/network", "/var/lib/labctl", "/var/log"} {
		if err := a.Dir(dir); err != nil {
			return err
		}
	}
	if err := a.Shared("/tmp"); err != nil {
		return err
	}
	for _, link := range [][2]string{
		{"/bin", "usr/bin"}, {"/sbin", "usr/bin"}, {"/usr/sbin", "bin"}, {"/var/run", "../run"}, {"/etc/mtab", "../proc/self/mounts"},
	} {
		if err := a.Link(link[0], link[1]); err != nil {
			return err
		}
	}
	steps := []func(*initramfs.Archive, Inputs) error{addOwn, addPrograms, addModules}
	for _, add := range steps {
		if err := add(a, in); err != nil {
			return err
		}
	}
	for _, applet := range applets {
		if err := a.Link("/usr/bin/"+applet, "busybox"); err != nil {
			return err
		}
	}
	return a.Close()
}

// addOwn adds the files that labctl writes itself.
func addOwn(a *initramfs.Archive, _ Inputs) error {
	return fs.WalkDir(rootFiles, "root", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := rootFiles.ReadFile(name)
		if err != nil {
			return err
		}
		mode := uint32(0o644)
		if strings.HasPrefix(string(data), "#!") {
			mode = 0o755
		}
		return a.File(strings.TrimPrefix(name, "root"), mode, data)
	})
}

func addPrograms(a *initramfs.Archive, in Inputs) error {
	sources := slices.Sorted(maps.Keys(in.places))
	for _, source := range sources {
		data, err := os.ReadFile(filepath.Join(in.opts.Root, source))
		if err != nil {
			return err
		}
		if err := a.File(in.places[source], 0o755, data); err != nil {
			return err
		}
	}
	absent, err := standIns(in.opts.Root, sources)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(absent)) {
		if err := a.File("/usr/lib/"+name, 0o755, absent[name]); err != nil {
			return err
		}
	}
	return nil
}

// addModules adds the chosen modules.
func addModules(a *initramfs.Archive, in Inputs) error {
	return a.Modules(in.modules, in.chosen, initramfs.Strip)
}
