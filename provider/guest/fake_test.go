package guest_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"slices"
	"sync"
	"testing"

	"github.com/labctl/labctl/internal/helper"
	"github.com/labctl/labctl/internal/nft"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/guest"
	"github.com/labctl/labctl/schema"
)

// program is a helper binary for the tests: this test itself, which is a Go program like any other.
func program(t *testing.T) (text []byte, build string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if text, err = os.ReadFile(self); err != nil {
		t.Fatal(err)
	}
	if build, err = helper.BuildID(bytes.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return text, build
}

// machine is a fake guest: an agent that keeps files and runs a helper that keeps what it is told.
type machine struct {
	mu       sync.Mutex
	off      bool
	deaf     bool              // the agent never answers
	programs map[string]string // build of the helper by the name it is started by
	files    map[string][]byte
	open     map[int64]string
	written  map[int64][]byte
	ended    map[int64]map[string]any
	next     int64
	execs    []string

	live     *schema.Guest
	mark     string
	kept     *schema.Guest
	first    *helper.FirstBoot
	rules    []nft.Difference
	problems []helper.Problem
	stubborn bool // converges only in what it says
}

// host is a fake host with machines by domain.
type fakeHost map[string]*machine

func (h fakeHost) Power(_ context.Context, domains ...string) (map[string]bool, error) {
	power := map[string]bool{}
	for _, domain := range domains {
		if m := h[domain]; m != nil {
			power[domain] = !m.off
		}
	}
	return power, nil
}

func (h fakeHost) WaitAgent(ctx context.Context, domain string) error {
	if h[domain].deaf {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (h fakeHost) ConsoleTail(domain string) string { return "last words of " + domain }

func (h fakeHost) AgentCommand(_ context.Context, domain string, request []byte) ([]byte, error) {
	m := h[domain]
	if m == nil || m.deaf {
		return nil, &provider.Error{Op: "agent of " + domain, Err: provider.ErrUnreachable}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var r struct {
		Execute   string `json:"execute"`
		Arguments struct {
			Path   string   `json:"path"`
			Mode   string   `json:"mode"`
			Arg    []string `json:"arg"`
			Input  []byte   `json:"input-data"`
			PID    int64    `json:"pid"`
			Handle int64    `json:"handle"`
			Data   []byte   `json:"buf-b64"`
		} `json:"arguments"`
	}
	if err := json.Unmarshal(request, &r); err != nil {
		return nil, err
	}
	answer, err := m.do(r.Execute, r.Arguments.Path, r.Arguments.Mode, r.Arguments.Arg, r.Arguments.Input, r.Arguments.PID+r.Arguments.Handle, r.Arguments.Data)
	if err != nil {
		return nil, fmt.Errorf("internal error: unable to execute QEMU agent command '%s': %w", r.Execute, err)
	}
	return json.Marshal(map[string]any{"return": answer})
}

func (m *machine) do(command, name, mode string, args []string, input []byte, id int64, data []byte) (any, error) {
	m.next++
	switch command {
	case "guest-file-open":
		if _, there := m.files[name]; !there && mode == "r" {
			return nil, fmt.Errorf("failed to open file '%s' (mode: 'r'): No such file or directory", name)
		}
		m.open[m.next], m.written[m.next] = name, nil
		return m.next, nil
	case "guest-file-write":
		m.written[id] = append(m.written[id], data...)
		m.files[m.open[id]] = m.written[id]
		return map[string]any{"count": len(data)}, nil
	case "guest-file-read":
		return map[string]any{"buf-b64": base64.StdEncoding.EncodeToString(m.files[m.open[id]]), "count": len(m.files[m.open[id]]), "eof": true}, nil
	case "guest-file-close":
		delete(m.open, id)
		return map[string]any{}, nil
	case "guest-exec":
		m.execs = append(m.execs, path.Base(name))
		return m.exec(name, args, input)
	case "guest-exec-status":
		return m.ended[id], nil
	}
	return nil, fmt.Errorf("the command %s has not been found", command)
}

func (m *machine) exec(name string, args []string, input []byte) (any, error) {
	done := map[string]any{"exited": true, "exitcode": 0}
	m.ended[m.next] = done
	build, isHelper := m.programs[name]
	switch {
	case isHelper:
		response := m.serve(args[0], build, input)
		text, err := json.Marshal(response)
		if err != nil {
			return nil, err
		}
		done["out-data"] = base64.StdEncoding.EncodeToString(text)
		if len(response.Problems) > 0 {
			done["exitcode"] = 1
		}
	case name == "sh" && len(args) == 5: // the beginning of a file's writing
	case name == "sh": // the end of a file's writing: chmod, sync, mv
		from, to := args[4], args[5]
		m.files[to] = m.files[from]
		delete(m.files, from)
		if id, err := helper.BuildID(bytes.NewReader(m.files[to])); err == nil {
			m.programs[to] = id
		}
	case name == "mkdir":
	default:
		return nil, fmt.Errorf("Guest agent command failed, error was 'Failed to execute child process \u201c%s\u201d (No such file or directory)'", name)
	}
	return map[string]any{"pid": m.next}, nil
}

func (m *machine) serve(command, build string, input []byte) helper.Response {
	request, err := helper.DecodeRequest(input)
	if err != nil {
		return helper.Response{Protocol: helper.Protocol, Problems: []helper.Problem{{Code: helper.Broken, Message: err.Error()}}}
	}
	if request.Build != build {
		return helper.Response{Protocol: helper.Protocol, Build: build, Problems: []helper.Problem{{Code: helper.Outdated}}}
	}
	if command == helper.Converge {
		if !m.stubborn {
			m.live = helper.Essence(request.Guest)
			m.rules = nil
		}
		m.mark, m.kept = request.Mark, helper.Essence(request.Guest)
		kept, err := json.Marshal(helper.Persist{Mark: m.mark, Guest: m.kept})
		if err != nil {
			panic(err)
		}
		m.files[helper.PersistPath] = kept
	}
	same := func(a, b *schema.Guest) bool { return len(provider.Diff(a, b)) == 0 }
	return helper.Response{
		Protocol: helper.Protocol, Build: build, Mark: m.mark, Guest: m.live, Rules: m.rules, FirstBoot: m.first, Problems: m.problems,
		Kept: m.kept != nil && same(m.kept, helper.Essence(request.Guest)),
	}
}

func newMachine(build string, live *schema.Guest) *machine {
	return &machine{
		programs: map[string]string{helper.Name: build}, files: map[string][]byte{}, open: map[int64]string{},
		written: map[int64][]byte{}, ended: map[int64]map[string]any{}, live: helper.Essence(live), kept: helper.Essence(live),
	}
}

func declared() schema.Resource {
	return schema.Resource{
		Addr: schema.Addr{Kind: "vm", Name: "nat", Key: `"a"`, Part: "guest"}, Deps: []schema.Addr{{Kind: "vm", Name: "nat", Key: `"a"`}},
		Body: &schema.Guest{
			Domain: "lab-nat-a", Hostname: "nat-a", Forwarding: true, Packages: []string{"curl"}, AgentTimeout: 1,
			Interfaces: []schema.GuestInterface{{Name: "eth0", MAC: "52:54:00:00:00:01", Addresses: []string{"192.168.111.101/24"}, ConnectedRoute: true}},
			Routes:     []schema.Route{{To: "default", Via: "192.168.111.1"}},
			Ruleset:    &schema.Ruleset{Text: "table ip x {\n}\n", Lines: []schema.Pos{{File: "lab.hcl", Line: 7, Column: 3}, {}}},
		},
	}
}

func setup(t *testing.T, m func(build string, live *schema.Guest) *machine) (*guest.Provider, *machine, schema.Resource) {
	t.Helper()
	text, build := program(t)
	want := declared()
	body, ok := want.Body.(*schema.Guest)
	if !ok {
		t.Fatal("no guest")
	}
	fake := m(build, body)
	h := fakeHost{}
	if fake != nil {
		h["lab-nat-a"] = fake
	}
	p, err := guest.New(h, nil, text)
	if err != nil {
		t.Fatal(err)
	}
	return p, fake, want
}

// read reads and plans.
func read(t *testing.T, p *guest.Provider, want schema.Resource) (provider.Change, *provider.Object) {
	t.Helper()
	objects, err := p.Read(t.Context(), "lab", []schema.Resource{want})
	if err != nil {
		t.Fatal(err)
	}
	var have *provider.Object
	if len(objects) > 0 {
		have = &objects[0]
	}
	change, err := p.Plan(&want, have)
	if err != nil {
		t.Fatal(err)
	}
	return change, have
}

func (m *machine) started(name string) int {
	return len(slices.DeleteFunc(slices.Clone(m.execs), func(e string) bool { return e != name }))
}
