package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
	"github.com/labctl/labctl/schema"
)

// Pool is the folder of images, one folder each, named by schema.ImageKey. A folder with a manifest is a whole image; one
// under construction has another name (see Scratch), so that a partial image is never taken for a base.
type Pool struct {
	Dir string
}

// Paths are the files of one image.
type Paths struct {
	Kernel string // "" where the image has none
	Initrd string // "" where the image has none
	Disk   string // qcow2
}

// Manifest is what the pool knows of an image. It is written last.
type Manifest struct {
	Version  int               `json:"version"`
	Image    schema.Image      `json:"image"` // as declared
	Files    map[string]Digest `json:"files"` // by name in the folder
	Built    time.Time         `json:"built"`
	From     []Source          `json:"from,omitempty"`     // what a built image is made of
	Packages map[string]string `json:"packages,omitempty"` // version by package, for people
	Cmdline  string            `json:"cmdline,omitempty"`  // that the kernel is made for, where the image has one
}

// Source is one input of a build and what tells its versions apart.
type Source struct {
	Name string `json:"name"`
	ID   string `json:"id"`
}

// Digest is a file's size and content, and the time by which a change is noticed without reading it.
type Digest struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	MTime  int64  `json:"mtime"` // nanoseconds since 1970
}

const manifestName = "manifest.json"

// Path is the folder of an image.
func (p Pool) Path(key string) string { return filepath.Join(p.Dir, key) }

// Paths are the files of an image that is in the pool; one that is not is fs.ErrNotExist.
func (p Pool) Paths(key string) (Paths, error) {
	m, err := p.Manifest(key)
	if err != nil {
		return Paths{}, err
	}
	at := func(name string) string {
		if _, has := m.Files[name]; !has {
			return ""
		}
		return filepath.Join(p.Path(key), name)
	}
	return Paths{Kernel: at("kernel"), Initrd: at("initrd"), Disk: at("disk.qcow2")}, nil
}

// Manifest reads an image's manifest; an image that is not there, or not whole, is fs.ErrNotExist.
func (p Pool) Manifest(key string) (*Manifest, error) {
	if key == "" || key != filepath.Base(key) || strings.HasPrefix(key, ".") {
		return nil, fmt.Errorf("image %q: no name for a folder", key)
	}
	data, err := os.ReadFile(filepath.Join(p.Path(key), manifestName))
	if err != nil {
		return nil, err
	}
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("image %s: its manifest: %w", key, err)
	}
	return &m, nil
}

