package provider

import (
	"encoding/json"
	"math/rand"
	"reflect"
	"slices"
	"testing"
	"testing/quick"

	"github.com/labctl/labctl/schema"
)

func TestDiffMatchesByName(t *testing.T) {
	have := &schema.Domain{Memory: 1, Interfaces: []schema.NIC{{Name: "eth0", Bridge: "br0"}, {Name: "eth1"}}}
	want := &schema.Domain{Memory: 2, Interfaces: []schema.NIC{{Name: "eth2"}, {Name: "eth0", Bridge: "br1"}}}
	var paths []string
	for _, d := range Diff(have, want) {
		paths = append(paths, d.Path)
	}
	if !slices.Equal(paths, []string{"interface.eth0.bridge", "interface.eth1", "interface.eth2", "memory"}) {
		t.Errorf("%v", paths)
	}
	guest := func(routes ...schema.Route) *schema.Guest { return &schema.Guest{Routes: routes} }
	details := Diff(guest(schema.Route{To: "10.0.0.0/8", Via: "192.168.1.1"}, schema.Route{To: "default", Table: 5}),
		guest(schema.Route{To: "default", Table: 5, Metric: 3}, schema.Route{To: "10.0.0.0/8", Via: "192.168.1.2"}))
	if len(details) != 2 || details[0].Path != `route["10.0.0.0/8"].via` || details[1].Path != `route["default table 5"].metric` {
		t.Errorf("%+v", details)
	}
}

// bodies are made at random; named elements get names that repeat across two bodies, so that lists overlap.
func bodies(random *rand.Rand, typ string) any {
	body, err := schema.NewBody(typ)
	if err != nil {
		panic(err)
	}
	fill(random, reflect.ValueOf(body).Elem(), "")
	return body
}

var words = []string{"", "a", "b", "eth0", "10.0.0.0/8", "/etc/x.y", `"q" [0]`, "ü", "all"}

