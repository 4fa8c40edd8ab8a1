package view

import (
	"fmt"
	"slices"
	"strings"

	"github.com/labctl/labctl/internal/plan"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// Plan implements Output.
func (p *Printer) Plan(pl *plan.Plan) { p.Doc(Describe(pl)) }

// Doc writes a plan for people.
func (p *Printer) Doc(doc Doc) {
	switch {
	case len(doc.Changes) > 0:
		p.legend(doc)
		p.changes(doc)
		if doc.Drift {
			p.printf("%s\n", p.paint(bold, fmt.Sprintf("Drift: %s moved since the last apply.", counted(len(doc.Changes), "resource"))))
		} else {
			p.printf("%s\n", p.hang(p.paint(bold, "Plan:")+" "+SummaryLine(doc.Summary), 0, 6))
		}
	case len(doc.Unplanned) > 0:
		p.printf("%s\n", p.paint(bold, "No changes to what could be read."))
	case doc.Destroy:
		p.printf("%s Nothing here is marked as lab %q's.\n", p.paint(bold, "No changes."), doc.Lab)
	default:
		p.printf("%s The live systems are as the lab declares.\n", p.paint(bold+";"+green, "No changes."))
	}
	if n := len(doc.Unplanned); n > 0 {
		text := fmt.Sprintf("%s could not be read and %s not in this plan: %s", counted(n, "resource"), isAre(n), addrs(doc.Unplanned))
		p.printf("%s\n", p.hang(text, 0, 2))
	}
}

func (p *Printer) legend(doc Doc) {
	meaning := []struct{ symbol, text string }{
		{"+", "create"}, {"~", "update"}, {"-", "destroy"}, {"-/+", "destroy, then create again"}, {"<=", "read again"}, {".", "let go of"},
	}
	used := map[string]bool{}
	for _, c := range doc.Changes {
		used[c.Symbol] = true
	}
	var parts []string
	for _, m := range meaning {
		if used[m.symbol] {
			parts = append(parts, p.sign(m.symbol)+" "+m.text)
		}
	}
	text := fmt.Sprintf("labctl will do the following to lab %s (%s):", p.paint(bold, doc.Lab), strings.Join(parts, ", "))
	p.printf("%s\n\n", p.hang(text, 0, 2))
}

// changes writes all changes: a machine and its guest that are made together as one, and a text that was shown already
// only by its name.
func (p *Printer) changes(doc Doc) {
	guests := map[schema.Addr]Change{}
	for _, c := range doc.Changes {
		if c.Addr.Part == "guest" && c.Action == provider.Create {
			guests[c.Addr.Whole()] = c
		}
	}
	merged := map[schema.Addr]bool{}
	texts := map[string]schema.Addr{}
	apart := false
	for n, c := range doc.Changes {
		if guest, has := guests[c.Addr]; has && c.Action == provider.Create {
			c.Phrase = "and its guest will be created"
			c.Attributes = merge(c.Attributes, guest.Attributes)
			merged[guest.Addr] = true
		}
		if merged[c.Addr] {
			continue
		}
		for k, a := range c.Attributes {
			if len(a.Lines) < 6 || a.Symbol != "" {
				continue
			}
			text := fmt.Sprint(a.Lines)
			if first, shown := texts[text]; shown {
				c.Attributes = slices.Clone(c.Attributes)
				c.Attributes[k] = Attribute{Path: a.Path, New: fmt.Sprintf("the same %d lines as %s", len(a.Lines), first)}
				continue
			}
			texts[text] = c.Addr
		}
		if n > 0 && (apart || c.long()) {
			p.printf("\n")
		}
		apart = c.long()
		p.change(c)
	}
	p.printf("\n")
}

// merge joins what a machine and its guest say of one block, such as an interface, to one line.
func merge(machine, guest []Attribute) []Attribute {
	list := slices.Clone(machine)
	for _, a := range guest {
		at := slices.IndexFunc(list, func(b Attribute) bool { return b.Path == a.Path && len(a.Lines)+len(b.Lines) == 0 })
		switch {
		case at < 0:
			list = append(list, a)
		case a.New != "":
			list[at].New += ", " + a.New
		}
	}
	return list
}

func (p *Printer) change(c Change) {
	heading := p.paint(bold, c.Addr.String()) + " " + c.Phrase
	if c.ID != "" && (c.Action == provider.Delete || c.Action == provider.Forget) {
		heading += " " + p.paint(dim, "("+c.ID+")")
	}
	if c.ImportID != "" {
		heading += fmt.Sprintf(" from %q", c.ImportID)
	}
	if c.Label != "" {
		heading += " " + p.label(provider.Effect(c.Label))
	}
	if c.Drift {
		heading += " " + p.paint(magenta, "(drift)")
	}
	p.printf("%s %s\n", p.symbol(c.Symbol), p.hang(heading, 4, 6))
	if c.From != (schema.Addr{}) {
		p.printf("      %s\n", p.paint(dim, "# it was "+c.From.String()))
	}
	if c.Reason != "" {
		p.printf("      %s\n", p.paint(dim, p.hang("# "+c.Reason, 6, 8)))
	}
	p.attributes(c.Attributes)
}

// long reports whether more than one line is written of a change, which is then set apart from its neighbours.
func (c *Change) long() bool {
	return len(c.Attributes) > 0 || c.Reason != "" || c.From != (schema.Addr{})
}

func (p *Printer) label(e provider.Effect) string {
	switch e {
	case provider.Live:
		return p.paint(green, "(live)")
	case provider.OnRestart:
		return p.paint(yellow, "(restart)")
	}
	return p.paint(red, "("+string(e)+")")
}

// attributes writes what a thing is made as compactly, its plain values side by side, and what changes line by line.
func (p *Printer) attributes(list []Attribute) {
	wide := 0
	var plain []string
	for _, a := range list {
		if a.plain() {
			plain = append(plain, a.Path+" = "+a.New)
		} else if len(a.Lines) == 0 {
			wide = max(wide, len(a.Path))
		}
	}
	columns := 100
	if p.style.Terminal {
		columns = p.style.Width
	}
	for _, line := range fold(plain, columns-8) {
		p.printf("      %s\n", line)
	}
	for _, texts := range []bool{false, true} {
		for _, a := range list {
			if !a.plain() && len(a.Lines) > 0 == texts {
				p.attribute(a, min(wide, 40))
			}
		}
	}
}

// plain reports whether the attribute is a plain value of something that is made.
func (a Attribute) plain() bool {
	return a.Symbol == "" && len(a.Lines) == 0 && !a.block && !strings.ContainsAny(a.Path, ".[") && len(a.New) < 60
}

// fold joins words with commas to lines of at most so many columns.
func fold(words []string, columns int) []string {
	var lines []string
	line := ""
	for _, word := range words {
		switch {
		case line == "":
			line = word
		case len(line)+2+len(word) > columns:
			lines = append(lines, line+",")
			line = word
		default:
			line += ", " + word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

func (p *Printer) attribute(a Attribute, wide int) {
	indent := "      "
	if a.Symbol != "" {
		indent = "    " + p.sign(a.Symbol) + " "
	}
	if len(a.Lines) > 0 {
		p.printf("%s%s:%s\n", indent, a.Path, p.why(a))
		for _, line := range a.Lines {
			p.line(line)
		}
		return
	}
	text := a.New
	switch {
	case a.Symbol == "~" && a.Old != "" || a.Symbol == "~" && a.New != hidden:
		text = a.Old + p.paint(dim, " -> ") + a.New
	case a.Symbol == "-" && a.New == "":
		text = a.Old
	}
	const least = 6 // where each indent ends
	name := fmt.Sprintf("%-*s = ", wide, a.Path)
	p.printf("%s%s%s\n", indent, name, p.hang(text+p.why(a), least+len(name), least+4))
}

func (p *Printer) why(a Attribute) string {
	text := ""
	switch a.Effect {
	case provider.OnRestart:
		text = "needs a restart"
	case provider.OnReplace:
		text = "forces replacement"
	}
	switch {
	case text == "" && a.Why == "":
		return ""
	case text == "":
		text = a.Why
	case a.Why != "":
		text += ": " + a.Why
	}
	return p.paint(dim, "  # "+text)
}

func (p *Printer) line(l Line) {
	switch l.Symbol {
	case "+":
		p.printf("          %s\n", p.paint(green, "+ "+p.hang(l.Text, 12, 14)))
	case "-":
		p.printf("          %s\n", p.paint(red, "- "+p.hang(l.Text, 12, 14)))
	case "…":
		p.printf("          %s\n", p.paint(dim, "…"))
	case "":
		p.printf("          %s\n", p.hang(l.Text, 10, 14))
	default:
		p.printf("            %s\n", p.hang(l.Text, 12, 14))
	}
}

// hang breaks text that begins in column at and is too long for a terminal, and lets its further lines begin in column
// below, further in by as much as the text itself is.
func (p *Printer) hang(text string, at, below int) string {
	if !p.style.Terminal || columns(text)+at <= p.style.Width || p.style.Width < 3*below {
		return text
	}
	below += len(text) - len(strings.TrimLeft(text, " "))
	var b strings.Builder
	column, gap := at, ""
	for word := range strings.SplitSeq(text, " ") {
		switch wide := columns(word); {
		case word == "": // one of several spaces
		case column+len(gap)+wide > p.style.Width && strings.TrimSpace(b.String()) != "":
			b.WriteString("\n" + strings.Repeat(" ", below) + word)
			column, gap = below+wide, ""
		default:
			b.WriteString(gap + word)
			column, gap = column+len(gap)+wide, ""
		}
		gap += " "
	}
	return b.String()
}

// columns is how wide text is on a terminal, its colours aside.
func columns(text string) int {
	n, code := 0, false
	for _, r := range text {
		switch {
		case r == '\x1b':
			code = true
		case code:
			code = r != 'm'
		default:
			n++
		}
	}
	return n
}

// SummaryLine is the counts of a plan in Terraform's words, with how much of the changes is live.
func SummaryLine(s plan.Summary) string {
	var parts []string
	if s.Import > 0 {
		parts = append(parts, fmt.Sprintf("%d to import", s.Import))
	}
	parts = append(parts, fmt.Sprintf("%d to add", s.Add))
	change := fmt.Sprintf("%d to change", s.Change)
	var kinds []string
	if s.Live > 0 {
		kinds = append(kinds, fmt.Sprintf("%d live", s.Live))
	}
	if s.Restart > 0 {
		kinds = append(kinds, fmt.Sprintf("%d restart", s.Restart))
	}
	if len(kinds) > 0 {
		change += " (" + strings.Join(kinds, ", ") + ")"
	}
	parts = append(parts, change, fmt.Sprintf("%d to destroy", s.Remove))
	if s.Forget > 0 {
		parts = append(parts, fmt.Sprintf("%d to let go of", s.Forget))
	}
	return strings.Join(parts, ", ") + "."
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func isAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

func addrs(list []schema.Addr) string {
	const most = 10
	var names []string
	for n, addr := range list {
		if n == most {
			names = append(names, fmt.Sprintf("and %d more", len(list)-most))
			break
		}
		names = append(names, addr.String())
	}
	return strings.Join(names, ", ")
}
