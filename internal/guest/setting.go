package guest

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/labctl/labctl/internal/guest/note"
	"github.com/labctl/labctl/internal/guest/sysctl"
)

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
		declared[sysctl.Path(key)] = true
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
		if value, err := sysctl.Read(s.path); err == nil && value != s.value {
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
		value, err := sysctl.Read(sysctl.Path(key))
		switch {
		case errors.Is(err, fs.ErrNotExist): // missing from what is there
		case err != nil:
			t.Problem(sysctlAt(key), err)
		case value == sysctl.Fields(want):
			set(key, want)
		default:
			set(key, value)
		}
	}
	for _, key := range t.released() {
		if value, err := sysctl.Read(sysctl.Path(key)); err == nil && value != t.kept.Before.Sysctl[key] {
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
		if was, err := sysctl.Read(sysctl.Path(key)); err == nil {
			before[key] = was
		}
	}
	return before
}

func (t *task) applySysctl() {
	set := func(at, path, want string) {
		if have, err := sysctl.Read(path); err == nil && have == sysctl.Fields(want) {
			return
		}
		switch err := sysctl.Write(path, want); {
		case errors.Is(err, fs.ErrNotExist):
			t.Problem(at, note.Refuse("this guest's kernel has no setting %s", strings.TrimPrefix(at, "sysctl.")))
		case err != nil:
			t.Problem(at, fmt.Errorf("set to %q: %w", want, err))
		default:
			t.Did("set %s to %s", path, want)
		}
	}
	for _, s := range t.forwarding() {
		if _, err := sysctl.Read(s.path); errors.Is(err, fs.ErrNotExist) {
			continue // no IPv6, or an interface that is not there, which is said elsewhere
		}
		set("forwarding", s.path, s.value)
	}
	for _, key := range slices.Sorted(maps.Keys(t.want.Sysctl)) {
		set(sysctlAt(key), sysctl.Path(key), t.want.Sysctl[key])
	}
	for _, key := range t.released() {
		set(sysctlAt(key), sysctl.Path(key), t.kept.Before.Sysctl[key])
	}
}

func sysctlAt(key string) string { return fmt.Sprintf("sysctl[%q]", key) }
