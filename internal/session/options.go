package session

import (
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/term"

	"github.com/labctl/labctl/internal/courier"
	"github.com/labctl/labctl/internal/parcel"
)

// DataRoot is where labctl keeps images and the files of labs.
const DataRoot = "/var/lib/labctl"

// Options are what the user asked of every command.
type Options struct {
	Chdir       string // work in this folder
	NoColor     bool
	Parallel    int      // operations at once; 0 is the engine's default
	Vars        []string // name=value
	VarFiles    []string
	VarsAfter   []int // for each of VarFiles, from the last one back, how many of Vars come after it: the others it overrides
	LockTimeout time.Duration
	Connect     string // libvirt URI of the unlabelled host, "" for what the lab says
	SSH         string // where the unlabelled host is, "" for what the lab says
	Version     string // of labctl
	Errand      Errand // the command, for a host that is elsewhere
	Plan        string // the saved plan that was read

	inbox  *courier.Inbox // nil unless another machine has sent the command here
	parcel *parcel.Parcel // what came with it
	veil   *veil          // over what is written; nil before the first session
}

// Color reports whether w is a terminal that may be written to in colours (https://no-color.org).
func (o *Options) Color(w io.Writer) bool {
	return !o.NoColor && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && IsTerminal(w)
}

// IsTerminal reports whether a stream is one.
func IsTerminal(stream any) bool {
	if w, ok := stream.(io.Writer); ok {
		stream = Bare(w)
	}
	file, ok := stream.(*os.File)
	if t, sent := courier.Streams(); ok && sent {
		return file == os.Stdin && t.In || file == os.Stdout && t.Out || file == os.Stderr && t.Err
	}
	return ok && term.IsTerminal(int(file.Fd()))
}

// Width is how many columns w has; 80 where it is no terminal.
func Width(w io.Writer) int {
	if t, sent := courier.Streams(); sent && IsTerminal(w) && t.Columns > 0 {
		return t.Columns
	}
	if file, ok := Bare(w).(*os.File); ok {
		if columns, _, err := term.GetSize(int(file.Fd())); err == nil && columns > 0 {
			return columns
		}
	}
	return 80
}

// Height is how many rows w has; 0 where it is no terminal.
func Height(w io.Writer) int {
	if t, sent := courier.Streams(); sent && IsTerminal(w) {
		return t.Rows
	}
	if file, ok := Bare(w).(*os.File); ok {
		if _, rows, err := term.GetSize(int(file.Fd())); err == nil {
			return rows
		}
	}
	return 0
}

// With are the options with further variables, which override the others.
func (o *Options) With(vars ...string) *Options {
	with := *o
	with.Vars = slices.Concat(o.Vars, vars)
	with.VarsAfter = slices.Clone(o.VarsAfter)
	for n := range with.VarsAfter {
		with.VarsAfter[n] += len(vars)
	}
	return &with
}
