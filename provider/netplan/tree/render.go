package tree

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// memberNote marks the stanzas of links that are written only because they are a bridge's ports.
const memberNote = "labctl: a port of a bridge below"

// Heading is the comment at the top of a lab's file.
func Heading(lab string) string {
	return "# The bridges of the lab " + lab + ". labctl writes this file: what is changed here by hand,\n" +
		"# the next labctl apply changes back. The line before a bridge says whose it is.\n"
}

// Render is the text of a lab's file, nil when nothing is left to stand in it. Stanzas without a mark, and sections that
// labctl does not write, are somebody else's and stay.
func Render(heading string, f *File, configured func(link string) bool) ([]byte, error) {
	entries := slices.SortedFunc(slices.Values(f.Entries), func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	members := ports(entries)
	var rest yaml.MapSlice
	for _, item := range f.Rest {
		switch item.Key {
		case "version", "bridges.renderer":
		case "ethernets":
			if kept := withoutPorts(asMap(item.Value)); len(kept) > 0 {
				rest = append(rest, yaml.MapItem{Key: item.Key, Value: kept})
			}
		default:
			rest = append(rest, item)
		}
	}
	if len(entries) == 0 && len(rest) == 0 {
		return nil, nil
	}
	var b bytes.Buffer
	b.WriteString(heading)
	b.WriteString("network:\n  version: 2\n")
	own := asMap(lookup(rest, "ethernets"))
	rest = slices.DeleteFunc(rest, func(item yaml.MapItem) bool { return item.Key == "ethernets" })
	if err := writeStanzas(&b, 2, rest, nil); err != nil {
		return nil, err
	}
	members = slices.DeleteFunc(members, func(link string) bool { return configured(link) || lookup(own, link) != nil })
	if err := writeEthernets(&b, own, members); err != nil {
		return nil, err
	}
	if len(entries) > 0 {
		b.WriteString("  bridges:\n")
	}
	for _, e := range entries {
		var notes []string
		if e.Mark.Lab != "" {
			notes = []string{e.Mark.String()}
		}
		if err := writeStanzas(&b, 4, yaml.MapSlice{{Key: e.Name, Value: e.Stanza}}, notes); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

func writeEthernets(b *bytes.Buffer, own yaml.MapSlice, members []string) error {
	if len(own)+len(members) > 0 {
		b.WriteString("  ethernets:\n")
	}
	if err := writeStanzas(b, 4, own, nil); err != nil {
		return err
	}
	for _, link := range members {
		// An empty stanza lets netplan know the port; it brings no address to it, which a port must not have.
		stanza := yaml.MapSlice{{Key: link, Value: portStanza()}}
		if err := writeStanzas(b, 4, stanza, []string{memberNote}); err != nil {
			return err
		}
	}
	return nil
}

func portStanza() yaml.MapSlice {
	return yaml.MapSlice{{Key: "dhcp4", Value: false}, {Key: "dhcp6", Value: false}, {Key: "link-local", Value: []any{}}}
}

// withoutPorts drops the stanzas that labctl wrote for ports: they are recognised by being exactly that.
func withoutPorts(ethernets yaml.MapSlice) yaml.MapSlice {
	want := fmt.Sprint(portStanza())
	return slices.DeleteFunc(slices.Clone(ethernets), func(item yaml.MapItem) bool {
		return fmt.Sprint(item.Value) == want
	})
}

// ports are the links that the bridges take in, each once, in order; a bridge of the same file needs no stanza.
func ports(entries []Entry) []string {
	var links []string
	for _, e := range entries {
		links = append(links, texts(lookup(e.Stanza, "interfaces"))...)
	}
	slices.Sort(links)
	return slices.DeleteFunc(slices.Compact(links), func(link string) bool {
		return slices.ContainsFunc(entries, func(e Entry) bool { return e.Name == link })
	})
}

// writeStanzas writes a mapping indented, each of its lines, with notes as comments before it.
func writeStanzas(b *bytes.Buffer, indent int, stanzas yaml.MapSlice, notes []string) error {
	if len(stanzas) == 0 {
		return nil
	}
	text, err := yaml.MarshalWithOptions(stanzas, yaml.IndentSequence(true))
	if err != nil {
		return err
	}
	margin := strings.Repeat(" ", indent)
	for _, note := range notes {
		fmt.Fprintf(b, "%s# %s\n", margin, note)
	}
	for line := range strings.Lines(string(text)) {
		b.WriteString(margin + line)
	}
	return nil
}
