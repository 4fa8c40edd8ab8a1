package micro

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/image/initramfs"
)

// Inputs is what an image is made of.
type Inputs struct {
	Release string // of the kernel
	Files   []File // programs, libraries, kernel and the modules' table
	Guest   string // SHA-256 of labctl-guest in hexadecimal, "" when built without
	Recipe  string // digest of this package's own part: lists and scripts

	opts    Options
	kernel  File
	modules *initramfs.Modules
	chosen  []string          // module files, below the modules' folder
	places  map[string]string // path in the guest by path here
}

// File is a file of this machine that goes into the image. Packages set the times of their files, so size and time tell a
// package's versions apart without reading the file.
type File struct {
	Path  string `json:"path"`
	Size  int64  `json:"size"`
	MTime int64  `json:"mtime"` // nanoseconds since 1970
}

// Digest is one digest of all the inputs.
func (in Inputs) Digest() string {
	sum := sha256.New()
	fmt.Fprintln(sum, in.Release, in.Guest, in.Recipe)
	for _, f := range in.Files {
		fmt.Fprintln(sum, f.Path, f.Size, f.MTime)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// Packages are the Debian packages that the parts come from, and the C library's.
func (in Inputs) Packages() []string {
	names := []string{"libc6", "linux-image-" + in.Release}
	for _, p := range programs {
		names = append(names, p.pkg)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Missing lists the programs that a build needs and this machine lacks, as one error each that names the package to install.
func Missing(o Options) []error {
	var errs []error
	for _, p := range slices.Concat(programs[:], tools[:]) {
		if _, err := findProgram(o.Root, p.name); err != nil && p.required {
			errs = append(errs, missing(p.name, p.pkg))
		}
	}
	if _, _, err := newestKernel(o); err != nil {
		errs = append(errs, err)
	}
	return errs
}

func missing(what, pkg string) error {
	return &provider.Error{
		Op: "build micro image", Err: fmt.Errorf("%s is not on this machine", what),
		Hint: "install it: apt-get install " + pkg,
	}
}

// Gather finds everything that the image is made of, reading as little as it can.
func Gather(o Options) (Inputs, error) {
	o.Boot, o.Modules = cmp.Or(o.Boot, "/boot"), cmp.Or(o.Modules, "/lib/modules")
	if errs := Missing(o); len(errs) > 0 {
		return Inputs{}, errors.Join(errs...)
	}
	in := Inputs{opts: o, Recipe: ownDigest(), places: map[string]string{}}
	var err error
	var kernel string
	if in.Release, kernel, err = newestKernel(o); err != nil {
		return Inputs{}, err
	}
	if in.kernel, err = fileOf(kernel); err != nil {
		return Inputs{}, err
	}
	if in.modules, err = initramfs.ReadModules(filepath.Join(o.Modules, in.Release)); err != nil {
		return Inputs{}, err
	}
	patterns := make([]string, 0, len(modules))
	for _, pattern := range modules {
		patterns = append(patterns, "kernel/"+pattern)
	}
	if in.chosen, err = in.modules.Closure(patterns); err != nil {
		return Inputs{}, err
	}
	if err := in.gatherPrograms(); err != nil {
		return Inputs{}, err
	}
	table, err := fileOf(filepath.Join(in.modules.Dir, "modules.dep"))
	if err != nil {
		return Inputs{}, err
	}
	in.Files = append(in.Files, in.kernel, table)
	slices.SortFunc(in.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	if o.Guest != "" {
		if in.Guest, err = digestOf(o.Guest); err != nil {
			return Inputs{}, &provider.Error{Op: "build micro image", Err: err, Hint: "labctl-guest belongs beside labctl: run make build"}
		}
	}
	return in, nil
}

// gatherPrograms finds programs and their libraries. Programs go to /usr/bin whatever folder they come from; libraries keep
// their places, since ld.so looks there.
func (in *Inputs) gatherPrograms() error {
	var paths []string
	for _, p := range programs {
		path, err := findProgram(in.opts.Root, p.name)
		if err != nil {
			continue // the required ones are there: see Missing
		}
		paths = append(paths, path)
		in.places[path] = "/usr/bin/" + p.name
	}
	libraries, err := closure(in.opts.Root, paths)
	if err != nil {
		return err
	}
	for _, library := range libraries {
		in.places[library] = library
	}
	for path := range in.places {
		f, err := fileOf(filepath.Join(in.opts.Root, path))
		if err != nil {
			return err
		}
		in.Files = append(in.Files, f)
	}
	return nil
}

func findProgram(root, name string) (string, error) {
	for _, dir := range programDirs {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(filepath.Join(root, path)); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, fs.ErrNotExist)
}

// newestKernel chooses the kernel: of those whose modules are there, Debian's cloud flavour first (it is the smallest that
// has all of virtio), then the highest version.
func newestKernel(o Options) (release, path string, err error) {
	boot, modules := cmp.Or(o.Boot, "/boot"), cmp.Or(o.Modules, "/lib/modules")
	paths, err := filepath.Glob(filepath.Join(boot, "vmlinuz-*"))
	if err != nil {
		return "", "", err
	}
	for _, candidate := range paths {
		r := strings.TrimPrefix(filepath.Base(candidate), "vmlinuz-")
		if _, err := os.Stat(filepath.Join(modules, r, "modules.dep")); err != nil {
			continue
		}
		if release == "" || betterKernel(r, release) {
			release, path = r, candidate
		}
	}
	if release == "" {
		return "", "", missing("a kernel with its modules ("+boot+"/vmlinuz-*)", "linux-image-cloud-amd64")
	}
	return release, path, nil
}

func betterKernel(a, b string) bool {
	if aCloud, bCloud := strings.Contains(a, "cloud"), strings.Contains(b, "cloud"); aCloud != bCloud {
		return aCloud
	}
	return compareVersions(a, b) > 0
}

// compareVersions orders version strings with runs of digits as numbers.
func compareVersions(a, b string) int {
	for a != "" && b != "" {
		an, bn := digits(a), digits(b)
		if an > 0 && bn > 0 {
			x, y := strings.TrimLeft(a[:an], "0"), strings.TrimLeft(b[:bn], "0")
			if c := cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y)); c != 0 {
				return c
			}
			a, b = a[an:], b[bn:]
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

func fileOf(path string) (File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return File{}, err
	}
	return File{Path: path, Size: info.Size(), MTime: info.ModTime().UnixNano()}, nil
}

func digestOf(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}
