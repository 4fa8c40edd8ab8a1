package nft

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/labctl/labctl/internal/host"
)

// LineError is one complaint of nft about a place in the text it was given.
type LineError struct {
	Line    int    `json:"line"`             // from 1
	Column  int    `json:"column,omitempty"` // from 1
	File    string `json:"file,omitempty"`   // of an include; empty for the text itself
	Message string `json:"message"`
}

// RefusedError is a ruleset that nft or the kernel refused. Nothing of it was loaded.
type RefusedError struct {
	Lines []LineError // may be empty, where nft named no line
	Err   error
}

func (e *RefusedError) Error() string {
	if len(e.Lines) == 0 {
		return e.Err.Error()
	}
	said := make([]string, len(e.Lines))
	for i, line := range e.Lines {
		said[i] = fmt.Sprintf("line %d: %s", line.Line, line.Message)
	}
	return "nft: " + strings.Join(said, "; ")
}

func (e *RefusedError) Unwrap() error { return e.Err }

// ParseError picks the complaints with a place out of what nft wrote to its standard error. Warnings are not among them.
func ParseError(stderr string) []LineError {
	place := regexp.MustCompile(`^(\S+?):(\d+):(\d+)(?:-[\d:]+)?: (?:Error: )?(.*)$`)
	var out []LineError
	for line := range strings.Lines(stderr) {
		m := place.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil || strings.HasPrefix(m[4], "Warning") {
			continue
		}
		number, err := strconv.Atoi(m[2])
		if err != nil {
			continue
		}
		column, err := strconv.Atoi(m[3])
		if err != nil {
			continue
		}
		file := m[1]
		if file == "/dev/stdin" {
			file = ""
		}
		out = append(out, LineError{Line: number, Column: column, File: file, Message: m[4]})
	}
	return out
}

// List reads the whole ruleset of h: parsed, and as nft printed it.
func List(ctx context.Context, h host.Host) (Ruleset, string, error) {
	out, err := h.Run(ctx, host.Cmd("nft", "-s", "list", "ruleset"))
	if err != nil {
		return Ruleset{}, "", err
	}
	ruleset, err := Parse(out.Stdout)
	return ruleset, string(out.Stdout), err
}

// scratchScript loads standard input in the network namespace that it is run in and lists it back. The links named as
// arguments are made first, since rules may name them (`iif`, devices of a flowtable or an ingress chain).
const scratchScript = `for link; do
	ip link add name "$link" type dummy 2>/dev/null || ip link add name "$link" type veth 2>/dev/null || ip link add name "$link" type bridge || exit 1
done
nft -f - && exec nft -s list ruleset`

// Scratch loads text on h in a network namespace of its own, which is gone afterwards, and returns what nft makes of it.
// A text that is refused is a *RefusedError. It needs the right to make a namespace (root).
func Scratch(ctx context.Context, h host.Host, text string, links ...string) (Ruleset, string, error) {
	args := append([]string{"unshare", "-n", "sh", "-c", scratchScript, "sh"}, links...)
	out, err := h.Run(ctx, host.Command{Args: args, Stdin: []byte(text)})
	if err != nil {
		return Ruleset{}, "", refused(err)
	}
	ruleset, err := Parse(out.Stdout)
	return ruleset, string(out.Stdout), err
}

// Load gives text to `nft -f` as it is, in one transaction. A text that is refused is a *RefusedError and changes nothing.
func Load(ctx context.Context, h host.Host, text string) error {
	_, err := h.Run(ctx, host.Command{Args: []string{"nft", "-f", "-"}, Stdin: []byte(text)})
	return refused(err)
}

// Replace makes text the whole ruleset of h, in one transaction. A text that is refused is a *RefusedError, with lines
// counted in text, and changes nothing.
func Replace(ctx context.Context, h host.Host, text string) error {
	err := Load(ctx, h, "flush ruleset\n"+text)
	if bad, ok := errors.AsType[*RefusedError](err); ok {
		for i := range bad.Lines {
			if bad.Lines[i].File == "" {
				bad.Lines[i].Line--
			}
		}
	}
	return err
}

// refused makes a *RefusedError of a command's failure; another error stays what it is.
func refused(err error) error {
	failed, ok := errors.AsType[*host.CommandError](err)
	if !ok || failed.Exit < 1 {
		return err
	}
	return &RefusedError{Lines: ParseError(failed.Stderr), Err: err}
}
