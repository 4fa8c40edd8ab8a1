//go:build sandbox

package nftables

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

const lab = "bench"

func rules(text string) schema.Resource {
	body := &schema.Ruleset{Text: text}
	for n := range strings.Count(text, "\n") {
		body.Lines = append(body.Lines, schema.Pos{File: "lab.hcl", Line: 100 + n})
	}
	return schema.Resource{Addr: schema.Addr{Kind: "host", Part: "nftables"}, Body: body}
}

// clean gives a test a host with systemd's folders and no tables.
func clean(t *testing.T) *Provider {
	t.Helper()
	run(t, "nft", "flush", "ruleset")
	p := New(host.Local{})
	p.Root = t.TempDir()
	sign := filepath.Join(p.Root, systemdSign)
	if err := (host.Local{}).WriteFile(t.Context(), sign, []byte("[Unit]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

func run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := host.Local{}.Run(context.Background(), host.Cmd(args...))
	if err != nil {
		t.Fatal(err)
	}
	return string(out.Stdout)
}

// plan reads and plans the one resource, or none.
func plan(t *testing.T, p *Provider, want ...schema.Resource) []provider.Change {
	t.Helper()
	objects, err := p.Read(t.Context(), lab, want)
	if err != nil {
		t.Fatal(err)
	}
	var changes []provider.Change
	for i := range want {
		var have *provider.Object
		for j := range objects {
			if objects[j].Addr == want[i].Addr {
				have = &objects[j]
			}
		}
		c, err := p.Plan(&want[i], have)
		if err != nil {
			t.Fatal(err)
		}
		changes = append(changes, c)
	}
	if len(want) == 0 {
		for i := range objects {
			c, err := p.Plan(nil, &objects[i])
			if err != nil {
				t.Fatal(err)
			}
			changes = append(changes, c)
		}
	}
	return changes
}

func converge(t *testing.T, p *Provider, want ...schema.Resource) {
	t.Helper()
	for _, c := range plan(t, p, want...) {
		if err := p.Apply(t.Context(), lab, c); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range plan(t, p, want...) {
		if c.Action != provider.NoOp {
			t.Fatalf("after the apply %s is still to be changed: %s %s %+v", c.Addr, c.Action, c.Why, c.Details)
		}
	}
}

func snapshot(t *testing.T, p *Provider) string {
	t.Helper()
	return run(t, "nft", "list", "ruleset") + run(t, "find", p.Root, "-printf", "%P %m %l\n")
}

const nat = `define inside = { 192.168.111.0/24, 192.168.222.0/24 }
table ip nat {
	chain post {
		type nat hook postrouting priority srcnat
		ip saddr $inside ip daddr != $inside masquerade
	}
}
`

const filter = `table inet filter {
	comment "the user's own"
	set ports { type inet_service; flags interval; elements = { 22, 80-90 }; }
	counter seen { comment "of all" }
	chain in {
		type filter hook input priority 0; policy accept;
		iifname "br0" tcp dport @ports counter name seen accept comment "a \\ b"
		ct state vmap { established : accept, invalid : drop }
	}
}
`

func TestTablesComeChangeAndGo(t *testing.T) {
	p := clean(t)
	run(t, "nft", "add table inet site; add chain inet site c; add rule inet site c counter")
	before := snapshot(t, p)
	converge(t, p, rules(nat))
	converge(t, p, rules(nat+filter))
	if got := run(t, "nft", "list", "table", "ip", "nat"); !strings.Contains(got, `comment "labctl lab=bench address=host.nftables v=1`) {
		t.Errorf("no mark:\n%s", got)
	}
	handle := run(t, "nft", "-a", "list", "table", "ip", "nat")
	converge(t, p, rules(nat+strings.Replace(filter, "80-90", "80-95", 1)))
	if now := run(t, "nft", "-a", "list", "table", "ip", "nat"); now != handle {
		t.Errorf("a table that is as declared was made anew:\n%s\n%s", handle, now)
	}
	converge(t, p, rules(filter))
	if list := run(t, "nft", "list", "tables"); strings.Contains(list, "nat") {
		t.Errorf("a table that is no longer declared stays:\n%s", list)
	}
	// What a reboot does.
	saved := p.savedPath(lab, rules("").Addr)
	run(t, "nft", "delete", "table", "inet", "filter")
	run(t, "nft", "-f", saved)
	if c := plan(t, p, rules(filter))[0]; c.Action != provider.NoOp {
		t.Errorf("after a reboot: %s %s %+v", c.Action, c.Why, c.Details)
	}
	converge(t, p)
	if after := snapshot(t, p); strings.ReplaceAll(after, "etc 755 \n", "") != before &&
		!strings.HasPrefix(after, before[:strings.Index(before, "}\n}")]) {
		t.Errorf("the host is not as it was found:\n%s\nbefore:\n%s", after, before)
	}
	if left, err := filepath.Glob(filepath.Join(p.Root, "etc/*/*/*")); err != nil || slices.ContainsFunc(left, func(f string) bool {
		info, err := os.Stat(f)
		return err != nil || !info.IsDir()
	}) {
		t.Errorf("files left: %v %v", left, err)
	}
}

func TestDriftIsNamedAndMended(t *testing.T) {
	p := clean(t)
	want := rules(nat + filter)
	converge(t, p, want)
	saved := p.savedPath(lab, want.Addr)
	for _, drift := range []struct{ name, path, command string }{
		{"table deleted", `table["ip nat"]`, "nft delete table ip nat"},
		{"all flushed", `table["inet filter"]`, "nft flush ruleset"},
		{"rule added", `table["inet filter"].chain.in.rule`, "nft add rule inet filter in drop"},
		{"rules flushed", `table["ip nat"].chain.post.rule`, "nft flush chain ip nat post"},
		{"element", `table["inet filter"].set.ports.element`, "nft add element inet filter ports '{ 443 }'"},
		{"chain added", `table["ip nat"].chain.x`, "nft add chain ip nat x"},
		{"policy", `table["inet filter"].chain.in`, "nft add chain inet filter in '{ policy drop; }'"},
		{"file gone", "persistent", "rm " + saved},
		{"file changed", "persistent", "sed -i s/masquerade/accept/ " + saved},
		{"unit gone", "persistent", "rm -r " + filepath.Join(p.Root, wants)},
	} {
		t.Run(drift.name, func(t *testing.T) {
			run(t, "sh", "-ec", drift.command)
			c := plan(t, p, want)[0]
			if c.Action != provider.Update || c.Why == "" ||
				!slices.ContainsFunc(c.Details, func(d provider.Detail) bool { return strings.HasPrefix(d.Path, drift.path) }) {
				t.Fatalf("planned %s %q %+v, want an update of %s", c.Action, c.Why, c.Details, drift.path)
			}
			converge(t, p, want)
		})
	}
}

func TestForeignTablesAreLeftAlone(t *testing.T) {
	p := clean(t)
	run(t, "nft", "add table ip nat; add chain ip nat c; add rule ip nat c counter packets 5 bytes 50")
	other := rules(filter)
	if err := p.Apply(t.Context(), "other", provider.Change{Addr: other.Addr, Action: provider.Create, Want: &other}); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, p)
	for text, said := range map[string]string{nat: "not by labctl", filter: "the lab other"} {
		want := rules(text)
		objects, err := p.Read(t.Context(), lab, []schema.Resource{want})
		if err != nil || len(objects) != 1 {
			t.Fatalf("read %+v, %v", objects, err)
		}
		if _, err := p.Plan(&want, &objects[0]); !errors.Is(err, provider.ErrForeign) || !strings.Contains(err.Error(), said) {
			t.Errorf("plan: %v", err)
		}
		err = p.Apply(t.Context(), lab, provider.Change{Addr: want.Addr, Action: provider.Create, Want: &want})
		if !errors.Is(err, provider.ErrForeign) {
			t.Errorf("apply: %v", err)
		}
	}
	if after := snapshot(t, p); after != before {
		t.Errorf("something was touched:\n%s\nbefore:\n%s", after, before)
	}
	want := rules(nat)
	if err := p.Import(t.Context(), lab, want, "ip nat"); err != nil {
		t.Fatal(err)
	}
	if now := run(t, "nft", "list", "table", "ip", "nat"); !strings.Contains(now, "packets 5 bytes 50") || !strings.Contains(now, "lab=bench") {
		t.Errorf("the import lost the counters or wrote no mark:\n%s", now)
	}
	converge(t, p, want)
	objects, err := p.Read(t.Context(), lab, nil)
	if err != nil || len(objects) != 1 {
		t.Fatal(objects, err)
	}
	if err := p.Forget(t.Context(), lab, objects[0]); err != nil {
		t.Fatal(err)
	}
	if now := run(t, "nft", "list", "table", "ip", "nat"); strings.Contains(now, "labctl") || !strings.Contains(now, "masquerade") {
		t.Errorf("forgotten:\n%s", now)
	}
	if objects, err = p.Read(t.Context(), lab, nil); err != nil || len(objects) != 0 {
		t.Errorf("what was let go of is still the lab's: %+v %v", objects, err)
	}
}

func TestCheckGivesNftsWordsAtTheLine(t *testing.T) {
	bad := rules("table ip t {\n\tchain c {\n\t\ttcp dport frob accept\n\t}\n}\n")
	errs := clean(t).Check(t.Context(), []schema.Resource{bad})
	if len(errs) != 1 {
		t.Fatal(errs)
	}
	told, ok := errors.AsType[*provider.Error](errs[0])
	if !ok || told.Pos.Line != 102 || told.Pos.File != "lab.hcl" || !strings.Contains(told.Error(), "frob") && !strings.Contains(told.Error(), "resolve") {
		t.Errorf("%+v", errs[0])
	}
	if errs := clean(t).Check(t.Context(), []schema.Resource{rules(nat), rules("table ip x {\n chain c {\n iif \"br7\" oif { \"a\", \"b\" } accept\n }\n}\n")}); errs != nil {
		t.Error(errs)
	}
	if errs := clean(t).Check(t.Context(), []schema.Resource{rules("flush ruleset\n")}); len(errs) != 1 {
		t.Error("a flush was let through")
	}
}

func TestHardRulesetLeavesNothingToDo(t *testing.T) {
	p := clean(t)
	text, err := os.ReadFile("testdata/hard.nft")
	if err != nil {
		t.Fatal(err)
	}
	want := rules(string(text))
	if errs := p.Check(t.Context(), []schema.Resource{want}); errs != nil {
		t.Fatal(errs)
	}
	converge(t, p, want)
	before := run(t, "nft", "-s", "list", "ruleset")
	run(t, "nft", "-f", p.savedPath(lab, want.Addr))
	if after := run(t, "nft", "-s", "list", "ruleset"); after != before {
		t.Errorf("loaded from the file it differs:\n%s\n%s", after, before)
	}
	// One rule changes, and the plan shows just that one.
	changed := rules(strings.Replace(string(text), "fib daddr type local accept", "fib daddr type local drop", 1))
	c := plan(t, p, changed)[0]
	if len(c.Details) != 2 || c.Details[0].Old != "fib daddr type local accept" || c.Details[1].New != "fib daddr type local drop" {
		t.Errorf("%+v", c.Details)
	}
	converge(t, p, changed)
	converge(t, p)
}
