package host

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"
)

// Agent is the system inside a virtual machine, reached through its QEMU guest agent: with no network, over virtio-serial.
// See https://www.qemu.org/docs/master/interop/qemu-ga-ref.html.
type Agent struct {
	// Command sends one request of the agent's protocol and returns the whole answer, both JSON.
	Command func(ctx context.Context, request []byte) ([]byte, error)
}

// AgentError is a request that the agent refused.
type AgentError struct {
	Command string // "guest-exec"
	Class   string // "CommandNotFound", "GenericError", …
	Desc    string
}

func (e *AgentError) Error() string { return e.Command + ": " + e.Desc }

// call has the agent execute a command; out is what its answer is decoded into, or nil.
func (a Agent) call(ctx context.Context, command string, arguments, out any) error {
	request, err := json.Marshal(struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
	}{command, arguments})
	if err != nil {
		return err
	}
	text, err := a.Command(ctx, request)
	if err != nil {
		return refusal(command, err)
	}
	var answer struct {
		Return json.RawMessage `json:"return"`
		Error  *struct {
			Class string `json:"class"`
			Desc  string `json:"desc"`
		} `json:"error"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Errorf("%s: the agent's answer: %w", command, err)
	}
	if answer.Error != nil {
		return &AgentError{Command: command, Class: answer.Error.Class, Desc: answer.Error.Desc}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer.Return, out); err != nil {
		return fmt.Errorf("%s: the agent's answer: %w", command, err)
	}
	return nil
}

// refused is how libvirt begins the text of an error that the agent itself reported.
const refused = "unable to execute QEMU agent command '"

// refusal makes an *AgentError of what libvirt says when the agent refuses; another error stays what it is.
func refusal(command string, err error) error {
	_, rest, found := strings.Cut(err.Error(), refused)
	if !found {
		return err
	}
	_, said, _ := strings.Cut(rest, "': ")
	return &AgentError{Command: command, Class: "GenericError", Desc: said}
}

// Waits between two looks at a command that runs. The agent cannot tell by itself when it ends; most take milliseconds.
const (
	firstWait = 2 * time.Millisecond
	longWait  = 100 * time.Millisecond
)

// Run implements Host. Standard error and output are read when the command has ended, up to the 16 MB that the agent keeps.
func (a Agent) Run(ctx context.Context, c Command) (Output, error) {
	if c.Dir != "" {
		script := append([]string{"sh", "-c", `cd "$0" && exec "$@"`, c.Dir}, c.Args...)
		c = Command{Args: script, Stdin: c.Stdin, Env: c.Env}
	}
	if len(c.Stdin) > maxInput {
		var err error
		if c, err = a.inputFromFile(ctx, c); err != nil {
			return Output{}, err
		}
	}
	args := c.Args
	if len(c.Env) > 0 { // the agent's own `env` would take the place of the guest's environment
		args = append(append([]string{"env"}, c.Env...), args...)
	}
	start := struct {
		Path  string   `json:"path"`
		Arg   []string `json:"arg,omitempty"`
		Input []byte   `json:"input-data,omitempty"`
		Keep  bool     `json:"capture-output"`
	}{args[0], args[1:], c.Stdin, true}
	var process struct {
		PID int64 `json:"pid"`
	}
	if err := a.call(ctx, "guest-exec", start, &process); err != nil {
		if refused, ok := errors.AsType[*AgentError](err); ok && refused.Class != "CommandNotFound" {
			return Output{}, &CommandError{Args: c.Args, Exit: -1, Err: err}
		}
		return Output{}, err
	}
	return a.wait(ctx, c.Args, process.PID)
}

func (a Agent) wait(ctx context.Context, args []string, pid int64) (Output, error) {
	for wait := firstWait; ; wait = min(wait*3/2, longWait) {
		var status struct {
			Exited    bool   `json:"exited"`
			ExitCode  *int   `json:"exitcode"`
			Signal    int    `json:"signal"`
			Out       []byte `json:"out-data"`
			Err       []byte `json:"err-data"`
			Truncated bool   `json:"out-truncated"`
		}
		if err := a.call(ctx, "guest-exec-status", map[string]int64{"pid": pid}, &status); err != nil {
			return Output{}, err
		}
		if !status.Exited {
			select {
			case <-ctx.Done():
				return Output{}, fmt.Errorf("%s: it was still running: %w", args[0], context.Cause(ctx))
			case <-time.After(wait):
			}
			continue
		}
		out := Output{Stdout: status.Out, Stderr: status.Err}
		switch {
		case status.Truncated:
			return out, fmt.Errorf("%s: its output is longer than the guest agent keeps", args[0])
		case status.ExitCode == nil:
			return out, &CommandError{Args: args, Exit: -1, Stderr: string(status.Err), Err: fmt.Errorf("died of signal %d", status.Signal)}
		case *status.ExitCode != 0:
			return out, &CommandError{Args: args, Exit: *status.ExitCode, Stderr: string(status.Err), Err: fmt.Errorf("exit status %d", *status.ExitCode)}
		}
		return out, nil
	}
}

// A request of 256 KiB or more never arrives: libvirt 9.0 with QEMU 7.2 then waits for ever, and the agent is lost to it until
// the machine restarts (seen; answers may be megabytes long). Small requests are also the fastest.
const (
	writeChunk = 32 << 10
	readChunk  = 1 << 20
	maxInput   = 96 << 10 // bytes of standard input that are sent along with a command
)

// inputFromFile is the command with its standard input in a file, which is gone once it is open.
func (a Agent) inputFromFile(ctx context.Context, c Command) (Command, error) {
	name := "/run/labctl/input-" + rand.Text()
	if err := a.WriteFile(ctx, name, c.Stdin, 0o600); err != nil {
		return Command{}, err
	}
	const script = `exec 3<"$0" && rm -f "$0" && exec "$@" <&3 3<&-`
	return Command{Args: append([]string{"sh", "-c", script, name}, c.Args...), Env: c.Env}, nil
}

// open opens a file in the guest; close it with shut.
func (a Agent) open(ctx context.Context, name, mode string) (handle int64, err error) {
	err = a.call(ctx, "guest-file-open", map[string]string{"path": name, "mode": mode}, &handle)
	if refused, ok := errors.AsType[*AgentError](err); ok && strings.Contains(refused.Desc, "No such file or directory") {
		return 0, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return handle, err
}

// shut closes a file of the guest, also when ctx is over: the agent would keep it open for ever.
func (a Agent) shut(ctx context.Context, handle int64) error {
	return a.call(context.WithoutCancel(ctx), "guest-file-close", map[string]int64{"handle": handle}, nil)
}

// ReadFile implements Host.
func (a Agent) ReadFile(ctx context.Context, name string) (data []byte, err error) {
	handle, err := a.open(ctx, name, "r")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, a.shut(ctx, handle)) }()
	for {
		var part struct {
			Data []byte `json:"buf-b64"`
			EOF  bool   `json:"eof"`
		}
		if err := a.call(ctx, "guest-file-read", map[string]int64{"handle": handle, "count": readChunk}, &part); err != nil {
			return nil, err
		}
		data = append(data, part.Data...)
		if part.EOF || len(part.Data) == 0 {
			return data, nil
		}
	}
}

// WriteFile implements Host. The agent can only write in place, so the file is written beside its name, where nobody else
// can read it, and moved.
func (a Agent) WriteFile(ctx context.Context, name string, data []byte, mode fs.FileMode) error {
	temporary := path.Join(path.Dir(name), "."+path.Base(name)+".labctl")
	const prepare = `mkdir -p "$1" && umask 077 && : >"$2"`
	if _, err := a.Run(ctx, Cmd("sh", "-c", prepare, "sh", path.Dir(name), temporary)); err != nil {
		return err
	}
	handle, err := a.open(ctx, temporary, "w")
	if err != nil {
		return err
	}
	if err := a.writeAll(ctx, handle, data); err != nil {
		_ = a.shut(ctx, handle) // what went wrong first counts
		return err
	}
	if err := a.shut(ctx, handle); err != nil {
		return err
	}
	bits := strconv.FormatUint(uint64(mode.Perm()), 8)
	// sync(1) of BusyBox and of old coreutils takes no file.
	const finish = `chmod "$1" "$2" && { sync "$2" 2>/dev/null || sync; } && mv -f "$2" "$3"`
	_, err = a.Run(ctx, Cmd("sh", "-c", finish, "sh", bits, temporary, name))
	return err
}

func (a Agent) writeAll(ctx context.Context, handle int64, data []byte) error {
	for len(data) > 0 {
		part := data[:min(writeChunk, len(data))]
		var wrote struct {
			Count int `json:"count"`
		}
		arguments := struct {
			Handle int64  `json:"handle"`
			Data   []byte `json:"buf-b64"`
		}{handle, part}
		if err := a.call(ctx, "guest-file-write", arguments, &wrote); err != nil {
			return err
		}
		if wrote.Count <= 0 || wrote.Count > len(part) {
			return fmt.Errorf("guest-file-write: the agent wrote %d of %d bytes", wrote.Count, len(part))
		}
		data = data[wrote.Count:]
	}
	return nil
}

// Remove implements Host.
func (a Agent) Remove(ctx context.Context, name string) error {
	const script = `if [ -d "$1" ] && [ ! -L "$1" ]; then rmdir "$1"; else rm -f "$1"; fi`
	_, err := a.Run(ctx, Cmd("sh", "-c", script, "sh", name))
	return err
}
