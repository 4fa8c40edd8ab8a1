// Package initramfs writes the archives that a Linux kernel unpacks and starts from, with kernel modules in them.
//
// The format is cpio's newc; see Linux' Documentation/driver-api/early-userspace/buffer-format.rst.
package initramfs

import (
	"io"
	"path"
	"strings"

	"github.com/cavaliergopher/cpio"
)

// Archive is an archive under way. It makes each file's folders first.
type Archive struct {
	w    *cpio.Writer
	dirs map[string]bool
}

// New begins an archive, which Close ends.
func New(w io.Writer) *Archive { return &Archive{w: cpio.NewWriter(w), dirs: map[string]bool{}} }

// Dir adds a folder that only its owner, root, may write to.
func (a *Archive) Dir(name string) error {
	if name == "." || name == "/" || a.dirs[name] {
		return nil
	}
	if err := a.Dir(path.Dir(name)); err != nil {
		return err
	}
	a.dirs[name] = true
	return a.w.WriteHeader(&cpio.Header{Name: strings.TrimPrefix(name, "/"), Mode: cpio.TypeDir | 0o755, Links: 2})
}

// Shared adds a folder that everybody may write to, as /tmp is.
func (a *Archive) Shared(name string) error {
	return a.w.WriteHeader(&cpio.Header{Name: strings.TrimPrefix(name, "/"), Mode: cpio.TypeDir | 0o1777, Links: 2})
}

// File adds a regular file. mode is its permissions alone.
func (a *Archive) File(name string, mode uint32, data []byte) error {
	if err := a.Dir(path.Dir(name)); err != nil {
		return err
	}
	err := a.w.WriteHeader(&cpio.Header{
		Name: strings.TrimPrefix(name, "/"), Mode: cpio.TypeReg | cpio.FileMode(mode), Size: int64(len(data)), Links: 1,
	})
	if err != nil {
		return err
	}
	_, err = a.w.Write(data)
	return err
}

// Link adds a symbolic link.
func (a *Archive) Link(name, target string) error {
	if err := a.Dir(path.Dir(name)); err != nil {
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

// Close ends the archive.
func (a *Archive) Close() error { return a.w.Close() }
