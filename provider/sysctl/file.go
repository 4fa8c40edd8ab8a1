package sysctl

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// file is what one lab keeps on a host: the settings, and what each was before.
type file struct {
	path    string
	mark    provider.Mark
	entries map[string]entry // by key
}

// entry is one setting in a file.
type entry struct {
	value  string
	before string
	// leaving is a setting that is about to go back to before: it is not in force any more, and nobody counts on it.
	leaving bool
}

const (
	folder = "etc/sysctl.d"
	prefix = "90-labctl-"
	suffix = ".conf"

	beforeWord  = "# before: "
	leavingWord = "# leaving: "
)

func (p *Provider) pathOf(lab string, addr schema.Addr) string {
	return path.Join(p.Root, folder, prefix+provider.FileName(lab, addr)+suffix)
}

// readFiles reads the files of all labs.
func (p *Provider) readFiles(ctx context.Context) ([]*file, error) {
	found, err := host.ReadFiles(ctx, p.host, p.Root, folder+"/"+prefix+"*"+suffix)
	if err != nil {
		return nil, err
	}
	var files []*file
	for _, f := range found {
		parsed, ok := parse(string(f.Data))
		if ok && p.pathOf(parsed.mark.Lab, parsed.mark.Addr) == f.Path { // a copy elsewhere is nobody's
			parsed.path = f.Path
			files = append(files, parsed)
		}
	}
	return files, nil
}

// parse reads a file as render writes it; ok is false where it bears no mark. Lines of others in it are passed over.
func parse(text string) (f *file, ok bool) {
	first, rest, _ := strings.Cut(text, "\n")
	f = &file{entries: map[string]entry{}}
	if f.mark, ok = provider.ParseMark(strings.TrimPrefix(first, "# ")); !ok {
		return nil, false
	}
	before := map[string]string{}
	for line := range strings.Lines(rest) {
		line = strings.TrimRight(line, "\n")
		if noted, ok := strings.CutPrefix(line, beforeWord); ok {
			if key, value, ok := setting(noted); ok {
				before[key] = value
			}
			continue
		}
		active, leaving := strings.CutPrefix(line, leavingWord)
		if strings.HasPrefix(active, "#") || strings.HasPrefix(active, ";") {
			continue
		}
		if key, value, ok := setting(active); ok {
			f.entries[key] = entry{value: value, before: before[key], leaving: leaving}
		}
	}
	return f, true
}

func setting(line string) (key, value string, ok bool) {
	key, value, ok = strings.Cut(line, "=")
	key = strings.TrimSpace(key)
	return key, normal(value), ok && key != "" && key[0] != '#' && key[0] != ';' // sysctl.d(5): these begin comments
}

// render is the text of a file, in the order in which it is to be loaded.
func (f *file) render() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n# Kernel settings of the lab %s. labctl writes this file; a value before the lab's own is what was there before it.\n",
		f.mark.String(), f.mark.Lab)
	for _, key := range inOrder(f.entries) {
		e := f.entries[key]
		fmt.Fprintf(&b, "%s%s = %s\n", beforeWord, key, e.before)
		if e.leaving {
			b.WriteString(leavingWord)
		}
		fmt.Fprintf(&b, "%s = %s\n", key, e.value)
	}
	return b.String()
}

// inOrder sorts keys, forwarding first: turning it on or off sets an interface's other settings to the defaults of a
// router or a host (Documentation/networking/ip-sysctl.rst of the kernel).
func inOrder[V any](settings map[string]V) []string {
	last := func(key string) int {
		if strings.Contains(key, "forward") {
			return 0
		}
		return 1
	}
	return slices.SortedFunc(maps.Keys(settings), func(a, b string) int {
		return cmp.Or(cmp.Compare(last(a), last(b)), cmp.Compare(a, b))
	})
}

// normal is a value as one line with single spaces: the kernel separates the numbers of some settings by tabs.
func normal(value string) string { return strings.Join(strings.Fields(value), " ") }

// live reads the settings as the kernel has them now, in one round trip. A key that the kernel does not have is left out.
func (p *Provider) live(ctx context.Context, keys []string) (map[string]string, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	args := []string{"sh", "-c", `for f; do [ -f "$f" ] && { cat "$f" 2>&1 || exit; }; printf '\001'; [ -f "$f" ] && printf y; printf '\000'; done`, "sh"}
	for _, key := range keys {
		args = append(args, p.procPath(key))
	}
	out, err := p.host.Run(ctx, host.Cmd(args...))
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for i, answer := range strings.Split(string(out.Stdout), "\x00") {
		value, there, _ := strings.Cut(answer, "\x01")
		if i < len(keys) && there == "y" {
			values[keys[i]] = normal(value)
		}
	}
	return values, nil
}

// set writes settings into the running kernel, in order. Those that the kernel does not have are an error unless passing
// is set: an interface that is gone has taken its settings along.
func (p *Provider) set(ctx context.Context, values map[string]string, passing bool) error {
	if len(values) == 0 {
		return nil
	}
	script := `while [ $# -gt 1 ]; do
		if [ -f "$1" ] || [ "$0" != passing ]; then printf '%s\n' "$2" >"$1" || { echo "$1 does not take $2" >&2; exit 1; }; fi
		shift 2; done`
	args := []string{"sh", "-c", script, "all"}
	if passing {
		args[3] = "passing"
	}
	for _, key := range inOrder(values) {
		args = append(args, p.procPath(key), values[key])
	}
	_, err := p.host.Run(ctx, host.Cmd(args...))
	return err
}

// procPath is the file of a key. In the dotted form a slash stands for a dot in a name, as in net.ipv4.conf.eth0/7.rp_filter
// (sysctl.d(5)).
func (p *Provider) procPath(key string) string {
	swap := strings.NewReplacer(".", "/", "/", ".")
	return path.Join(p.Root, "proc/sys", swap.Replace(key))
}
