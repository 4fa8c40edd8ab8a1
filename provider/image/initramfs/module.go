package initramfs

import (
	"bufio"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Modules are the modules of one kernel release.
type Modules struct {
	Dir string // the folder RELEASE that they are in

	needs map[string][]string // by path below Dir, what each needs directly or not, as in modules.dep
}

// ReadModules reads what depmod(8) wrote about the release in the folder dir.
func ReadModules(dir string) (*Modules, error) {
	set := &Modules{Dir: dir, needs: map[string][]string{}}
	err := eachLine(filepath.Join(dir, "modules.dep"), func(line string) error {
		file, needs, found := strings.Cut(line, ":")
		if !found {
			return fmt.Errorf("modules.dep: %q is not FILE: NEEDS", line)
		}
		set.needs[file] = strings.Fields(needs)
		return nil
	})
	return set, err
}

// Closure lists the files of the modules that match one of the patterns (as in path.Match, on the path below the release
// without its suffix), and of all that those need. A pattern that matches nothing is no error: kernels differ.
func (s *Modules) Closure(patterns []string) ([]string, error) {
	chosen := map[string]bool{}
	for file, needs := range s.needs {
		base, _, _ := strings.Cut(file, ".ko")
		for _, pattern := range patterns {
			matches, err := path.Match(pattern, base)
			if err != nil {
				return nil, fmt.Errorf("pattern %q: %w", pattern, err)
			}
			if !matches {
				continue
			}
			chosen[file] = true
			for _, need := range needs {
				chosen[need] = true
			}
		}
	}
	files := make([]string, 0, len(chosen))
	for file := range chosen {
		files = append(files, file)
	}
	slices.Sort(files)
	return files, nil
}

// moduleName is the name by which the kernel knows the module in a file: without folder and suffix, and with underscores.
func moduleName(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// linesOf keeps of a table that depmod wrote the lines that speak of one of the files.
func (s *Modules) linesOf(table string, files []string, nameOf func(line string) string) (string, error) {
	wanted := map[string]bool{}
	for _, file := range files {
		wanted[moduleName(file)] = true
	}
	var kept strings.Builder
	err := eachLine(filepath.Join(s.Dir, table), func(line string) error {
		if strings.HasPrefix(line, "#") || wanted[moduleName(nameOf(line))] {
			kept.WriteString(line)
			kept.WriteByte('\n')
		}
		return nil
	})
	return kept.String(), err
}

func eachLine(path string, do func(line string) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if err := do(lines.Text()); err != nil {
			return err
		}
	}
	return lines.Err()
}

// Modules adds the files of modules and the tables by which modprobe(8) finds them, cut down to them. Each file's content passes
// through change.
func (a *Archive) Modules(set *Modules, files []string, change func([]byte) ([]byte, error)) error {
	top := "/lib/modules/" + filepath.Base(set.Dir)
	var dep strings.Builder
	for _, file := range files {
		data, err := os.ReadFile(filepath.Join(set.Dir, file))
		if err != nil {
			return err
		}
		if data, err = change(data); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if err := a.File(path.Join(top, file), 0o644, data); err != nil {
			return err
		}
		fmt.Fprintf(&dep, "%s: %s\n", file, strings.Join(set.needs[file], " "))
	}
	if err := a.File(top+"/modules.dep", 0o644, []byte(dep.String())); err != nil {
		return err
	}
	for _, table := range []struct {
		name  string
		field int // that names the module
	}{{"modules.alias", 2}, {"modules.symbols", 2}, {"modules.softdep", 1}} {
		text, err := set.linesOf(table.name, files, func(line string) string {
			if fields := strings.Fields(line); len(fields) > table.field {
				return fields[table.field]
			}
			return ""
		})
		if err != nil {
			return err
		}
		if err := a.File(path.Join(top, table.name), 0o644, []byte(text)); err != nil {
			return err
		}
	}
	return nil
}
