package guest

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"syscall"
)

const (
	hostnamePath = "/etc/hostname"
	hostsPath    = "/etc/hosts"
	hostsBegin   = "# labctl: what the lab declares"
	hostsEnd     = "# labctl: end"
)

// hostname is the running name; in a tree that is not the whole system, the one of the next boot.
func (t *task) hostname() (string, error) {
	if t.Root == "" {
		return os.Hostname()
	}
	text, err := t.read(hostnamePath)
	return strings.TrimSpace(text), err
}

func (t *task) observeHostname() error {
	if t.want.Hostname == "" {
		return nil
	}
	var err error
	t.have.Hostname, err = t.hostname()
	return err
}

func (t *task) applyHostname() error {
	if t.want.Hostname == "" {
		return nil
	}
	if text, err := t.read(hostnamePath); err != nil || strings.TrimSpace(text) != t.want.Hostname {
		if err := t.write(t.ctx, hostnamePath, t.want.Hostname+"\n", 0o644); err != nil {
			return err
		}
	}
	if is, err := t.hostname(); t.Root != "" || err == nil && is == t.want.Hostname {
		return nil
	}
	if err := syscall.Sethostname([]byte(t.want.Hostname)); err != nil {
		return fmt.Errorf("set to %s: %w", t.want.Hostname, err)
	}
	t.Did("set hostname to %s", t.want.Hostname)
	return nil
}

// hostsBlock cuts /etc/hosts into what is before labctl's lines, them, and what is after.
func (t *task) hostsBlock() (before, block, after string, err error) {
	text, err := t.read(hostsPath)
	if err != nil {
		return "", "", "", err
	}
	before, rest, found := strings.Cut(text, hostsBegin+"\n")
	if !found {
		return text, "", "", nil
	}
	block, after, _ = strings.Cut(rest, hostsEnd+"\n")
	return before, block, after, nil
}

func (t *task) observeHosts() error {
	t.have.Hosts = nil
	_, block, _, err := t.hostsBlock()
	if err != nil {
		return err
	}
	have := map[string][]string{}
	for line := range strings.Lines(block) {
		if words := strings.Fields(line); len(words) > 1 && !strings.HasPrefix(words[0], "#") {
			have[words[0]] = append(have[words[0]], words[1:]...)
		}
	}
	if len(have) > 0 {
		t.have.Hosts = have
	}
	if len(have) == 0 && len(t.want.Hosts) == 0 || reflect.DeepEqual(have, t.want.Hosts) {
		t.have.Hosts = t.want.Hosts
	}
	return nil
}

func (t *task) applyHosts() error {
	before, block, after, err := t.hostsBlock()
	if err != nil {
		return err
	}
	var want strings.Builder
	for _, address := range slices.Sorted(maps.Keys(t.want.Hosts)) {
		fmt.Fprintf(&want, "%s\t%s\n", address, strings.Join(t.want.Hosts[address], " "))
	}
	if block == want.String() {
		return nil
	}
	text := before + after
	if want.Len() > 0 {
		if before != "" && !strings.HasSuffix(before, "\n") {
			before += "\n"
		}
		text = before + hostsBegin + "\n" + want.String() + hostsEnd + "\n" + after
	}
	if err := t.write(t.ctx, hostsPath, text, 0o644); err != nil {
		return err
	}
	t.Did("write %s", hostsPath)
	return nil
}
