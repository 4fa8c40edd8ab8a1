package drawing

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// DOT writes the picture in Graphviz's language.
func (p *Picture) DOT(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "graph %s {\n", quoteDOT(p.Title))
	fmt.Fprintf(&b, "  label=%s labelloc=t fontname=\"sans-serif\" nodesep=0.6 ranksep=0.9\n", quoteDOT(p.Title))
	b.WriteString("  node [shape=box style=\"rounded,filled\" fillcolor=white fontname=\"sans-serif\" fontsize=11]\n")
	b.WriteString("  edge [fontname=\"sans-serif\" fontsize=10]\n\n")
	for i, s := range p.Segments {
		fmt.Fprintf(&b, "  segment%d [shape=box style=filled fillcolor=\"#d7e3f4\" width=3 label=%s]\n", i, quoteDOT(lines(s.Name, s.Notes)))
	}
	b.WriteString("\n")
	for i, m := range p.Machines {
		fmt.Fprintf(&b, "  machine%d [fillcolor=%q label=%s]\n", i, fill(m.Role), quoteDOT(lines(m.Name, m.Notes)))
	}
	b.WriteString("\n")
	for i, m := range p.Machines {
		for _, port := range m.Ports {
			fmt.Fprintf(&b, "  segment%d -- machine%d [label=%s]\n", port.Segment, i, quoteDOT(lines(port.Name, port.Notes)))
		}
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// Mermaid writes the picture as a Mermaid flowchart.
func (p *Picture) Mermaid(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "---\ntitle: %s\n---\nflowchart TB\n", strconv.Quote(p.Title))
	for i, s := range p.Segments {
		fmt.Fprintf(&b, "  segment%d[[%s]]\n", i, quoteMermaid(lines(s.Name, s.Notes)))
	}
	for i, m := range p.Machines {
		fmt.Fprintf(&b, "  machine%d(%s)\n", i, quoteMermaid(lines(m.Name, m.Notes)))
	}
	for i, m := range p.Machines {
		for _, port := range m.Ports {
			if label := lines(port.Name, port.Notes); label != "" {
				fmt.Fprintf(&b, "  segment%d ---|%s| machine%d\n", port.Segment, quoteMermaid(label), i)
			} else {
				fmt.Fprintf(&b, "  segment%d --- machine%d\n", port.Segment, i)
			}
		}
	}
	for i, m := range p.Machines {
		if m.Role != Plain {
			fmt.Fprintf(&b, "  style machine%d fill:%s\n", i, fill(m.Role))
		}
	}
	for i := range p.Segments {
		fmt.Fprintf(&b, "  style segment%d fill:#d7e3f4\n", i)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func lines(name string, notes []string) string {
	if name == "" {
		return strings.Join(notes, "\n")
	}
	return strings.Join(append([]string{name}, notes...), "\n")
}

// quoteDOT is text as a DOT string: only quotes and backslashes are special in one, and a line ends with \n.
func quoteDOT(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(text) + `"`
}

// quoteMermaid is text as a Mermaid string, in which characters of its own and of HTML's are written as entities.
func quoteMermaid(text string) string {
	return `"` + strings.NewReplacer(`"`, "#quot;", "#", "#35;", "<", "#lt;", ">", "#gt;", "\n", "<br>").Replace(text) + `"`
}

// fill is the colour of a machine.
func fill(r Role) string {
	switch r {
	case Router:
		return "#fdf0d5"
	case Host:
		return "#e3f1e3"
	default:
		return "#ffffff"
	}
}
