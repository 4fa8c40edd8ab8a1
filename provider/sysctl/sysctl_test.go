package sysctl

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// kernel is a provider whose /proc/sys is a folder of plain files.
func kernel(t *testing.T, settings map[string]string) *Provider {
	t.Helper()
	p := New(host.Local{})
	p.Root = t.TempDir()
	if err := os.MkdirAll(filepath.Join(p.Root, folder), 0o755); err != nil {
		t.Fatal(err)
	}
	for key, value := range settings {
		if err := (host.Local{}).WriteFile(t.Context(), p.procPath(key), []byte(value+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func want(values map[string]string) *schema.Resource {
	return &schema.Resource{Addr: schema.Addr{Kind: "host", Part: "sysctl"}, Body: &schema.Sysctl{Values: values}}
}

// plan reads and plans one lab's settings; nil is no declaration.
func plan(t *testing.T, p *Provider, lab string, w *schema.Resource) (provider.Change, error) {
	t.Helper()
	var wants []schema.Resource
	if w != nil {
		wants = append(wants, *w)
	}
	objects, err := p.Read(t.Context(), lab, wants)
	if err != nil {
		t.Fatal(err)
	}
	var have *provider.Object
	if len(objects) > 0 {
		have = &objects[0]
	}
	if w == nil && have == nil {
		return provider.Change{Action: provider.NoOp}, nil
	}
	return p.Plan(w, have)
}

func converge(t *testing.T, p *Provider, lab string, w *schema.Resource) {
	t.Helper()
	c, err := plan(t, p, lab, w)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Apply(t.Context(), lab, c); err != nil {
		t.Fatal(err)
	}
	if c, err = plan(t, p, lab, w); err != nil || c.Action != provider.NoOp {
		t.Fatalf("after the apply: %s %s %+v, %v", c.Action, c.Why, c.Details, err)
	}
}

// tree is all files below root with what is in them.
func tree(t *testing.T, p *Provider) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.Walk(p.Root, func(name string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		files[strings.TrimPrefix(name, p.Root)] = strings.TrimSpace(string(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

var machine = map[string]string{
	"net.ipv4.ip_forward": "0", "net.ipv4.ip_local_port_range": "32768\t60999", "net.ipv4.conf.eth0/7.rp_filter": "2",
	"kernel.hostname": "here",
}

func TestSettingsComeChangeAndGo(t *testing.T) {
	p := kernel(t, machine)
	before := tree(t, p)
	converge(t, p, "a", want(map[string]string{"net.ipv4.ip_forward": "1", "net.ipv4.ip_local_port_range": "1024 65535"}))
	wantFile := `# labctl lab=a address=host.sysctl v=1 fp=` + provider.Fingerprint(want(map[string]string{"net.ipv4.ip_forward": "1", "net.ipv4.ip_local_port_range": "1024 65535"}).Body) + `
# Kernel settings of the lab a. labctl writes this file; a value before the lab's own is what was there before it.
# before: net.ipv4.ip_forward = 0
net.ipv4.ip_forward = 1
# before: net.ipv4.ip_local_port_range = 32768 60999
net.ipv4.ip_local_port_range = 1024 65535`
	now := tree(t, p)
	if diff := cmp.Diff(wantFile, now["/etc/sysctl.d/90-labctl-a.conf"]); diff != "" {
		t.Error(diff)
	}
	if now["/proc/sys/net/ipv4/ip_forward"] != "1" {
		t.Error("not in force")
	}
	// One goes, one comes, one changes.
	converge(t, p, "a", want(map[string]string{"net.ipv4.ip_local_port_range": "2000 3000", "net.ipv4.conf.eth0/7.rp_filter": "0"}))
	if now = tree(t, p); now["/proc/sys/net/ipv4/ip_forward"] != "0" || now["/proc/sys/net/ipv4/conf/eth0.7/rp_filter"] != "0" {
		t.Error(now)
	}
	converge(t, p, "a", nil)
	now = tree(t, p)
	now["/proc/sys/net/ipv4/ip_local_port_range"] = strings.ReplaceAll(now["/proc/sys/net/ipv4/ip_local_port_range"], " ", "\t")
	if diff := cmp.Diff(before, now); diff != "" {
		t.Errorf("the host is not as it was found: %s", diff)
	}
}

func TestLabsShareASettingAtOneValue(t *testing.T) {
	p := kernel(t, machine)
	forward := want(map[string]string{"net.ipv4.ip_forward": "1"})
	converge(t, p, "a", forward)
	converge(t, p, "b", forward)
	if _, err := plan(t, p, "c", want(map[string]string{"net.ipv4.ip_forward": "2"})); !errors.Is(err, provider.ErrForeign) ||
		!strings.Contains(err.Error(), "net.ipv4.ip_forward is kept at 1 by host.sysctl of the lab a") {
		t.Errorf("a conflict: %v", err)
	}
	c := provider.Change{Action: provider.Create, Addr: forward.Addr, Want: want(map[string]string{"net.ipv4.ip_forward": "2"})}
	if err := p.Apply(t.Context(), "c", c); !errors.Is(err, provider.ErrForeign) {
		t.Errorf("a conflict: %v", err)
	}
	converge(t, p, "a", nil)
	if got := tree(t, p)["/proc/sys/net/ipv4/ip_forward"]; got != "1" {
		t.Errorf("lab b needs it, and it is %s", got)
	}
	converge(t, p, "b", nil)
	if got := tree(t, p)["/proc/sys/net/ipv4/ip_forward"]; got != "0" {
		t.Errorf("the last lab has let go, and it is %s", got)
	}
}

func TestDriftIsNamedAndMended(t *testing.T) {
	p := kernel(t, machine)
	w := want(map[string]string{"net.ipv4.ip_forward": "1"})
	converge(t, p, "a", w)
	for _, name := range []string{"proc/sys/net/ipv4/ip_forward", "etc/sysctl.d/90-labctl-a.conf"} {
		full := filepath.Join(p.Root, name)
		data, err := os.ReadFile(full)
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.Replace(string(data), "1\n", "7\n", 1)
		changed = strings.Replace(changed, "ip_forward = 1", "ip_forward = 7", 1)
		if err := os.WriteFile(full, []byte(changed), 0o644); err != nil {
			t.Fatal(err)
		}
		c, err := plan(t, p, "a", w)
		if err != nil || c.Action != provider.Update || len(c.Details) != 1 || c.Details[0].Path != `values["net.ipv4.ip_forward"]` ||
			c.Details[0].Old != "7" || c.Details[0].New != "1" {
			t.Errorf("%s: %s %+v %v", name, c.Action, c.Details, err)
		}
		converge(t, p, "a", w)
	}
}

// Killed at each step of each change, what is left is told truly by the next plan, and one apply mends it.
func TestStoppedAnywhere(t *testing.T) {
	first := want(map[string]string{"net.ipv4.ip_forward": "1", "kernel.hostname": "lab"})
	second := want(map[string]string{"net.ipv4.ip_forward": "1", "net.ipv4.conf.eth0/7.rp_filter": "1"})
	faults := 0
	for _, change := range []struct{ from, to *schema.Resource }{{nil, first}, {first, second}, {second, nil}} {
		for stop := 0; ; stop++ {
			p := kernel(t, machine)
			before := tree(t, p)
			if change.from != nil {
				converge(t, p, "a", change.from)
			}
			c, err := plan(t, p, "a", change.to)
			if err != nil {
				t.Fatal(err)
			}
			if !stopAt(t, p, c, stop) {
				break
			}
			faults++
			if change.to != nil {
				converge(t, p, "a", change.to)
			}
			converge(t, p, "a", nil)
			if diff := cmp.Diff(normalAll(before), normalAll(tree(t, p))); diff != "" {
				t.Errorf("stopped at step %d: %s", stop, diff)
			}
		}
	}
	if faults < 7 {
		t.Errorf("only %d faults were injected", faults)
	}
}

func normalAll(files map[string]string) map[string]string {
	all := maps.Clone(files)
	for name := range all {
		all[name] = normal(all[name])
	}
	return all
}

// stopAt applies c and stops before its step n; false where it has no such step.
func stopAt(t *testing.T, p *Provider, c provider.Change, n int) bool {
	t.Helper()
	killed := errors.New("killed")
	ctx := provider.WithSteps(t.Context(), func(string) error {
		if n--; n < 0 {
			return killed
		}
		return nil
	})
	err := p.Apply(ctx, "a", c)
	if err != nil && !errors.Is(err, killed) {
		t.Fatal(err)
	}
	return err != nil
}

func TestRefusedValueLeavesAllAsItWas(t *testing.T) {
	p := kernel(t, machine)
	first := want(map[string]string{"net.ipv4.ip_forward": "1"})
	converge(t, p, "a", first)
	before := tree(t, p)
	p.host = refusing{p.host}
	c, err := plan(t, p, "a", want(map[string]string{"net.ipv4.ip_forward": "2", "kernel.hostname": "refused"}))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Apply(t.Context(), "a", c); err == nil || !strings.Contains(err.Error(), "does not take refused") {
		t.Errorf("%v", err)
	}
	if diff := cmp.Diff(before, tree(t, p)); diff != "" {
		t.Error(diff)
	}
	if err := p.Apply(t.Context(), "b", provider.Change{Action: provider.Create, Want: want(map[string]string{"net.bridge.x": "1"})}); err == nil ||
		!strings.Contains(err.Error(), "no setting net.bridge.x") {
		t.Errorf("%v", err)
	}
	if errs := p.Check(t.Context(), []schema.Resource{*want(map[string]string{"net.bridge.x": "1", "net.ipv4.conf.later.rp_filter": "1"})}); len(errs) != 1 {
		t.Error(errs)
	}
}

// refusing is a kernel that does not take the value "refused".
type refusing struct{ host.Host }

func (r refusing) Run(ctx context.Context, c host.Command) (host.Output, error) {
	if slices.Contains(c.Args, "refused") {
		return host.Output{}, &host.CommandError{Args: c.Args, Exit: 1, Stderr: "kernel.hostname does not take refused", Err: fmt.Errorf("exit status 1")}
	}
	return r.Host.Run(ctx, c)
}

func TestForgetKeepsTheSettings(t *testing.T) {
	p := kernel(t, machine)
	converge(t, p, "a", want(map[string]string{"net.ipv4.ip_forward": "1"}))
	objects, err := p.List(t.Context())
	if err != nil || len(objects) != 1 || objects[0].Mark.Lab != "a" {
		t.Fatal(objects, err)
	}
	if err := p.Forget(t.Context(), "a", objects[0]); err != nil {
		t.Fatal(err)
	}
	now := tree(t, p)
	if now["/proc/sys/net/ipv4/ip_forward"] != "1" || !strings.Contains(now["/etc/sysctl.d/90-kept-a.conf"], "net.ipv4.ip_forward = 1") {
		t.Error(now)
	}
	if objects, err := p.Read(t.Context(), "a", nil); err != nil || len(objects) != 0 {
		t.Error(objects, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("# labctl lab=a address=host.sysctl v=1\n# before: x = 1\nx = 2\n# leaving: y = 3\n")
	f.Add("# labctl lab=a address=host.sysctl v=1\n=\n# before: \n# leaving: # before: a=b")
	f.Add("# labctl lab=a address=host.sysctl v=1\n #x = 1\n# leaving: ;y=2\n")
	f.Fuzz(func(t *testing.T, text string) {
		parsed, ok := parse(text)
		if !ok {
			return
		}
		again, ok := parse(parsed.render())
		if !ok {
			t.Fatalf("what was rendered is not read: %q", parsed.render())
		}
		if fmt.Sprint(again.entries) != fmt.Sprint(parsed.entries) {
			t.Errorf("%q became %q", fmt.Sprint(parsed.entries), fmt.Sprint(again.entries))
		}
	})
}
