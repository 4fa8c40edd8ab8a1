package view

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// digest is a SHA-256 that labctl has made itself.
var digest = regexp.MustCompile("^[0-9a-f]{64}$")

// value writes a value of an attribute as it would stand in the lab's files.
func value(path string, v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		if digest.MatchString(v) && !strings.HasSuffix(path, "checksum") {
			v = v[:12] + "…" // as images are called by it; nobody compares more
		}
		return strconv.Quote(v)
	case []any:
		parts := make([]string, len(v))
		for n := range v {
			parts[n] = value(path, v[n])
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		keys := make([]string, 0, len(v))
		for key := range v {
			keys = append(keys, key)
		}
		sort.Strings(keys)
		parts := make([]string, len(keys))
		for n, key := range keys {
			parts[n] = key + " = " + value(key, v[key])
		}
		return "{ " + strings.Join(parts, ", ") + " }"
	case bool:
		return strconv.FormatBool(v)
	}
	if size, ok := sized(path, v); ok {
		return size
	}
	if number, ok := v.(json.Number); ok {
		return number.String()
	}
	if kind := reflect.ValueOf(v).Kind(); kind == reflect.Struct || kind == reflect.Slice || kind == reflect.Map || kind == reflect.Pointer {
		return value(path, tree(v))
	}
	return fmt.Sprint(v)
}

// tree is a value as JSON decodes it.
func tree(v any) any {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.UseNumber()
	var out any
	if err := dec.Decode(&out); err != nil {
		return string(text)
	}
	return out
}

// sized writes a number of bytes as people declare it, where the path is one of a size.
func sized(path string, v any) (string, bool) {
	last := path[strings.LastIndexByte(path, '.')+1:]
	if last != "memory" && last != "max_memory" && last != "size" {
		return "", false
	}
	n, err := strconv.ParseUint(fmt.Sprint(v), 10, 64)
	if err != nil {
		return "", false
	}
	for _, unit := range []struct {
		name string
		size uint64
	}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= unit.size && n%unit.size == 0 {
			return strconv.Quote(fmt.Sprintf("%d%s", n/unit.size, unit.name)), true
		}
	}
	return strconv.FormatUint(n, 10), true
}

func multiline(text string) bool { return strings.Contains(strings.TrimRight(text, "\n"), "\n") }

// diffLines is the difference of two texts with three lines around each change, or a whole text where the other is empty.
func diffLines(old, new string) []Line {
	if old == "" || new == "" {
		symbol, text := "+", new
		if new == "" {
			symbol, text = "-", old
		}
		return textLines(symbol, text)
	}
	text := string(diff.Diff("old", []byte(ended(old)), "new", []byte(ended(new))))
	var lines []Line
	for n, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		switch {
		case n < 3 || line == "": // its own headings
		case strings.HasPrefix(line, "@@"):
			lines = append(lines, Line{Symbol: "…"})
		default:
			lines = append(lines, Line{Symbol: line[:1], Text: untab(line[1:])})
		}
	}
	if len(lines) > 0 && lines[0].Symbol == "…" {
		lines = lines[1:]
	}
	return lines
}

func ended(text string) string { return strings.TrimRight(text, "\n") + "\n" }

func untab(line string) string { return strings.ReplaceAll(line, "\t", "    ") }

// textLines is a text's lines, empty ones left out.
func textLines(symbol, text string) []Line {
	var lines []Line
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, "\n"); strings.TrimSpace(line) != "" {
			lines = append(lines, Line{Symbol: symbol, Text: untab(line)})
		}
	}
	return lines
}

// created lists what a resource is made as: what is declared, in the order of the struct that declares it, one line for
// each block, without what is said by its address or is the default.
func created(want *schema.Resource) []Attribute {
	if want.Body == nil {
		return nil
	}
	var attributes []Attribute
	if rules, ok := want.Body.(*schema.Ruleset); ok {
		if len(want.Sensitive) > 0 {
			return []Attribute{{Path: "rules", New: hidden}}
		}
		return []Attribute{ruleset("rules", rules)}
	}
	body := reflect.Indirect(reflect.ValueOf(want.Body))
	for n := range body.NumField() {
		field := fieldOf(body, n)
		if field.name == "" || field.quiet() || field.name == "name" && field.value.String() == want.Addr.Name {
			continue
		}
		attributes = append(attributes, field.attributes()...)
	}
	for n := range attributes {
		at := cmp.Or(attributes[n].at, attributes[n].Path)
		for _, path := range want.Sensitive {
			if path == "all" || provider.WithinPath(at, path) || provider.WithinPath(path, at) {
				attributes[n].New, attributes[n].Lines = hidden, nil
			}
		}
	}
	return attributes
}

