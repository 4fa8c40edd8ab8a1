package guest

import (
	"os"
	"slices"
	"strings"

	"github.com/labctl/labctl/internal/host"
)

const (
	resolvPath   = "/etc/resolv.conf"
	resolvedPath = "/etc/systemd/resolved.conf.d/90-labctl.conf"
	dnsHeader    = "# Written by labctl from what the lab declares.\n"
)

// dnsDeclared reports whether the lab has, or had, a say in how names are resolved.
func (t *task) dnsDeclared() bool {
	return len(t.want.Nameservers)+len(t.want.Search)+len(t.kept.Guest.Nameservers)+len(t.kept.Guest.Search) > 0
}

// resolved reports whether systemd-resolved answers the guest's questions: it owns resolv.conf then.
func (t *task) resolved() bool {
	target, err := os.Readlink(t.path(resolvPath))
	return err == nil && strings.Contains(target, "systemd/resolve")
}

func (t *task) observeDNS() error {
	t.have.Nameservers, t.have.Search = nil, nil
	if !t.dnsDeclared() {
		return nil
	}
	parse, path := parseResolv, resolvPath
	if t.resolved() {
		parse, path = parseResolved, resolvedPath
	}
	text, err := t.read(path)
	if err != nil {
		return err
	}
	t.have.Nameservers, t.have.Search = parse(text)
	if slices.Equal(t.have.Nameservers, t.want.Nameservers) {
		t.have.Nameservers = t.want.Nameservers
	}
	if slices.Equal(t.have.Search, t.want.Search) {
		t.have.Search = t.want.Search
	}
	return nil
}

// parseResolv reads resolv.conf(5), where the last search list counts.
func parseResolv(text string) (servers, search []string) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) > 1 && words[0] == "nameserver":
			servers = append(servers, words[1])
		case len(words) > 1 && (words[0] == "search" || words[0] == "domain"):
			search = words[1:]
		}
	}
	return servers, search
}

// parseResolved reads labctl's own drop-in for resolved.conf(5).
func parseResolved(text string) (servers, search []string) {
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "DNS":
			servers = strings.Fields(value)
		case "Domains":
			search = strings.Fields(value)
		}
	}
	return servers, search
}

func (t *task) applyDNS() error {
	if !t.dnsDeclared() {
		return nil
	}
	if t.resolved() {
		return t.applyResolved()
	}
	text, err := t.read(resolvPath)
	if err != nil {
		return err
	}
	servers, search := parseResolv(text)
	if slices.Equal(servers, t.want.Nameservers) && slices.Equal(search, t.want.Search) {
		return nil
	}
	var out strings.Builder
	out.WriteString(dnsHeader)
	if len(t.want.Search) > 0 {
		out.WriteString("search " + strings.Join(t.want.Search, " ") + "\n")
	}
	for _, server := range t.want.Nameservers {
		out.WriteString("nameserver " + server + "\n")
	}
	if err := t.write(t.ctx, resolvPath, out.String(), 0o644); err != nil {
		return err
	}
	t.Did("write %s", resolvPath)
	return nil
}

func (t *task) applyResolved() error {
	text, err := t.read(resolvedPath)
	if err != nil {
		return err
	}
	out := dnsHeader + "[Resolve]\nDNS=" + strings.Join(t.want.Nameservers, " ") + "\nDomains=" + strings.Join(t.want.Search, " ") + "\n"
	if text == out {
		return nil
	}
	if err := t.write(t.ctx, resolvedPath, out, 0o644); err != nil {
		return err
	}
	t.Did("write %s", resolvedPath)
	// Restarted, for systemd-resolved reads its files only when it starts.
	_, err = t.Host.Run(t.ctx, host.Cmd("systemctl", "try-restart", "systemd-resolved.service"))
	return err
}
