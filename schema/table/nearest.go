package table

import (
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// Nearest is the name among candidates that somebody who wrote name most likely meant, or "". How many slips it forgives
// grows with the length: one for up to four letters, then one more for every three.
func Nearest(name string, candidates []string) string {
	limit := 1 + max(0, (len(name)-2)/3)
	best, bestDistance := "", limit+1
	lower := strings.ToLower(name)
	for _, candidate := range slices.Sorted(slices.Values(candidates)) { // in order, so that ties end alike
		if candidate == name {
			continue
		}
		d := distance(lower, strings.ToLower(candidate))
		if d >= len(candidate) || d >= len(name) { // nothing in common
			continue
		}
		if d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	if best == "" {
		best = contained(lower, candidates)
	}
	return best
}

// distance counts slips; two letters that changed places are one.
func distance(a, b string) int {
	d := levenshtein.Distance(a, b, nil)
	if d == 2 && len(a) == len(b) {
		first, last := 0, len(a)-1
		for a[first] == b[first] {
			first++
		}
		for a[last] == b[last] {
			last--
		}
		if last == first+1 && a[first] == b[last] && a[last] == b[first] {
			return 1
		}
	}
	return d
}

// contained finds the one candidate that is a whole part of name, or of which name is one, as address is of addresses_v4.
func contained(name string, candidates []string) string {
	found := ""
	for _, candidate := range candidates {
		if len(name) < 4 || len(candidate) < 4 || candidate == name {
			continue
		}
		if strings.HasPrefix(candidate, name) || strings.HasPrefix(name, candidate) {
			if found != "" {
				return ""
			}
			found = candidate
		}
	}
	return found
}
