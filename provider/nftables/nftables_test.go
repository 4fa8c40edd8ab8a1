package nftables

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/nft"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/providertest"
	"github.com/labctl/labctl/schema"
)

const (
	edge = "table ip edge {\n\tchain post {\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n\t\toifname \"eth0\" masquerade\n\t}\n}\n"
	wall = "table inet wall {\n\tset ports {\n\t\ttype inet_service\n\t\telements = { 22, 80 }\n\t}\n\n\tchain in {\n\t\ttcp dport @ports accept\n\t}\n}\n"
)

func declare(text string) schema.Resource {
	body := &schema.Ruleset{Text: text}
	for n := range strings.Count(text, "\n") {
		body.Lines = append(body.Lines, schema.Pos{File: "lab.hcl", Line: 100 + n})
	}
	return schema.Resource{Addr: schema.Addr{Kind: "host", Part: "nftables"}, Deps: []schema.Addr{{Kind: "bridge", Name: "br0"}}, Body: body}
}

func fakeHarness(t *testing.T) providertest.Harness {
	m := newMachine(t)
	loaded := func(text string) func() error { return func() error { return m.load(text) } }
	return providertest.Harness{
		Lab:  "bench",
		New:  func() provider.Provider { return m.provider() },
		Want: declare(edge + wall),
		Variants: []providertest.Variant{
			{Name: "element", Want: declare(edge + strings.Replace(wall, "80", "81", 1)), Action: provider.Update,
				Paths: []string{`table["inet wall"].set.ports.element`}},
			{Name: "rule", Want: declare(strings.Replace(edge, "masquerade", "accept", 1) + wall), Action: provider.Update,
				Paths: []string{`table["ip edge"].chain.post.rule`}},
			{Name: "table goes", Want: declare(edge), Action: provider.Update, Paths: []string{`table["inet wall"]`}},
		},
		Foreign: loaded("table ip edge {\n\tchain theirs {\n\t}\n}\n"),
		Survives: func() error {
			if all := m.list(); !strings.Contains(all, "theirs") || strings.Contains(all, "labctl") {
				return fmt.Errorf("there is %s", all)
			}
			return nil
		},
		Mutate: func() error {
			m.tables["inet wall"] = strings.Replace(m.tables["inet wall"], "accept", "drop", 1)
			return nil
		},
		Lose: loaded("delete table ip edge\ndelete table inet wall\n"),
		Down: func() (func(), error) {
			m.cut = true
			return func() { m.cut = false }, nil
		},
		Gone: func() error {
			left, err := filepath.Glob(filepath.Join(m.root, "etc/*/*/*labctl*"))
			if all := m.list(); all != "" || len(left) > 0 || err != nil {
				return fmt.Errorf("%s %v %v", all, left, err)
			}
			return nil
		},
	}
}

func TestContractOnTheFake(t *testing.T) { providertest.Run(t, fakeHarness) }

func TestOnlyWhatDiffersIsLoaded(t *testing.T) {
	m := newMachine(t)
	p := m.provider()
	for _, text := range []string{edge + wall, edge + strings.Replace(wall, "80", "81", 1)} {
		r := declare(text)
		objects, err := p.Read(t.Context(), "bench", []schema.Resource{r})
		if err != nil {
			t.Fatal(err)
		}
		var have *provider.Object
		if len(objects) > 0 {
			have = &objects[0]
		}
		c, err := p.Plan(&r, have)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Apply(t.Context(), "bench", c); err != nil {
			t.Fatal(err)
		}
	}
	want := "add table inet wall\ndelete table inet wall\n" + strings.Replace(strings.Replace(wall, "80", "81", 1), "{\n",
		"{\n\tcomment \"labctl lab=bench address=host.nftables v=1 fp="+provider.Fingerprint(declare(edge+strings.Replace(wall, "80", "81", 1)).Body)+"\"\n", 1)
	if diff := cmp.Diff([]string{want}, m.loads[1:]); diff != "" {
		t.Error(diff)
	}
}

