package schema

import (
	"fmt"
	"strconv"
	"strings"
)

// Addr is the address of one resource in a lab, such as
// module.site["a"].vm.nat["b"], bridge.br0, host.sysctl or vm.nat["a"].guest.
//
// It is comparable: two addresses are the same resource if and only if they are ==.
type Addr struct {
	Module string // path of modules as written, `module.site["a"]`, or ""
	Kind   string // block type: "vm", "bridge", "host", …
	Name   string // block label; "" for the one unlabelled host
	Key    string // instance key as written between brackets: `"a"` or `0`; "" without for_each and count
	Part   string // part of the block that is a resource of its own: "guest", "sysctl", "nftables"; "" for the block itself
}

// String writes the address as users write it. ParseAddr reads it back.
func (a Addr) String() string {
	if a.Kind == "" {
		return a.Module
	}
	var b strings.Builder
	if a.Module != "" {
		b.WriteString(a.Module)
		b.WriteByte('.')
	}
	b.WriteString(a.Kind)
	if a.Name != "" {
		b.WriteByte('.')
		b.WriteString(a.Name)
	}
	if a.Key != "" {
		b.WriteByte('[')
		b.WriteString(a.Key)
		b.WriteByte(']')
	}
	if a.Part != "" {
		b.WriteByte('.')
		b.WriteString(a.Part)
	}
	return b.String()
}

// Type names the sort of resource that one provider serves: the kind, and the part if there is one ("vm", "vm.guest").
func (a Addr) Type() string {
	if a.Part == "" {
		return a.Kind
	}
	return a.Kind + "." + a.Part
}

// Whole is the address of the block that a belongs to, without its part.
func (a Addr) Whole() Addr {
	a.Part = ""
	return a
}

// Block is the address of the block without instance key and part: what `depends_on = [vm.nat]` names.
func (a Addr) Block() Addr {
	a.Key, a.Part = "", ""
	return a
}

// Contains reports whether b is a, a part of a, an instance of a, or (where a is a module) inside a.
func (a Addr) Contains(b Addr) bool {
	if a == b {
		return true
	}
	if a.Kind == "" { // a bare module
		return b.Module == a.Module || strings.HasPrefix(b.Module, a.Module+".") ||
			strings.HasPrefix(b.Module, a.Module+"[")
	}
	if a.Module != b.Module || a.Kind != b.Kind || a.Name != b.Name {
		return false
	}
	return (a.Key == "" || a.Key == b.Key) && (a.Part == "" || a.Part == b.Part)
}

// MarshalText writes the address as String does, so that addresses are keys and values in JSON.
func (a Addr) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (a *Addr) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*a = Addr{}
		return nil
	}
	parsed, err := ParseAddr(string(text))
	if err != nil {
		return err
	}
	*a = parsed
	return nil
}

// parts of a block that are resources of their own, by kind.
func partOf(kind, word string) bool {
	switch kind {
	case "vm":
		return word == "guest"
	case "host":
		return word == "sysctl" || word == "nftables"
	}
	return false
}

// ParseAddr reads an address as String writes it. Keys that are words may lack their quotes, as they do where a shell took
// them: vm.nat[a] is vm.nat["a"]. A module alone, `module.site["a"]`, is an Addr with no Kind.
func ParseAddr(text string) (Addr, error) {
	steps, err := splitAddr(text)
	if err != nil {
		return Addr{}, fmt.Errorf("address %q: %w", text, err)
	}
	var addr Addr
	var modules []string
	for len(steps) > 0 && steps[0].word == "module" {
		if len(steps) < 2 {
			return Addr{}, fmt.Errorf("address %q: a module's name is missing", text)
		}
		modules = append(modules, "module."+steps[1].String())
		steps = steps[2:]
	}
	addr.Module = strings.Join(modules, ".")
	if len(steps) == 0 {
		if addr.Module == "" {
			return Addr{}, fmt.Errorf("address %q: it is empty", text)
		}
		return addr, nil
	}
	addr.Kind = steps[0].word
	if steps[0].key != "" && len(steps) > 1 {
		return Addr{}, fmt.Errorf("address %q: an index may only follow a name", text)
	}
	rest := steps[1:]
	if n := len(rest); n > 0 && rest[n-1].key == "" && partOf(addr.Kind, rest[n-1].word) && (n > 1 || addr.Kind == "host") {
		addr.Part = rest[n-1].word
		rest = rest[:n-1]
	}
	switch len(rest) {
	case 0:
		if addr.Kind != "host" {
			return Addr{}, fmt.Errorf("address %q: write KIND.NAME, such as bridge.br0", text)
		}
	case 1:
		addr.Name, addr.Key = rest[0].word, rest[0].key
	default:
		return Addr{}, fmt.Errorf("address %q: %q is no part of a %s", text, rest[1].word, addr.Kind)
	}
	return addr, nil
}

type addrStep struct{ word, key string }

func (s addrStep) String() string {
	if s.key == "" {
		return s.word
	}
	return s.word + "[" + s.key + "]"
}

func splitAddr(text string) ([]addrStep, error) {
	var steps []addrStep
	for rest := text; ; {
		end := strings.IndexAny(rest, ".[")
		if end < 0 {
			end = len(rest)
		}
		step := addrStep{word: rest[:end]}
		if step.word == "" || strings.ContainsAny(step.word, "\"] \t\n") {
			return nil, fmt.Errorf("%q is not a name", step.word)
		}
		rest = rest[end:]
		if strings.HasPrefix(rest, "[") {
			key, tail, err := splitKey(rest[1:])
			if err != nil {
				return nil, err
			}
			step.key, rest = key, tail
		}
		steps = append(steps, step)
		if rest == "" {
			return steps, nil
		}
		if rest[0] != '.' {
			return nil, fmt.Errorf("unexpected %q", rest)
		}
		rest = rest[1:]
	}
}

// splitKey reads an instance key and its closing bracket: a quoted string or a whole number.
func splitKey(text string) (key, rest string, err error) {
	if strings.HasPrefix(text, `"`) {
		quoted, err := strconv.QuotedPrefix(text)
		if err != nil {
			return "", "", fmt.Errorf("the index %s is not a quoted string", text)
		}
		if !strings.HasPrefix(text[len(quoted):], "]") {
			return "", "", fmt.Errorf("a closing ] is missing")
		}
		return quoted, text[len(quoted)+1:], nil
	}
	digits, rest, found := strings.Cut(text, "]")
	if !found {
		return "", "", fmt.Errorf("a closing ] is missing")
	}
	if _, err := strconv.ParseUint(digits, 10, 31); err != nil && bareKey(digits) {
		return strconv.Quote(digits), rest, nil
	} else if err != nil {
		return "", "", fmt.Errorf("the index %q is neither a whole number nor a quoted string", digits)
	}
	return digits, rest, nil
}

// bareKey reports whether text is a word, and so cannot be mistaken for a number.
func bareKey(text string) bool {
	for i, r := range text {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r != '-' && (r < '0' || r > '9')) {
			return false
		}
	}
	return text != ""
}
