package nft

import "strings"

// statements cuts a listing into one string for each statement: lines that nft wrapped are joined, handles and comment
// lines dropped, spaces outside quotes single. A line that opens a block of the frame ends in "{".
func statements(listing string) []string {
	var out []string
	var joined []string // lines of the statement under way
	depth := 0          // braces open in it
	for line := range strings.Lines(listing) {
		line = stripHandle(strings.TrimSpace(line))
		if len(joined) == 0 {
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			if opensFrame(line) || line == "}" {
				out = append(out, squeeze(line))
				continue
			}
		}
		joined = append(joined, line)
		if depth += openBraces(line); depth <= 0 {
			out = append(out, squeeze(strings.Join(joined, " ")))
			joined, depth = nil, 0
		}
	}
	if len(joined) > 0 {
		out = append(out, squeeze(strings.Join(joined, " ")))
	}
	return out
}

// opensFrame reports whether a line ending in "{" opens a table or an object in one, rather than a wrapped set of elements
// or an anonymous set in a rule.
func opensFrame(line string) bool {
	head, ok := strings.CutSuffix(line, "{")
	if !ok || strings.ContainsAny(head, `{}="@`) {
		return false
	}
	first, _, _ := strings.Cut(line, " ")
	switch first {
	case "table", "chain", "set", "map", "counter", "quota", "limit", "ct", "flowtable", "secmark", "synproxy", "meter":
		return true
	}
	return false
}

// stripHandle takes off what -a adds at the end of a line: ` # handle 7`.
func stripHandle(line string) string {
	at := strings.LastIndex(line, "# handle ")
	if at < 0 || strings.Trim(line[at+len("# handle "):], "0123456789") != "" {
		return line
	}
	return strings.TrimSpace(line[:at])
}

// openBraces counts how many more braces are opened than closed outside quotes. nft ends every quote on its line.
func openBraces(line string) int {
	depth, quoted := 0, false
	for _, c := range line {
		switch {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{':
			depth++
		case c == '}':
			depth--
		}
	}
	return depth
}

// squeeze makes each run of spaces and tabs outside quotes one space.
func squeeze(line string) string {
	var b strings.Builder
	quoted, space := false, false
	for _, c := range line {
		if c == '"' {
			quoted = !quoted
		}
		if !quoted && (c == ' ' || c == '\t') {
			space = true
			continue
		}
		if space && b.Len() > 0 {
			b.WriteByte(' ')
		}
		space = false
		b.WriteRune(c)
	}
	return b.String()
}

// splitTop splits at the commas that are in no quotes, braces or brackets.
func splitTop(text string) []string {
	var parts []string
	depth, quoted, start := 0, false, 0
	for i, c := range text {
		switch {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '(' || c == '[':
			depth++
		case c == '}' || c == ')' || c == ']':
			depth--
		case c == ',' && depth == 0:
			parts = append(parts, strings.TrimSpace(text[start:i]))
			start = i + 1
		}
	}
	if last := strings.TrimSpace(text[start:]); last != "" {
		parts = append(parts, last)
	}
	return parts
}
