package domainxml

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"libvirt.org/go/libvirtxml"
)

// mergeFragment lays XML that the lab gives as it is over x: single elements are replaced, devices are added. Elements
// that libvirt's own Go types do not know are refused, because they would be lost without a word.
func mergeFragment(x *libvirtxml.Domain, fragment string) error {
	text := strings.TrimSpace(fragment)
	if !strings.HasPrefix(text, "<domain") {
		text = `<domain xmlns:qemu="http://libvirt.org/schemas/domain/qemu/1.0">` + text + `</domain>`
	}
	alone := new(libvirtxml.Domain)
	if err := alone.Unmarshal(text); err != nil {
		return fmt.Errorf("xml: %w", err)
	}
	kept, err := alone.Marshal()
	if err != nil {
		return fmt.Errorf("xml: %w", err)
	}
	given, err := elements(text)
	if err != nil {
		return fmt.Errorf("xml: %w", err)
	}
	known, err := elements(kept)
	if err != nil {
		return fmt.Errorf("xml: %w", err)
	}
	for _, path := range given.order {
		if given.count[path] > known.count[path] {
			return fmt.Errorf("xml: libvirt's domain XML has no %s, or not with that content", path)
		}
	}
	name, uuid, mark := x.Name, x.UUID, x.Metadata.XML
	if err := x.Unmarshal(text); err != nil {
		return fmt.Errorf("xml: %w", err)
	}
	x.Name, x.UUID = name, uuid // the identity is the lab's
	x.Metadata.XML = mark
	if alone.Metadata != nil {
		x.Metadata.XML += alone.Metadata.XML
	}
	return nil
}

type counted struct {
	order []string
	count map[string]int
}

// elements counts the elements of a document by their path of local names.
func elements(text string) (counted, error) {
	found := counted{count: map[string]int{}}
	dec := xml.NewDecoder(strings.NewReader(text))
	var path []string
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return found, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			path = append(path, token.Name.Local)
			where := strings.Join(path, "/")
			if found.count[where] == 0 {
				found.order = append(found.order, where)
			}
			found.count[where]++
		case xml.EndElement:
			path = path[:len(path)-1]
		}
	}
}
