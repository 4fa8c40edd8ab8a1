package host_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/labctl/labctl/internal/host"
)

// replies is a fake agent: answers by command, one after the other, the last one for ever.
type replies map[string][]string

func (r replies) command(asked *[]string) func(context.Context, []byte) ([]byte, error) {
	return func(_ context.Context, request []byte) ([]byte, error) {
		var c struct {
			Execute string `json:"execute"`
		}
		if err := json.Unmarshal(request, &c); err != nil {
			return nil, err
		}
		*asked = append(*asked, string(request))
		list := r[c.Execute]
		if len(list) == 0 {
			return nil, fmt.Errorf("nobody expects %s", c.Execute)
		}
		if len(list) > 1 {
			r[c.Execute] = list[1:]
		}
		if said, failed := strings.CutPrefix(list[0], "! "); failed {
			return nil, errors.New(said)
		}
		return []byte(list[0]), nil
	}
}

func b64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func TestAgentRun(t *testing.T) {
	exited := func(rest string) []string {
		return []string{`{"return":{"exited":false}}`, `{"return":{"exited":true` + rest + `}}`}
	}
	started := []string{`{"return":{"pid":7}}`}
	for name, test := range map[string]struct {
		replies replies
		out     string
		exit    int // of the *CommandError; 0 for none
		said    string
	}{
		"success": {replies{"guest-exec": started, "guest-exec-status": exited(`,"exitcode":0,"out-data":"` + b64("hello") + `"`)}, "hello", 0, ""},
		"failure": {replies{"guest-exec": started, "guest-exec-status": exited(`,"exitcode":3,"err-data":"` + b64("no way\n") + `"`)}, "", 3, "prog: no way"},
		"signal":  {replies{"guest-exec": started, "guest-exec-status": exited(`,"signal":9`)}, "", -1, "signal 9"},
		"not there": {replies{"guest-exec": {`! internal error: unable to execute QEMU agent command 'guest-exec': Guest agent command failed, ` +
			`error was 'Failed to execute child process "prog" (No such file or directory)'`}}, "", -1, "No such file"},
		"not there, in JSON": {replies{"guest-exec": {`{"error":{"class":"GenericError","desc":"Failed to execute child process"}}`}}, "", -1, "child process"},
	} {
		var asked []string
		out, err := host.Agent{Command: test.replies.command(&asked)}.Run(t.Context(), host.Command{Args: []string{"prog", "a b"}, Stdin: []byte("in")})
		failed, _ := errors.AsType[*host.CommandError](err)
		switch {
		case string(out.Stdout) != test.out:
			t.Errorf("%s: output %q", name, out.Stdout)
		case test.said == "" && err != nil, test.said != "" && (failed == nil || failed.Exit != test.exit || !strings.Contains(err.Error(), test.said)):
			t.Errorf("%s: %v", name, err)
		case !strings.Contains(asked[0], `"arg":["a b"]`) || !strings.Contains(asked[0], b64("in")):
			t.Errorf("%s: asked %s", name, asked[0])
		}
	}
}

func TestAgentThatCannotBeReachedIsNoFailedCommand(t *testing.T) {
	var asked []string
	gone := replies{"guest-exec": {"! Guest agent is not responding"}}
	_, err := host.Agent{Command: gone.command(&asked)}.Run(t.Context(), host.Cmd("true"))
	if _, failed := errors.AsType[*host.CommandError](err); err == nil || failed {
		t.Errorf("%v", err)
	}
}