// fill sets each field of a struct at random; names are distinct in a list.
func fill(random *rand.Rand, v reflect.Value, name string) {
	switch v.Kind() {
	case reflect.Struct:
		if addr, is := reflect.TypeAssert[*schema.Addr](v.Addr()); is {
			*addr = schema.Addr{Kind: "image", Name: string('a' + rune(random.Intn(2)))}
			return
		}
		for n := range v.NumField() {
			switch tag := v.Type().Field(n).Tag.Get("json"); {
			case tag == "-":
			case name != "" && (tag == "name" || tag == "path" || tag == "to"):
				v.Field(n).SetString(name)
			case random.Intn(3) > 0:
				fill(random, v.Field(n), "")
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(random, v.Elem(), name)
	case reflect.Slice:
		names := random.Perm(len(words) - 1)
		for n := range random.Intn(4) {
			element := reflect.New(v.Type().Elem()).Elem()
			fill(random, element, words[names[n]+1])
			v.Set(reflect.Append(v, element))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range random.Intn(3) {
			element := reflect.New(v.Type().Elem()).Elem()
			fill(random, element, "")
			v.SetMapIndex(reflect.ValueOf(words[random.Intn(len(words))]), element)
		}
	case reflect.String:
		v.SetString(words[random.Intn(len(words))])
	case reflect.Bool:
		v.SetBool(random.Intn(2) == 0)
	case reflect.Int:
		v.SetInt(int64(random.Intn(3)))
	case reflect.Uint64:
		v.SetUint(uint64(random.Intn(3)) << 40)
	case reflect.Float64:
		v.SetFloat(float64(random.Intn(3)) / 2)
	}
}

var types = []string{"bridge", "image", "vm", "vm.guest", "host.sysctl", "host.nftables"}

// TestDiffProperties holds for any two bodies a and b of any type: a does not differ from itself or from its own JSON;
// b differs from a just where a differs from b, the other way round; and b's values carried over to a at the paths of
// the difference, and no others, make a as b is.
func TestDiffProperties(t *testing.T) {
	for _, typ := range types {
		property := func(seed int64) bool {
			random := rand.New(rand.NewSource(seed))
			a, b := bodies(random, typ), bodies(random, typ)
			return selfSame(t, typ, a) && mirrored(t, a, b) && carried(t, typ, a, b)
		}
		if err := quick.Check(property, &quick.Config{MaxCount: 100}); err != nil {
			t.Errorf("%s: %v", typ, err)
		}
	}
}

func selfSame(t *testing.T, typ string, a any) bool {
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	again, err := schema.NewBody(typ)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, again); err != nil {
		t.Fatal(err)
	}
	if d := Diff(a, again); len(d) > 0 || Fingerprint(a) != Fingerprint(again) {
		t.Errorf("it differs from its own JSON: %+v", d)
		return false
	}
	return len(Diff(a, a)) == 0
}

func mirrored(t *testing.T, a, b any) bool {
	there, back := Diff(a, b), Diff(b, a)
	for n := range back {
		back[n].Old, back[n].New = back[n].New, back[n].Old
	}
	if !reflect.DeepEqual(there, back) {
		t.Errorf("there %+v\nback %+v", there, back)
		return false
	}
	return true
}

func carried(t *testing.T, typ string, a, b any) bool {
	var paths []string
	for _, d := range Diff(a, b) {
		paths = append(paths, d.Path)
	}
	made, err := CarryPaths(typ, a, b, paths)
	if err != nil {
		t.Errorf("carry %q: %v", paths, err)
		return false
	}
	if left := Diff(made, b); len(left) > 0 {
		t.Errorf("carried at %q, left: %+v", paths, left)
		return false
	}
	for n, path := range paths { // one path alone mends just that
		one, err := CarryPaths(typ, a, b, paths[n:n+1])
		if err != nil {
			t.Errorf("carry %q: %v", path, err)
			return false
		}
		for _, d := range Diff(one, b) {
			if WithinPath(d.Path, path) || !slices.ContainsFunc(paths, func(p string) bool { return WithinPath(p, d.Path) }) {
				t.Errorf("carried at %s, left: %+v", path, d)
				return false
			}
		}
	}
	return true
}

// FuzzMark: a mark that is written is read back the same, and no text makes the reader fail.
func FuzzMark(f *testing.F) {
	f.Add("labctl lab=x address=vm.a%5B%22k%22%5D v=1 fp=0123456789ab keep dep=bridge.br0")
	f.Add("labctl lab=x address= v=1")
	f.Fuzz(func(t *testing.T, text string) {
		m, ok := ParseMark(text)
		if !ok {
			return
		}
		again, ok := ParseMark(m.String())
		if !ok || !reflect.DeepEqual(again, m) {
			t.Errorf("%q is read as %+v, then as %+v", text, m, again)
		}
	})
}

// FuzzPath: any path may be carried, and a path in neither body changes nothing.
func FuzzPath(f *testing.F) {
	for _, path := range []string{"memory", "interface.eth0.bridge", `interface["eth0"]`, "disk[0].size", "a..b", `x["`, "]", "[", "all"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		a := &schema.Domain{Name: "a", Memory: 1, Interfaces: []schema.NIC{{Name: "eth0", Bridge: "br0"}}}
		b := &schema.Domain{Name: "b", Memory: 2, Interfaces: []schema.NIC{{Name: "eth0", Bridge: "br1"}}}
		made, err := CarryPaths("vm", a, b, []string{path})
		if err != nil {
			return
		}
		for _, d := range Diff(a, made) {
			if !WithinPath(d.Path, path) && path != "all" && len(SplitPath(path)) > 0 {
				if SplitPath(d.Path)[0] != SplitPath(path)[0] {
					t.Errorf("%q changed %s", path, d.Path)
				}
			}
		}
	})
}