func ruleset(path string, rules *schema.Ruleset) Attribute {
	lines := slices.DeleteFunc(textLines("", rules.Text), func(l Line) bool {
		return strings.HasPrefix(strings.TrimSpace(l.Text), "#")
	})
	return Attribute{Path: path, Lines: lines}
}

// field is one field of a body's struct.
type field struct {
	owner  string // name of the struct
	name   string
	always bool // written also where it is the zero value
	value  reflect.Value
}

func fieldOf(body reflect.Value, n int) field {
	name, options, _ := strings.Cut(body.Type().Field(n).Tag.Get("json"), ",")
	if name == "-" {
		name = ""
	}
	return field{owner: body.Type().Name(), name: name, always: options == "", value: body.Field(n)}
}

// usual is values that say nothing: what is so in every lab, or follows from another attribute.
var usual = map[string]string{
	"Domain.running": "true", "Domain.virt": `"auto"`, "Domain.rng": `{ source = "/dev/urandom" }`,
	"Domain.console": `[{ target = "serial", type = "pty" }]`,
	"NIC.link":       `"up"`, "NIC.model": `"virtio"`, "GuestInterface.connected_route": "true", "Guest.forwarding": "false",
}

// quiet reports whether the field says nothing that a reader misses.
func (f field) quiet() bool {
	if f.value.IsZero() && (!f.always || f.value.Kind() != reflect.Bool) {
		return true
	}
	switch name := f.owner + "." + f.name; name {
	case "Guest.domain", "GuestInterface.mac", "ImageRef.key", "Image.key", "NAT.outside_address", "Ruleset.lines":
		return true
	default:
		said, known := usual[name]
		return known && value(f.name, tree(f.value.Interface())) == said
	}
}

// attributes is a top-level field's lines in a creation.
func (f field) attributes() []Attribute {
	v := f.value
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch whole := f.value.Interface().(type) {
	case *schema.Ruleset:
		return []Attribute{ruleset(f.name, whole)}
	case *schema.ImageRef:
		return []Attribute{{Path: f.name, New: whole.Addr.String()}}
	case string:
		if multiline(whole) {
			return []Attribute{{Path: f.name, Lines: textLines("", whole)}}
		}
	}
	switch {
	case v.Kind() == reflect.Struct:
		return []Attribute{{Path: f.name, New: compact(v, ""), block: true}}
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		var list []Attribute
		for n := range v.Len() {
			name, named := provider.ElementName(tree(v.Index(n).Interface()))
			if !named {
				name = strconv.Itoa(n)
			}
			list = append(list, Attribute{Path: f.name + "." + name, at: provider.JoinPath(f.name, name), New: compact(v.Index(n), name)})
		}
		return list
	}
	return []Attribute{{Path: f.name, New: value(f.name, tree(v.Interface()))}}
}

// compact writes a block on one line: names and values of what is declared, in order.
func compact(v reflect.Value, name string) string {
	var parts []string
	for n := range v.NumField() {
		f := fieldOf(v, n)
		if f.name == "" || f.quiet() || f.value.Kind() == reflect.String && f.value.String() == name {
			continue
		}
		inner := f.value
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			if inner.Type() == reflect.TypeFor[schema.Addr]() {
				parts = append(parts, inner.Interface().(schema.Addr).String())
				continue
			}
			parts = append(parts, f.name+" ("+compact(inner, "")+")")
			continue
		}
		text := value(f.name, tree(inner.Interface()))
		if text == `true` {
			parts = append(parts, f.name)
			continue
		}
		parts = append(parts, f.name+" "+strings.ReplaceAll(shorten(text), `"`, ""))
	}
	return strings.Join(parts, ", ")
}

// shorten keeps a value to one glance; a file's content is shown whole where it changes.
func shorten(text string) string {
	const most = 60
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}
