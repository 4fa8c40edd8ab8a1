package provider

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/labctl/labctl/schema"
)

// MarkVersion is the version of the mark's format that this labctl writes.
const MarkVersion = 1

// Mark is what labctl writes on everything it makes. The zero Mark is no mark.
type Mark struct {
	Lab            string        `json:"lab"`
	Addr           schema.Addr   `json:"address"`
	Version        int           `json:"version"`
	Fingerprint    string        `json:"fingerprint,omitempty"` // of the declaration, see Fingerprint
	PreventDestroy bool          `json:"prevent_destroy,omitempty"`
	Incomplete     bool          `json:"incomplete,omitempty"` // an apply has begun and not ended
	Deps           []schema.Addr `json:"depends_on,omitempty"`
}

// MarkOf is the mark of a declared resource.
func MarkOf(lab string, want *schema.Resource) Mark {
	return Mark{
		Lab: lab, Addr: want.Addr, Version: MarkVersion, Fingerprint: Fingerprint(want.Body),
		PreventDestroy: want.Lifecycle.PreventDestroy, Deps: want.Deps,
	}
}

// String writes the mark on one line, for systems that keep a comment:
//
//	labctl lab=holepunch address=bridge.br0 v=1 fp=0123456789ab deps=…
//
// ParseMark reads it back.
func (m Mark) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "labctl lab=%s address=%s v=%d", m.Lab, escape(m.Addr.String()), m.Version)
	if m.Fingerprint != "" {
		fmt.Fprintf(&b, " fp=%s", m.Fingerprint)
	}
	if m.PreventDestroy {
		b.WriteString(" keep")
	}
	if m.Incomplete {
		b.WriteString(" incomplete")
	}
	for _, dep := range m.Deps {
		fmt.Fprintf(&b, " dep=%s", escape(dep.String()))
	}
	return b.String()
}

// ParseMark reads a mark as String writes it. ok is false where text is no mark; a mark of a later version is read as far
// as it is understood.
func ParseMark(text string) (m Mark, ok bool) {
	fields := strings.Fields(text)
	if len(fields) < 3 || fields[0] != "labctl" {
		return Mark{}, false
	}
	for _, field := range fields[1:] {
		key, value, _ := strings.Cut(field, "=")
		var err error
		switch key {
		case "lab":
			m.Lab = value
		case "address":
			m.Addr, err = schema.ParseAddr(unescape(value))
		case "v":
			m.Version, err = strconv.Atoi(value)
		case "fp":
			m.Fingerprint = value
		case "keep":
			m.PreventDestroy = true
		case "incomplete":
			m.Incomplete = true
		case "dep":
			var dep schema.Addr
			dep, err = schema.ParseAddr(unescape(value))
			m.Deps = append(m.Deps, dep)
		}
		if err != nil {
			return Mark{}, false
		}
	}
	return m, m.Lab != "" && m.Addr != schema.Addr{} && m.Version > 0
}

// Comments in nft and YAML files hold neither quotes nor spaces well, so the few characters that keys bring are escaped
// as in URLs.
var (
	escaper   = strings.NewReplacer("%", "%25", `"`, "%22", " ", "%20", "\\", "%5C", "\t", "%09", "\n", "%0A", "=", "%3D")
	unescaper = strings.NewReplacer("%25", "%", "%22", `"`, "%20", " ", "%5C", "\\", "%09", "\t", "%0A", "\n", "%3D", "=")
)

func escape(text string) string   { return escaper.Replace(text) }
func unescape(text string) string { return unescaper.Replace(text) }
