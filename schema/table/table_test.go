package table

import (
	"strings"
	"testing"
)

// walk calls f for every block of the language.
func walk(b *Block, path string, f func(b *Block, path string)) {
	f(b, path)
	for i := range b.Blocks {
		walk(&b.Blocks[i], strings.TrimPrefix(path+"."+b.Blocks[i].Kind, "."), f)
	}
}

func TestEverythingIsDocumented(t *testing.T) {
	walk(Root(), "", func(b *Block, path string) {
		if path == "" {
			return
		}
		sentence(t, path, b.Doc)
		for _, label := range b.Labels {
			sentence(t, path+" label "+label.Name, label.Doc)
		}
		for _, a := range b.Attrs {
			sentence(t, path+"."+a.Name, a.Doc)
		}
	})
}

func sentence(t *testing.T, what, doc string) {
	t.Helper()
	first, _, _ := strings.Cut(doc, " ")
	value := first == "kvm" || first == "host-passthrough," || strings.HasPrefix(first, "sha256:") // a sentence may begin with one
	if !strings.HasSuffix(doc, ".") || strings.ToUpper(doc[:1]) != doc[:1] && !value {
		t.Errorf("%s is documented as %q, which is no sentence", what, doc)
	}
}

func TestNamesAreUnique(t *testing.T) {
	walk(Root(), "", func(b *Block, path string) {
		seen := make(map[string]bool)
		for _, a := range b.Attrs {
			if seen[a.Name] {
				t.Errorf("%s has two arguments %q", path, a.Name)
			}
			seen[a.Name] = true
			if a.Type == Ref && a.Ref == "" {
				t.Errorf("%s.%s refers to no kind", path, a.Name)
			}
			if a.Default != "" && (a.Required || a.Derived != "" || a.Coll != One) {
				t.Errorf("%s.%s has a default that can never be used", path, a.Name)
			}
			if numeric := a.Type == Int || a.Type == Number || a.Type == Size || a.Type == Duration || a.Type == Rate; !numeric && (a.Min != nil || a.Max != nil || a.Unit != "") {
				t.Errorf("%s.%s is no number and has a range or unit", path, a.Name)
			}
		}
		for i := range b.Blocks {
			if kind := b.Blocks[i].Kind; seen[kind] {
				t.Errorf("%s has two things named %q", path, kind)
			} else {
				seen[kind] = true
			}
		}
	})
}

func TestNearest(t *testing.T) {
	names := []string{"addresses", "mac", "mtu", "model", "bridge", "network", "connected_route", "nameservers", "link", "ip"}
	for name, want := range map[string]string{
		"adresses": "addresses", "address": "addresses", "addreses": "addresses", "MAC": "mac", "mca": "mac", "mtuu": "mtu",
		"brigde": "bridge", "netwrok": "network", "conected_rout": "connected_route", "name_servers": "nameservers",
		"xyz": "", "mx": "", "colour": "", "m": "", "": "", "gateway": "", "lnk": "link", "ipp": "ip",
	} {
		if got := Nearest(name, names); got != want {
			t.Errorf("for %q the nearest is %q, not %q", name, got, want)
		}
	}
	if got := Nearest("mac", []string{"mtu"}); got != "" {
		t.Errorf("for mac, %q is taken to be meant", got)
	}
}
