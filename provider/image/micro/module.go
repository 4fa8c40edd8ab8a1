package micro

import (
	"bufio"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// moduleSet is the modules of one kernel release.
type moduleSet struct {
	dir     string              // /lib/modules/RELEASE
	deps    map[string][]string // by path below dir, what it needs directly or not, as in modules.dep
	byName  map[string]string   // path by module name (see moduleName)
	builtin map[string]bool     // by module name
}

// readModules reads what depmod(8) wrote about a release.
func readModules(dir string) (*moduleSet, error) {
	set := &moduleSet{dir: dir, deps: map[string][]string{}, byName: map[string]string{}, builtin: map[string]bool{}}
	err := eachLine(filepath.Join(dir, "modules.dep"), func(line string) error {
		file, needs, found := strings.Cut(line, ":")
		if !found {
			return fmt.Errorf("modules.dep: %q is not FILE: NEEDS", line)
		}
		set.deps[file] = strings.Fields(needs)
		set.byName[moduleName(file)] = file
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = eachLine(filepath.Join(dir, "modules.builtin"), func(line string) error {
		set.builtin[moduleName(line)] = true
		return nil
	})
	return set, err
}

// closure lists the files of the modules that match one of the patterns (as in path.Match, on the path below the release
// without its suffix), and of all that those need. A pattern that matches nothing is no error: kernels differ.
func (s *moduleSet) closure(patterns []string) ([]string, error) {
	chosen := map[string]bool{}
	for file, needs := range s.deps {
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
func (s *moduleSet) linesOf(table string, files []string, nameOf func(line string) string) (string, error) {
	wanted := map[string]bool{}
	for _, file := range files {
		wanted[moduleName(file)] = true
	}
	var kept strings.Builder
	err := eachLine(filepath.Join(s.dir, table), func(line string) error {
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
