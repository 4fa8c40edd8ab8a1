package view

import (
	"fmt"
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
		for _, c := range doc.Changes {
			p.change(c)
		}
		if doc.Drift {
			p.printf("%s\n", p.paint(bold, fmt.Sprintf("Drift: %s moved since the last apply.", counted(len(doc.Changes), "resource"))))
		} else {
			p.printf("%s %s\n", p.paint(bold, "Plan:"), SummaryLine(doc.Summary))
		}
	case len(doc.Unplanned) > 0:
		p.printf("%s\n", p.paint(bold, "No changes to what could be read."))
	case doc.Destroy:
		p.printf("%s Nothing here is marked as lab %q's.\n", p.paint(bold, "No changes."), doc.Lab)
	default:
		p.printf("%s The live systems are as the lab declares.\n", p.paint(bold+";"+green, "No changes."))
	}
	if n := len(doc.Unplanned); n > 0 {
		p.printf("%s not be read and %s not in this plan: %s\n", counted(n, "resource")+" could", isAre(n), addrs(doc.Unplanned))
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
			parts = append(parts, strings.TrimSpace(p.symbol(m.symbol))+" "+m.text)
		}
	}
	p.printf("labctl will do the following to lab %s (%s):\n\n", p.paint(bold, doc.Lab), strings.Join(parts, ", "))
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
	p.printf("%s %s\n", p.symbol(c.Symbol), heading)
	if c.From != (schema.Addr{}) {
		p.printf("      %s\n", p.paint(dim, "# it was "+c.From.String()))
	}
	if c.Reason != "" {
		p.printf("      %s\n", p.paint(dim, "# "+c.Reason))
	}
	wide := 0
	for _, a := range c.Attributes {
		if len(a.Lines) == 0 {
			wide = max(wide, len(a.Path))
		}
	}
	for _, a := range c.Attributes {
		p.attribute(a, min(wide, 40))
	}
	p.printf("\n")
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

func (p *Printer) attribute(a Attribute, wide int) {
	indent := "      "
	if a.Symbol != "" {
		indent = "    " + p.symbolNarrow(a.Symbol) + " "
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
	p.printf("%s%-*s = %s%s\n", indent, wide, a.Path, text, p.why(a))
}

func (p *Printer) symbolNarrow(symbol string) string {
	return strings.Replace(p.symbol(symbol), "  "+symbol, symbol, 1)
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
		p.printf("          %s\n", p.paint(green, "+ "+l.Text))
	case "-":
		p.printf("          %s\n", p.paint(red, "- "+l.Text))
	case "…":
		p.printf("          %s\n", p.paint(dim, "…"))
	case "":
		p.printf("          %s\n", l.Text)
	default:
		p.printf("            %s\n", l.Text)
	}
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
