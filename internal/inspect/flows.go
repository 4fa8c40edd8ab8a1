package inspect

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/labctl/labctl/internal/natflow"
)

// Flows writes tracked connections as a table, one a line: between whom, and as whom they travel on.
func (s Style) Flows(w io.Writer, entries []natflow.Entry) error {
	if len(entries) == 0 {
		_, err := fmt.Fprintln(w, "No connections are tracked.")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "PROTO\tSTATE\tLIVES\tFROM\tTO\tTRANSLATED")
	for _, e := range entries {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", e.Protocol, state(e), lives(e.Seconds), end(e.From), end(e.To), translated(e))
	}
	return table.Flush()
}

// state tells how far a connection is: TCP's own word, and otherwise whether an answer has come.
func state(e natflow.Entry) string {
	word := strings.ToLower(e.State)
	if word == "" {
		word = "answered"
	}
	switch {
	case !e.Replied && e.State == "":
		return "no answer"
	case !e.Replied:
		return word + ", no answer"
	}
	return word
}

func lives(seconds uint32) string {
	return (time.Duration(seconds) * time.Second).String()
}

func end(a netip.AddrPort) string {
	if a.Port() == 0 {
		return a.Addr().String()
	}
	return a.String()
}

// translated tells what NAT makes of a connection; "-" where it leaves it as it is.
func translated(e natflow.Entry) string {
	var parts []string
	if e.ReplyTo != e.From && (e.SourceNAT || e.ReplyTo.Addr() != e.From.Addr()) {
		parts = append(parts, "from "+end(e.ReplyTo))
	}
	if e.ReplyFrom != e.To && (e.DestNAT || e.ReplyFrom.Addr() != e.To.Addr()) {
		parts = append(parts, "to "+end(e.ReplyFrom))
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

// Line is one connection in words, for a sentence about it.
func Line(e natflow.Entry) string {
	text := fmt.Sprintf("%s %s → %s", e.Protocol, end(e.From), end(e.To))
	if t := translated(e); t != "-" {
		text += ", sent on " + t
	}
	return text + ", " + state(e)
}
