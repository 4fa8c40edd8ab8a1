package micro

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// libraryDirs are where ld.so(8) looks on Debian, in its order.
var libraryDirs = [...]string{
	"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib",
	"/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu",
}

// closure lists the interpreter and the shared libraries that programs need, those that libraries need included, each
// once, as paths below root by the name under which they are looked for. Those of leftOut and what only they need are not
// among them.
func closure(root string, programs []string) ([]string, error) {
	var found []string
	seen := map[string]bool{}
	queue := slices.Clone(programs)
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		needs, interpreter, err := needed(filepath.Join(root, path))
		if err != nil {
			return nil, err
		}
		if interpreter != "" && !seen[interpreter] {
			seen[interpreter] = true
			found = append(found, interpreter)
		}
		for _, name := range needs {
			if leftOut[name] != "" {
				continue
			}
			library, err := findLibrary(root, name)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			if !seen[library] && !strings.HasPrefix(name, "ld-linux") {
				seen[library] = true
				found = append(found, library)
				queue = append(queue, library)
			}
		}
	}
	slices.Sort(found)
	return found, nil
}

// needed reads a file's DT_NEEDED entries and its PT_INTERP. A file that is no ELF (a script) needs nothing.
func needed(path string) (libraries []string, interpreter string, err error) {
	f, err := elf.Open(path)
	if err != nil {
		if _, notELF := errors.AsType[*elf.FormatError](err); notELF {
			return nil, "", nil
		}
		return nil, "", err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			text := make([]byte, p.Filesz)
			if _, err := p.ReadAt(text, 0); err != nil {
				return nil, "", fmt.Errorf("%s: %w", path, err)
			}
			interpreter = strings.TrimRight(string(text), "\x00")
		}
	}
	if f.SectionByType(elf.SHT_DYNAMIC) == nil {
		return nil, interpreter, nil
	}
	libraries, err = f.ImportedLibraries()
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", path, err)
	}
	return libraries, interpreter, nil
}

func findLibrary(root, name string) (string, error) {
	for _, dir := range libraryDirs {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(filepath.Join(root, path)); err == nil {
			return path, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return "", fmt.Errorf("its library %s is not on this machine", name)
}
