package debian

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/labctl/labctl/provider"
)

// aptSources is what the machine's own apt says about the archives of one Debian release.
type aptSources struct {
	files    map[string]string // what the guest's apt is to read, by path: sources.list(5)
	keyrings []string          // paths of the keyrings that they name
}

// sourcesOf reads the machine's apt sources and keeps the entries that are of the suite or of its parts (suite-updates). The
// archives of others are left out: what makes their packages work on this machine, keys first of all, is not in a guest.
func sourcesOf(root, suite string) (aptSources, error) {
	sources := aptSources{files: map[string]string{}}
	names := []string{"/etc/apt/sources.list"}
	for _, pattern := range []string{"*.list", "*.sources"} {
		paths, err := filepath.Glob(filepath.Join(root, "/etc/apt/sources.list.d", pattern))
		if err != nil {
			return sources, err
		}
		for _, path := range paths {
			names = append(names, "/etc/apt/sources.list.d/"+filepath.Base(path))
		}
	}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(root, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return sources, err
		}
		kept := entriesOf(string(text), suite, strings.HasSuffix(name, ".sources"))
		if kept == "" {
			continue
		}
		sources.files[name] = kept
		for _, match := range signedBy.FindAllStringSubmatch(kept, -1) {
			sources.keyrings = append(sources.keyrings, match[1])
		}
	}
	slices.Sort(sources.keyrings)
	sources.keyrings = slices.Compact(sources.keyrings)
	if len(sources.files) == 0 {
		return sources, &provider.Error{
			Op: "build debian image", Err: errors.New("this machine has no apt sources of Debian " + suite), Hint: "see sources.list(5)",
		}
	}
	return sources, nil
}

// signedBy finds the keyring of an entry in either style.
var signedBy = regexp.MustCompile(`(?i)\bsigned-by(?::\s*|=)(/[^\s\],]+)`)

// entriesOf keeps the entries of a suite in the text of one file, whose style is deb822(5) or one line each. Sources of source
// packages are left out.
func entriesOf(text, suite string, deb822 bool) string {
	var kept []string
	if !deb822 {
		for line := range strings.Lines(text) {
			if oneLine(line, suite) {
				kept = append(kept, strings.TrimSpace(line)+"\n")
			}
		}
		return strings.Join(kept, "")
	}
	for _, stanza := range regexp.MustCompile(`\n[ \t]*\n`).Split(text, -1) {
		fields := map[string][]string{}
		for line := range strings.Lines(stanza) {
			if name, value, found := strings.Cut(line, ":"); found && !strings.HasPrefix(line, "#") {
				fields[strings.ToLower(name)] = strings.Fields(value)
			}
		}
		off := slices.Equal(fields["enabled"], []string{"no"})
		if slices.Contains(fields["types"], "deb") && !off && slices.ContainsFunc(fields["suites"], func(s string) bool { return ofSuite(s, suite) }) {
			kept = append(kept, strings.TrimSpace(stanza)+"\n")
		}
	}
	return strings.Join(kept, "\n")
}

// oneLine reports whether the line is "deb [options] URI SUITE …" of the suite.
func oneLine(line, suite string) bool {
	rest, found := strings.CutPrefix(strings.TrimSpace(line), "deb")
	if !found || strings.TrimLeft(rest, " \t") == rest {
		return false
	}
	rest = strings.TrimSpace(rest)
	if strings.HasPrefix(rest, "[") {
		_, rest, _ = strings.Cut(rest, "]")
	}
	words := strings.Fields(rest)
	return len(words) > 1 && ofSuite(words[1], suite)
}

// ofSuite reports whether a name is the suite's or that of a part of it, such as bookworm-updates or bookworm/updates.
func ofSuite(name, suite string) bool {
	rest, found := strings.CutPrefix(name, suite)
	return found && (rest == "" || rest[0] == '-' || rest[0] == '/')
}

// write puts the files where mmdebstrap finds them and returns their paths, sources.list first.
func (s aptSources) write(dir string) ([]string, error) {
	var paths []string
	for _, name := range s.names() {
		path := filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(path, []byte(s.files[name]), 0o644); err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

func (s aptSources) names() []string {
	names := make([]string, 0, len(s.files))
	for name := range s.files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// install gives the guest in the folder guest the sources as this machine has them, and their keyrings from below root where it
// lacks them.
func (s aptSources) install(root, guest string) error {
	old, err := filepath.Glob(filepath.Join(guest, "etc/apt/sources.list.d/*"))
	if err != nil {
		return err
	}
	for _, path := range append(old, filepath.Join(guest, "etc/apt/sources.list")) {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	contents := map[string][]byte{}
	for name, text := range s.files {
		contents[name] = []byte(text)
	}
	for _, name := range s.keyrings {
		if _, err := os.Stat(filepath.Join(guest, name)); err == nil {
			continue
		}
		if contents[name], err = os.ReadFile(filepath.Join(root, name)); err != nil {
			return err
		}
	}
	for name, data := range contents {
		path := filepath.Join(guest, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}
