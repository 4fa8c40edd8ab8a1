package guest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/labctl/labctl/internal/guest/native"
	"github.com/labctl/labctl/internal/helper"
	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/schema"
)

// leaseChanges are the interfaces that take leases by the system's ifupdown and shall no longer, or the other way round. Its clients are
// its own to start and stop; all else that its file says the helper does through netlink.
func (t *task) leaseChanges() []string {
	if t.Root != "" || native.Detect(t.exists) != native.Ifupdown {
		return nil
	}
	old, err := t.read(native.InterfacesFile)
	if err != nil {
		return nil // that it cannot be read is told where it is written
	}
	files := t.nativeFiles()
	at := slices.IndexFunc(files, func(f schema.File) bool { return f.Path == native.InterfacesFile })
	if at < 0 {
		return nil // it is declared as a file, and so the user's
	}
	before, after := native.Leases(old), native.Leases(files[at].Content)
	var out []string
	for _, i := range t.want.Interfaces {
		if before[i.Name] != after[i.Name] {
			out = append(out, i.Name)
		}
	}
	return out
}

// stopLeases takes interfaces down by the old file, whose clients then end.
func (t *task) stopLeases(names []string) error {
	return t.ifupdown("ifdown", names)
}

// startLeases brings interfaces up by the new file.
func (t *task) startLeases(names []string) error {
	return t.ifupdown("ifup", names)
}

// quietly runs a command that may leave a daemon behind, which would otherwise hold our output open for ever. What it says is kept in
// the file that is its first argument, and told where it fails.
const quietly = `log=$1; shift; mkdir -p "${log%/*}"; "$@" </dev/null >"$log" 2>&1 || { code=$?; cat "$log" >&2; exit $code; }`

func (t *task) ifupdown(verb string, names []string) error {
	for _, name := range names {
		// By force: the tool's own record of what is up may be of another time.
		args := []string{"sh", "-c", quietly, "sh", helper.RunDir + "/" + verb + ".log", verb, "-f", name}
		if _, err := t.Host.Run(t.ctx, host.Cmd(args...)); err != nil && verb == "ifup" {
			return fmt.Errorf("%s %s: %w", verb, name, err)
		}
		t.Did("%s", strings.Join(args[5:], " "))
	}
	return nil
}