func TestAgentRunEndsWithItsContext(t *testing.T) {
	var asked []string
	never := replies{"guest-exec": {`{"return":{"pid":7}}`}, "guest-exec-status": {`{"return":{"exited":false}}`}}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := host.Agent{Command: never.command(&asked)}.Run(ctx, host.Cmd("sleep", "9"))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestAgentFiles(t *testing.T) {
	var asked []string
	r := replies{
		"guest-file-open": {`{"return":5}`}, "guest-file-close": {`{"return":{}}`},
		"guest-file-read": {`{"return":{"buf-b64":"` + b64("one ") + `","eof":false}}`, `{"return":{"buf-b64":"` + b64("two") + `","eof":true}}`},
	}
	data, err := host.Agent{Command: r.command(&asked)}.ReadFile(t.Context(), "/x")
	if err != nil || string(data) != "one two" || !strings.Contains(asked[len(asked)-1], "guest-file-close") {
		t.Errorf("%q, %v, %q", data, err, asked)
	}
	none := replies{"guest-file-open": {`! internal error: unable to execute QEMU agent command 'guest-file-open': failed to open file '/x' (mode: 'r'): No such file or directory`}}
	if _, err := (host.Agent{Command: none.command(&asked)}).ReadFile(t.Context(), "/x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	asked = nil
	w := replies{
		"guest-file-open": {`{"return":5}`}, "guest-file-close": {`{"return":{}}`},
		"guest-file-write":  {`{"return":{"count":3}}`, `{"return":{"count":2}}`},
		"guest-exec":        {`{"return":{"pid":7}}`},
		"guest-exec-status": {`{"return":{"exited":true,"exitcode":0}}`},
	}
	if err := (host.Agent{Command: w.command(&asked)}).WriteFile(t.Context(), "/d/x", []byte("12345"), 0o755); err != nil {
		t.Fatal(err)
	}
	all := strings.Join(asked, "\n")
	for _, part := range []string{`"/d/.x.labctl"`, b64("12345"), b64("45"), `"755","/d/.x.labctl","/d/x"`} {
		if !strings.Contains(all, part) {
			t.Errorf("%s is not in\n%s", part, all)
		}
	}
	short := replies{
		"guest-exec": {`{"return":{"pid":7}}`}, "guest-exec-status": {`{"return":{"exited":true,"exitcode":0}}`},
		"guest-file-open": {`{"return":5}`}, "guest-file-close": {`{"return":{}}`}, "guest-file-write": {`{"return":{"count":0}}`}}
	if err := (host.Agent{Command: short.command(&asked)}).WriteFile(t.Context(), "/x", []byte("1"), 0o644); err == nil {
		t.Error("a write of nothing passed")
	}
}

func TestAgentNeverSendsMoreThanArrives(t *testing.T) {
	const limit = 200 << 10
	var asked []string
	r := replies{
		"guest-file-open": {`{"return":5}`}, "guest-file-close": {`{"return":{}}`},
		"guest-exec": {`{"return":{"pid":7}}`}, "guest-exec-status": {`{"return":{"exited":true,"exitcode":0}}`},
	}
	command := r.command(&asked)
	written := 0
	agent := host.Agent{Command: func(ctx context.Context, request []byte) ([]byte, error) {
		var c struct {
			Execute   string `json:"execute"`
			Arguments struct {
				Data []byte `json:"buf-b64"`
			} `json:"arguments"`
		}
		if err := json.Unmarshal(request, &c); err != nil {
			return nil, err
		}
		if c.Execute == "guest-file-write" {
			written += len(c.Arguments.Data)
			asked = append(asked, string(request))
			return fmt.Appendf(nil, `{"return":{"count":%d}}`, len(c.Arguments.Data)), nil
		}
		return command(ctx, request)
	}}
	input := make([]byte, 1<<20)
	if _, err := agent.Run(t.Context(), host.Command{Args: []string{"prog", "x"}, Stdin: input}); err != nil {
		t.Fatal(err)
	}
	if written != len(input) {
		t.Errorf("%d bytes of %d were written", written, len(input))
	}
	for _, request := range asked {
		if len(request) > limit {
			t.Errorf("a request is %d bytes long", len(request))
		}
	}
	if last := asked[len(asked)-2]; !strings.Contains(last, `"prog","x"`) || strings.Contains(last, "input-data") {
		t.Errorf("the command was %s", last)
	}
}