func TestSavedFileAndUnit(t *testing.T) {
	m := newMachine(t)
	p := m.provider()
	r := declare(edge)
	r.Addr = schema.Addr{Module: `module.site["a b"]`, Kind: "host", Name: "h1", Part: "nftables"}
	r.Lifecycle.PreventDestroy = true
	if err := p.Apply(t.Context(), "bench", provider.Change{Addr: r.Addr, Action: provider.Create, Want: &r}); err != nil {
		t.Fatal(err)
	}
	const name = "bench.module_site_a_b_.h1"
	file := filepath.Join(m.root, "etc/labctl/nftables/90-labctl-"+name+".nft")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	if mark, ok := provider.ParseMark(strings.TrimPrefix(lines[0], "# ")); !ok || cmp.Diff(provider.MarkOf("bench", &r), mark) != "" {
		t.Errorf("%s", lines[0])
	}
	if again := (&machine{tables: map[string]string{}}); again.load(body(string(text))) != nil || again.list() != m.list() {
		t.Errorf("after a boot: %s, before: %s", again.list(), m.list())
	}
	unit, err := os.ReadFile(filepath.Join(m.root, "etc/systemd/system/multi-user.target.wants/labctl-nftables-"+name+".service"))
	if err != nil || !strings.Contains(string(unit), "ExecStart=nft -f "+file+"\n") {
		t.Errorf("%s %v", unit, err)
	}
}

func TestChecksWordsStandAtTheLine(t *testing.T) {
	r := declare(edge + "table ip x {\n\tfrob\n}\n")
	errs := newMachine(t).provider().Check(t.Context(), []schema.Resource{r})
	if len(errs) != 1 {
		t.Fatal(errs)
	}
	told, ok := errors.AsType[*provider.Error](errs[0])
	if !ok || told.Pos != (schema.Pos{File: "lab.hcl", Line: 107}) || told.Detail != "frob" ||
		told.Error() != "host.nftables: check ruleset: nft: syntax error, unexpected string" {
		t.Errorf("%+v", told)
	}
}

func TestComment(t *testing.T) {
	m := provider.Mark{Lab: "bench", Addr: schema.Addr{Kind: "host", Part: "nftables"}, Version: 1, Fingerprint: "0123456789ab", PreventDestroy: true,
		Deps: []schema.Addr{{Kind: "bridge", Name: strings.Repeat("x", 200)}}}
	for n := range 120 {
		m.Addr.Name = strings.Repeat("n", n)
		text, err := comment(m)
		if err != nil {
			if n < 60 || !strings.Contains(err.Error(), "127 characters") {
				t.Errorf("%d: %v", n, err)
			}
			continue
		}
		if got, ok := provider.ParseMark(text); !ok || got.Lab != m.Lab || got.Addr != m.Addr || len(text) > maxComment {
			t.Errorf("%d: %s", n, text)
		}
	}
}

func TestLinksIn(t *testing.T) {
	text := `define wan = "eth9"
		iifname "no" iif "a" oif != b0 iif { c, "d.5" } oif vmap { lo : accept, e : drop }
		devices = { f, g-1 }; type filter hook ingress device "h" priority 0; iif $wan accept`
	got := strings.Join(linksIn(text), " ")
	for _, link := range []string{"a", "b0", "c", "d.5", "e", "eth9", "f", "g-1", "h"} {
		if !strings.Contains(" "+got+" ", " "+link+" ") {
			t.Errorf("%s is missing in %s", link, got)
		}
	}
	if strings.Contains(" "+got+" ", " no ") || strings.Contains(" "+got+" ", " lo ") {
		t.Errorf("too much in %s", got)
	}
}

// A comment set into any table is the only thing that changes, and can be taken out again.
func FuzzWithComment(f *testing.F) {
	f.Add(edge)
	f.Add("table inet t {\n\tcomment \"x\"\n\tflags dormant\n\tset a {\n\t\ttype ipv4_addr\n\t\tcomment \"inner\"\n\t\telements = { 1.1.1.1,\n\t\t\t     2.2.2.2 }\n\t}\n}\n")
	f.Fuzz(func(t *testing.T, text string) {
		before, err := nft.Parse([]byte(text))
		if err != nil || len(before.Tables) != 1 || text != nft.TableText(text, before.Tables[0].ID()) {
			return // no listing of one table
		}
		for line := range strings.Lines(text) {
			inside := strings.HasPrefix(line, "\t")
			opens, closes := strings.Count(line, "{"), strings.Count(line, "}")
			if !inside && line != "}\n" && !strings.HasPrefix(line, "table ") || strings.HasPrefix(line, "\tcomment ") && opens+closes > 0 ||
				inside && !strings.HasSuffix(line, "{\n") && strings.TrimSpace(line) != "}" && opens != closes {
				return // nft does not print that
			}
		}
		after, err := nft.Parse([]byte(withComment(text, "labctl lab=a address=host.nftables v=1")))
		if err != nil || len(after.Tables) != 1 || len(details(before.Tables, after.Tables)) > 0 {
			t.Errorf("%v %+v\n%+v", err, before, after)
		}
	})
}