// List reads the manifests of all images, by key.
func (p Pool) List() ([]*Manifest, error) {
	entries, err := os.ReadDir(p.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []*Manifest
	for _, entry := range entries {
		if !entry.IsDir() || strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		m, err := p.Manifest(entry.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// Changed says which file of an image is no longer as its manifest has it, by size and time: "" where none is.
func (p Pool) Changed(m *Manifest) string {
	for _, name := range sortedNames(m.Files) {
		if !p.same(m, name) {
			return name
		}
	}
	return ""
}

func (p Pool) same(m *Manifest, name string) bool {
	info, err := os.Stat(filepath.Join(p.Path(m.Image.Key), name))
	want, has := m.Files[name]
	return err == nil && has && info.Size() == want.Size && info.ModTime().UnixNano() == want.MTime
}

// Verify reads an image's files whole and compares them with its manifest.
func (p Pool) Verify(ctx context.Context, key string) error {
	m, err := p.Manifest(key)
	if err != nil {
		return err
	}
	for _, name := range sortedNames(m.Files) {
		want := m.Files[name]
		have, err := digest(ctx, filepath.Join(p.Path(key), name))
		if err != nil {
			return fmt.Errorf("image %s: %w", key, err)
		}
		if have.SHA256 != want.SHA256 {
			return fmt.Errorf("image %s: %s has SHA-256 %s, its manifest says %s", key, name, have.SHA256, want.SHA256)
		}
	}
	return nil
}

// Prune removes the images that keep does not want, and what interrupted builds left. It returns the keys removed.
func (p Pool) Prune(keep func(*Manifest) bool) ([]string, error) {
	entries, err := os.ReadDir(p.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var removed []string
	for _, entry := range entries {
		name := entry.Name()
		key, left := leftover(name)
		if !left {
			if strings.HasPrefix(name, ".") {
				continue
			}
			key = name
			if m, err := p.Manifest(key); err == nil && keep(m) {
				continue
			}
		}
		unlock, err := p.lock(key, syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			continue // somebody is making it
		}
		if err != nil {
			return removed, err
		}
		err = os.RemoveAll(filepath.Join(p.Dir, name))
		unlock()
		if err != nil {
			return removed, err
		}
		removed = append(removed, name)
	}
	return removed, nil
}

// Remove takes an image out of the pool. No machine must stand on it.
func (p Pool) Remove(ctx context.Context, key string) error {
	unlock, err := p.Lock(ctx, key)
	if err != nil {
		return err
	}
	defer unlock()
	if err := os.Remove(filepath.Join(p.Path(key), manifestName)); err != nil { // first: what is not whole is no image
		return err
	}
	return os.RemoveAll(p.Path(key))
}

// leftover tells what an interrupted build or fetch leaves, and of which image it is.
func leftover(name string) (key string, ok bool) {
	for _, prefix := range []string{scratchPrefix, partialPrefix} {
		if key, ok := strings.CutPrefix(name, prefix); ok {
			return strings.TrimSuffix(key, ".json"), true
		}
	}
	return "", false
}

// Lock takes the right to build one image, waiting for whoever has it. It ends by itself with the process.
func (p Pool) Lock(ctx context.Context, key string) (unlock func(), err error) {
	for {
		unlock, err = p.lock(key, syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return unlock, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (p Pool) lock(key string, how int) (unlock func(), err error) {
	if err := os.MkdirAll(p.Dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(p.Dir, ".lock-"+key), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), how); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock image %s: %w", key, err)
	}
	return func() { f.Close() }, nil
}

const scratchPrefix = ".new-"

// Scratch makes an empty folder to build an image in. Whoever calls it holds the image's lock.
func (p Pool) Scratch(key string) (string, error) {
	dir := filepath.Join(p.Dir, scratchPrefix+key)
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	return dir, os.MkdirAll(dir, 0o755)
}

// Commit makes a base of what is in the scratch folder. Files of an image that exists are replaced one by one, all but a
// disk, since overlays stand on it; the manifest comes last.
func (p Pool) Commit(ctx context.Context, scratch string, m *Manifest) error {
	m.Version, m.Files, m.Built = 1, map[string]Digest{}, time.Now().UTC().Truncate(time.Second)
	dir := p.Path(m.Image.Key)
	_, err := os.Stat(filepath.Join(dir, manifestName))
	replace := err == nil
	target := scratch
	if replace {
		target = dir
	}
	for _, name := range []string{"disk.qcow2", "initrd", "kernel"} {
		from, to := filepath.Join(scratch, name), filepath.Join(target, name)
		if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) && from == to {
			continue
		} else if err == nil && replace {
			if err := os.Rename(from, to); err != nil {
				return err
			}
		}
		if m.Files[name], err = digest(ctx, to); errors.Is(err, fs.ErrNotExist) {
			delete(m.Files, name)
		} else if err != nil {
			return err
		}
	}
	if err := m.write(target); err != nil {
		return err
	}
	if replace {
		return os.RemoveAll(scratch)
	}
	if err := os.RemoveAll(dir); err != nil { // a folder without a manifest is no image
		return err
	}
	return os.Rename(scratch, dir)
}

// refresh writes an image's manifest with the times that its files have now.
func (p Pool) refresh(m *Manifest) error {
	dir := p.Path(m.Image.Key)
	for name, d := range m.Files {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		d.MTime = info.ModTime().UnixNano()
		m.Files[name] = d
	}
	return m.write(dir)
}

func (m *Manifest) write(dir string) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return renameio.WriteFile(filepath.Join(dir, manifestName), append(text, '\n'), 0o644, renameio.IgnoreUmask())
}

func digest(ctx context.Context, path string) (Digest, error) {
	f, err := os.Open(path)
	if err != nil {
		return Digest{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Digest{}, err
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, contextReader{ctx, f}); err != nil {
		return Digest{}, err
	}
	return Digest{Size: info.Size(), SHA256: hex.EncodeToString(sum.Sum(nil)), MTime: info.ModTime().UnixNano()}, nil
}

// contextReader stops reading once its context is done.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

func sortedNames(files map[string]Digest) []string {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
