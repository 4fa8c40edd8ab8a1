package provider

import (
	"strings"

	"github.com/labctl/labctl/schema"
)

// FileName names what a lab keeps on a machine for the resource at addr, in files and units of systemd alike. What belongs to
// the unlabelled host has the lab's name alone; anything else has the resource's module, name and key behind it.
func FileName(lab string, addr schema.Addr) string {
	name := lab
	for _, part := range []string{addr.Module, addr.Name, addr.Key} {
		if part != "" {
			name += "." + strings.Map(plainRune, part)
		}
	}
	return name
}

// plainRune leaves what file names and unit names (systemd.unit(5)) take without escapes.
func plainRune(r rune) rune {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
		return r
	case r == '"':
		return -1
	}
	return '_'
}
