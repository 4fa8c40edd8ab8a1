package argv

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/mitchellh/go-wordwrap"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// widest is how wide help is at most: longer lines are hard to read.
const widest = 100

// ShowHelp makes the help of root and of every command below it labctl's own: flags as Terraform's users type them,
// commands in their groups, and text that fits the terminal. width is how many columns a writer has.
func ShowHelp(root *cobra.Command, width func(io.Writer) int) {
	show := func(cmd *cobra.Command) {
		out := cmd.OutOrStdout()
		h := help{cmd: cmd, width: min(width(out), widest)}
		h.write()
		_, _ = io.WriteString(out, h.text.String()) // a reader that has gone away has read enough
	}
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { show(cmd) })
	root.SetUsageFunc(func(cmd *cobra.Command) error { show(cmd); return nil })
}

// help is the help of one command while it is written.
type help struct {
	cmd   *cobra.Command
	width int
	text  strings.Builder
}

func (h *help) write() {
	about := h.cmd.Long
	if about == "" {
		about = h.cmd.Short + "."
	}
	h.text.WriteString(h.flow(about))
	h.section("Usage")
	fmt.Fprintf(&h.text, "  %s\n", h.usage())
	if h.cmd.Example != "" {
		h.section("Examples")
		for line := range strings.Lines(h.cmd.Example) {
			fmt.Fprintf(&h.text, "  %s\n", strings.TrimSpace(line))
		}
	}
	h.commands()
	h.flags("Flags", h.cmd.LocalNonPersistentFlags(), h.ownPersistent())
	h.shared()
	if h.cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&h.text, "\n'%s COMMAND -help' tells more about a command.\n", h.cmd.CommandPath())
	}
}

// usage is the command with its arguments; flags stand where they must.
func (h *help) usage() string {
	if h.cmd.HasAvailableSubCommands() {
		return h.cmd.CommandPath() + " COMMAND"
	}
	line := h.cmd.CommandPath() + strings.TrimPrefix(h.cmd.Use, h.cmd.Name())
	if !strings.Contains(line, "[flags]") && h.cmd.HasAvailableLocalFlags() {
		line += " [flags]"
	}
	return line
}

func (h *help) section(title string) { fmt.Fprintf(&h.text, "\n%s:\n", title) }

// ownPersistent is the flags that the commands below share; of those of root every command tells by itself.
func (h *help) ownPersistent() *pflag.FlagSet {
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	for c := h.cmd; c != nil && c.HasParent(); c = c.Parent() {
		c.PersistentFlags().VisitAll(set.AddFlag)
	}
	return set
}

// commands lists those below, by their groups in the order in which they were added.
func (h *help) commands() {
	list := slices.DeleteFunc(slices.Clone(h.cmd.Commands()), func(c *cobra.Command) bool { return !c.IsAvailableCommand() && c.Name() != "help" })
	if len(list) == 0 {
		return
	}
	rows := func(title, group string) {
		var part [][2]string
		for _, c := range list {
			if c.GroupID == group {
				part = append(part, [2]string{c.Name(), c.Short})
			}
		}
		h.table(title, part)
	}
	for _, g := range h.cmd.Groups() {
		rows(g.Title, g.ID)
	}
	if len(h.cmd.Groups()) == 0 {
		rows("Commands", "")
	} else {
		rows("Beside these", "")
	}
}

// shared tells of the flags of every command: at root what they do, and elsewhere that they are there.
func (h *help) shared() {
	const title = "Flags of every command"
	set := h.cmd.Root().PersistentFlags()
	if !h.cmd.HasParent() {
		h.flags(title, set)
		return
	}
	var names []string
	set.VisitAll(func(f *pflag.Flag) { names = append(names, spelt(f)) })
	if len(names) > 0 {
		words := fmt.Sprintf("%s: %s. '%s -help' tells what they do.", title, strings.Join(names, ", "), h.cmd.Root().Name())
		h.text.WriteString("\n" + h.flow(words))
	}
}

// flags lists the flags of sets that are not hidden.
func (h *help) flags(title string, sets ...*pflag.FlagSet) {
	var rows [][2]string
	seen := map[string]bool{}
	for _, set := range sets {
		set.VisitAll(func(f *pflag.Flag) {
			if f.Hidden || f.Name == "help" || seen[f.Name] {
				return
			}
			seen[f.Name] = true
			rows = append(rows, [2]string{spelt(f), meaning(f)})
		})
	}
	h.table(title, rows)
}

// spelt is a flag as it is typed, with the name of its value.
func spelt(f *pflag.Flag) string {
	value, _ := pflag.UnquoteUsage(f)
	name := "-" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand + ", " + name
	}
	if f.Value.Type() == "bool" {
		return name
	}
	switch value {
	case "string", "stringArray", "strings":
		value = "TEXT"
	case "duration":
		value = "TIME"
	case "int", "uint16", "uint":
		value = "N"
	}
	return name + "=" + value
}

// meaning is what a flag does, and what holds without it where that is worth a word.
func meaning(f *pflag.Flag) string {
	_, usage := pflag.UnquoteUsage(f)
	if f.Value.Type() == "duration" && f.DefValue != "0s" {
		short := strings.TrimSuffix(f.DefValue, "0s")
		if !strings.HasSuffix(short, "m") {
			short = f.DefValue
		}
		usage += " (default: " + short + ")"
	}
	return usage
}

// table writes rows of a name and its meaning, which goes on under itself.
func (h *help) table(title string, rows [][2]string) {
	if len(rows) == 0 {
		return
	}
	h.section(title)
	const most = 24 // a longer name has its meaning below it
	column := 0
	for _, r := range rows {
		if n := len([]rune(r[0])); n <= most {
			column = max(column, n)
		}
	}
	margin := strings.Repeat(" ", column+5)
	for _, r := range rows {
		name := "  " + r[0] + strings.Repeat(" ", max(column-len([]rune(r[0])), 0)) + "   "
		if len([]rune(r[0])) > column {
			name = "  " + r[0] + "\n" + margin
		}
		words := wordwrap.WrapString(r[1], uint(max(h.width-len(margin), 20)))
		h.text.WriteString(name + strings.ReplaceAll(words, "\n", "\n"+margin) + "\n")
	}
}

// flow fills paragraphs anew; what is indented stays as it is.
func (h *help) flow(text string) string {
	var parts []string
	for part := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		if !strings.HasPrefix(part, " ") {
			part = wordwrap.WrapString(strings.Join(strings.Fields(part), " "), uint(h.width))
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "\n\n") + "\n"
}
