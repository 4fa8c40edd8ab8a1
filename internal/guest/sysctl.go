package guest

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/labctl/labctl/schema"
)

// sysctlPath is the file of a setting below /proc/sys. Dots part the words as with sysctl(8); a dot in an interface's name is
// written as a slash.
func sysctlPath(key string) string {
	return strings.NewReplacer(".", "/", "/", ".").Replace(key)
}

func readSysctl(path string) (string, error) {
	text, err := os.ReadFile("/proc/sys/" + path)
	return fields(string(text)), err
}

func writeSysctl(path, value string) error {
	return os.WriteFile("/proc/sys/"+path, []byte(value), 0o644)
}

// setting is one sysctl that forwarding stands for.
type setting struct{ path, value string }

// forwarding is what makes a guest a router, or not one. A router on one arm must not tell its hosts to go around it
// (ICMP redirects, RFC 1812 section 5.2.7.2): the kernel sends none only where both `all` and the interface say so.
func (t *task) forwarding() []setting {
	if !t.want.Forwarding {
		return []setting{{"net/ipv4/ip_forward", "0"}, {"net/ipv6/conf/all/forwarding", "0"}}
	}
	out := []setting{{"net/ipv4/ip_forward", "1"}, {"net/ipv6/conf/all/forwarding", "1"}}
	declared := map[string]bool{}
	for key := range t.want.Sysctl {
		declared[sysctlPath(key)] = true
	}
	names := []string{"all", "default"}
	for _, i := range t.want.Interfaces {
		names = append(names, i.Name)
	}
	for _, name := range names {
		if path := "net/ipv4/conf/" + name + "/send_redirects"; !declared[path] {
			out = append(out, setting{path, "0"})
		}
	}
	return out
}

func (t *task) observeSysctl() {
	t.have.Forwarding = t.want.Forwarding
	for _, s := range t.forwarding() {
		if value, err := readSysctl(s.path); err == nil && value != s.value {
			t.have.Forwarding = !t.want.Forwarding
		}
	}
	t.have.Sysctl = nil
	set := func(key, value string) {
		if t.have.Sysctl == nil {
			t.have.Sysctl = map[string]string{}
		}
		t.have.Sysctl[key] = value
	}
	for key, want := range t.want.Sysctl {
		value, err := readSysctl(sysctlPath(key))
		switch {
		case errors.Is(err, fs.ErrNotExist): // missing from what is there
		case err != nil:
			t.problem(sysctlAt(key), err)
		case value == fields(want):
			set(key, want)
		default:
			set(key, value)
		}
	}
	for _, key := range t.released() {
		if value, err := readSysctl(sysctlPath(key)); err == nil && value != t.kept.Before.Sysctl[key] {
			set(key, value)
		}
	}
}

// released are the settings that were declared once, are no longer, and whose value from before is known.
func (t *task) released() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(t.kept.Before.Sysctl)), func(key string) bool {
		_, declared := t.want.Sysctl[key]
		return declared
	})
}

func (t *task) sysctlBefore() map[string]string {
	before := maps.Clone(t.kept.Before.Sysctl)
	if before == nil {
		before = map[string]string{}
	}
	for key := range t.want.Sysctl {
		if _, known := before[key]; known {
			continue
		}
		if was, err := readSysctl(sysctlPath(key)); err == nil {
			before[key] = was
		}
	}
	return before
}

func (t *task) applySysctl() {
	set := func(at, path, want string) {
		if have, err := readSysctl(path); err == nil && have == fields(want) {
			return
		}
		switch err := writeSysctl(path, want); {
		case errors.Is(err, fs.ErrNotExist):
			t.problem(at, refuse("this guest's kernel has no setting %s", strings.TrimPrefix(at, "sysctl.")))
		case err != nil:
			t.problem(at, fmt.Errorf("set to %q: %w", want, err))
		default:
			t.did("set %s to %s", path, want)
		}
	}
	for _, s := range t.forwarding() {
		if _, err := readSysctl(s.path); errors.Is(err, fs.ErrNotExist) {
			continue // no IPv6, or an interface that is not there, which is said elsewhere
		}
		set("forwarding", s.path, s.value)
	}
	for _, key := range slices.Sorted(maps.Keys(t.want.Sysctl)) {
		set(sysctlAt(key), sysctlPath(key), t.want.Sysctl[key])
	}
	for _, key := range t.released() {
		set(sysctlAt(key), sysctlPath(key), t.kept.Before.Sysctl[key])
	}
}

func sysctlAt(key string) string { return fmt.Sprintf("sysctl[%q]", key) }

func acceptRAPath(i schema.GuestInterface) string { return "net/ipv6/conf/" + i.Name + "/accept_ra" }

// acceptRA is the kernel's value: 2 is 'also on a router'.
func acceptRA(want schema.GuestInterface, forwarding bool) string {
	switch {
	case !*want.AcceptRA:
		return "0"
	case forwarding:
		return "2"
	}
	return "1"
}

func observeAcceptRA(have *schema.GuestInterface, want schema.GuestInterface, forwarding bool) error {
	if want.AcceptRA == nil {
		return nil
	}
	value, err := readSysctl(acceptRAPath(*have))
	if errors.Is(err, fs.ErrNotExist) {
		value = "0"
	} else if err != nil {
		return err
	}
	there := *want.AcceptRA == (value == acceptRA(want, forwarding))
	have.AcceptRA = &there
	return nil
}

func (t *task) applyAcceptRA(want schema.GuestInterface) error {
	if want.AcceptRA == nil {
		return nil
	}
	value := acceptRA(want, t.want.Forwarding)
	if have, err := readSysctl(acceptRAPath(want)); err == nil && have == value {
		return nil
	}
	if err := writeSysctl(acceptRAPath(want), value); err != nil {
		if errors.Is(err, fs.ErrNotExist) && value == "0" {
			return nil
		}
		return err
	}
	t.did("set accept_ra of %s to %s", want.Name, value)
	return nil
}
