// Package metadata is labctl's own element in the <metadata> of libvirt's objects: the mark, and what was declared.
package metadata

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// Prefix of labctl's namespace in XML that it writes. Readers go by the namespace.
const Prefix = "lab"

// Meta is what labctl writes of an object whose declaration is a T.
type Meta[T any] struct {
	Mark   provider.Mark
	Folder string // absolute path of the folder with the object's own files
	// Declared is the object as it was last declared: libvirt has no place for a part of it (timeouts, sizes of disks, the
	// image's address), and what was not declared is not compared.
	Declared *T
}

// element is Meta as XML. Children match in any namespace: virDomainSetMetadata(3) leaves them without one.
type element struct {
	Name           string   `xml:"name,attr"`
	Address        string   `xml:"address,attr"`
	Version        int      `xml:"version,attr"`
	Fingerprint    string   `xml:"fingerprint,attr"`
	PreventDestroy bool     `xml:"prevent_destroy,attr"`
	Incomplete     bool     `xml:"incomplete,attr"`
	Folder         string   `xml:"folder,attr"`
	Deps           []string `xml:"depends_on"`
	Declaration    string   `xml:"declaration"`
}

// XML is the element for an object's <metadata>, namespace included.
func (m Meta[T]) XML() (string, error) { return m.format(Prefix + ":") }

// Bare is the element as virDomainSetMetadata(3) wants it: libvirt adds the namespace itself.
func (m Meta[T]) Bare() (string, error) { return m.format("") }

func (m Meta[T]) format(p string) (string, error) {
	declaration, err := json.Marshal(m.Declared)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("<" + p + "lab")
	if p != "" {
		fmt.Fprintf(&b, ` xmlns:%s="%s"`, Prefix, schema.XMLNamespace)
	}
	attr := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, ` %s="%s"`, name, escape(value))
		}
	}
	attr("name", m.Mark.Lab)
	attr("address", m.Mark.Addr.String())
	attr("version", strconv.Itoa(m.Mark.Version))
	attr("fingerprint", m.Mark.Fingerprint)
	attr("folder", m.Folder)
	if m.Mark.PreventDestroy {
		attr("prevent_destroy", "true")
	}
	if m.Mark.Incomplete {
		attr("incomplete", "true")
	}
	b.WriteString(">")
	for _, dep := range m.Mark.Deps {
		fmt.Fprintf(&b, "<%sdepends_on>%s</%sdepends_on>", p, escape(dep.String()), p)
	}
	fmt.Fprintf(&b, "<%sdeclaration>%s</%sdeclaration></%slab>", p, escape(string(declaration)), p, p)
	return b.String(), nil
}

// escape is for text and attribute values alike. Quotes are left alone in neither, and in text they need not be escaped,
// but one rule is enough.
func escape(text string) string {
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(text)); err != nil {
		panic(err) // a strings.Builder takes everything
	}
	return b.String()
}

// Marked reports whether an object's XML can hold labctl's mark: a quick look, to spare parsing what does not.
func Marked(text string) bool { return strings.Contains(text, schema.XMLNamespace) }

// Parse reads labctl's element out of the inside of <metadata>. ok is false where there is none. rest is everything
// else in it, which is somebody else's and is kept.
func Parse[T any](inner string) (m Meta[T], rest string, ok bool, err error) {
	dec := xml.NewDecoder(strings.NewReader(inner))
	var others strings.Builder
	for {
		before := dec.InputOffset()
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return m, "", false, fmt.Errorf("metadata: %w", err)
		}
		start, isStart := token.(xml.StartElement)
		if !isStart {
			continue
		}
		if start.Name.Space != schema.XMLNamespace || start.Name.Local != "lab" {
			if err := dec.Skip(); err != nil {
				return m, "", false, fmt.Errorf("metadata: %w", err)
			}
			others.WriteString(inner[before:dec.InputOffset()])
			continue
		}
		var e element
		if err := dec.DecodeElement(&e, &start); err != nil {
			return Meta[T]{}, "", false, fmt.Errorf("labctl's mark: %w", err)
		}
		if m, err = parse[T](e); err != nil {
			return Meta[T]{}, "", false, fmt.Errorf("labctl's mark: %w", err)
		}
		ok = true
	}
	return m, others.String(), ok, nil
}

func parse[T any](e element) (Meta[T], error) {
	addr, err := schema.ParseAddr(e.Address)
	if err != nil {
		return Meta[T]{}, err
	}
	m := Meta[T]{Folder: e.Folder, Mark: provider.Mark{
		Lab: e.Name, Addr: addr, Version: e.Version, Fingerprint: e.Fingerprint,
		PreventDestroy: e.PreventDestroy, Incomplete: e.Incomplete,
	}}
	for _, text := range e.Deps {
		dep, err := schema.ParseAddr(text)
		if err != nil {
			return Meta[T]{}, err
		}
		m.Mark.Deps = append(m.Mark.Deps, dep)
	}
	if e.Declaration != "" {
		m.Declared = new(T)
		if err := json.Unmarshal([]byte(e.Declaration), m.Declared); err != nil {
			return Meta[T]{}, fmt.Errorf("declaration: %w", err)
		}
	}
	return m, nil
}

// ParseBare reads the element as virDomainGetMetadata(3) gives it: libvirt leaves its namespace out.
func ParseBare[T any](text string) (Meta[T], error) {
	var e element
	if err := xml.Unmarshal([]byte(text), &e); err != nil {
		return Meta[T]{}, fmt.Errorf("labctl's mark: %w", err)
	}
	return parse[T](e)
}

// Owner reads out of the element, as virDomainGetMetadata(3) gives it, whose an object is and where its files are. What was
// declared is left unread, which is most of the work.
func Owner(text string) (mark provider.Mark, folder string, err error) {
	dec := xml.NewDecoder(strings.NewReader(text))
	for {
		token, err := dec.Token()
		if err != nil {
			return mark, "", fmt.Errorf("labctl's mark: %w", err)
		}
		start, isStart := token.(xml.StartElement)
		if !isStart {
			continue
		}
		for _, attr := range start.Attr {
			switch attr.Name.Local {
			case "name":
				mark.Lab = attr.Value
			case "address":
				if mark.Addr, err = schema.ParseAddr(attr.Value); err != nil {
					return mark, "", fmt.Errorf("labctl's mark: %w", err)
				}
			case "folder":
				folder = attr.Value
			}
		}
		return mark, folder, nil
	}
}
