package parcel

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// folder is where a host keeps files of labs that came from elsewhere, in labctl's data folder: one folder for each content.
const folder = "sent"

// File is a file that stands with the lab's own files and that the lab's host, which is elsewhere, is to have.
type File struct {
	Path string `json:"path"` // on the machine that has the lab's files
	Sum  string `json:"sum"`  // SHA-256
	Size int64  `json:"size"`
}

// There is the file's path on the host, by the host's data folder. QEMU and people see it, so it keeps its name.
func (f File) There(root string) string {
	return filepath.Join(root, folder, f.Sum, filepath.Base(f.Path))
}

// Beside finds the files of machines and images that stand with the lab's own files, and returns the lab as it is with these in the
// data folder root of the host. What would be written there and not here, or is no file, is refused.
func Beside(lab *schema.Lab, dir, root string) (*schema.Lab, []File, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, nil, err
	}
	moved := *lab
	moved.Resources = slices.Clone(lab.Resources)
	known := make(map[string]File)
	var files []File
	var errs []error
	for n := range moved.Resources {
		r := &moved.Resources[n]
		at, refused := filesOf(r)
		for path, file := range at {
			if !strings.HasPrefix(*file, dir+string(filepath.Separator)) {
				continue
			}
			sent, ok := known[*file]
			var err error
			if refused[path] {
				err = errors.New("it is on this machine, and the lab's host is elsewhere")
			} else if !ok {
				sent, err = sum(*file)
			}
			if err != nil {
				errs = append(errs, &provider.Error{
					Op: "use " + *file, Addr: r.Addr, Path: path, Err: err,
					Hint: "copy it to the host and give its absolute path there",
				})
				continue
			}
			if !ok {
				known[*file] = sent
				files = append(files, sent)
			}
			*file = sent.There(root)
		}
	}
	moved.Link()
	return &moved, files, errors.Join(errs...)
}

// filesOf is the paths that a resource is made with, by attribute, in a body of its own. Those that are refused are written to, or
// are folders.
func filesOf(r *schema.Resource) (at map[string]*string, refused map[string]bool) {
	at, refused = make(map[string]*string), make(map[string]bool)
	switch b := r.Body.(type) {
	case *schema.Image:
		own := *b
		r.Body = &own
		at["source"] = &own.Source
	case *schema.Domain:
		own := *b
		own.Disks, own.Filesystems = slices.Clone(b.Disks), slices.Clone(b.Filesystems)
		r.Body = &own
		at["cdrom"], at["boot.kernel"], at["boot.initrd"] = &own.CDROM, &own.Boot.Kernel, &own.Boot.Initrd
		for n := range own.Disks {
			path := provider.JoinPath("disk", own.Disks[n].Name) + ".source"
			at[path], refused[path] = &own.Disks[n].Source, !own.Disks[n].ReadOnly
		}
		for n := range own.Filesystems {
			path := fmt.Sprintf("filesystem[%d].source", n)
			at[path], refused[path] = &own.Filesystems[n].Source, true
		}
	}
	return at, refused
}

// sum reads a file for what tells its content.
func sum(path string) (File, error) {
	f, err := os.Open(path)
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	hash := sha256.New()
	n, err := io.Copy(hash, f)
	return File{Path: path, Sum: hex.EncodeToString(hash.Sum(nil)), Size: n}, err
}

// fileChunk is how much of a file is asked for at once.
const fileChunk = 4 << 20

// Chunk is a part of one of the files, and no other file.
func Chunk(files []File, path string, from int64) ([]byte, error) {
	if !slices.ContainsFunc(files, func(f File) bool { return f.Path == path }) {
		return nil, fmt.Errorf("%s is no file of the lab", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.NewSectionReader(f, from, fileChunk))
}

// Fetch brings the file here, into the data folder root, unless it is here; ask asks the machine that has it.
func (f File) Fetch(root string, ask Asker) error {
	to := f.There(root)
	if info, err := os.Stat(to); err == nil && info.Size() == f.Size {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	// QEMU, which reads it, is another user.
	part, err := renameio.NewPendingFile(to, renameio.WithTempDir(filepath.Dir(to)), renameio.WithPermissions(0o644), renameio.IgnoreUmask())
	if err != nil {
		return err
	}
	defer part.Cleanup() //nolint:errcheck // there is nothing to clean up after a success
	hash := sha256.New()
	for n := int64(0); n < f.Size; {
		text, err := ask.put(Question{File: f.Path, From: n})
		if err == nil && len(text) == 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return fmt.Errorf("fetch %s: %w", f.Path, err)
		}
		if _, err := io.MultiWriter(part, hash).Write(text); err != nil {
			return err
		}
		n += int64(len(text))
	}
	if hex.EncodeToString(hash.Sum(nil)) != f.Sum {
		return fmt.Errorf("fetch %s: it changed meanwhile", f.Path)
	}
	return part.CloseAtomicallyReplace()
}

// Prune removes the files in the data folder root that came from elsewhere and that nothing uses any more: used tells whether something names a path
// that has this text in it.
func Prune(root string, used func(text string) bool) (removed []string, err error) {
	all := filepath.Join(root, folder)
	entries, err := os.ReadDir(all)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, entry := range entries {
		if used(filepath.Join(all, entry.Name()) + "/") {
			continue
		}
		names, _ := filepath.Glob(filepath.Join(all, entry.Name(), "*"))
		if failed := os.RemoveAll(filepath.Join(all, entry.Name())); failed != nil {
			err = errors.Join(err, failed)
			continue
		}
		for _, name := range names {
			removed = append(removed, filepath.Base(name))
		}
	}
	return removed, err
}
