package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// StaleError is that the live systems have moved since a plan was made, so that carrying it out would do what it does
// not show.
type StaleError struct {
	Differences []Difference
}

// Difference is how one address is not as it was read for the plan.
type Difference struct {
	Addr    schema.Addr       `json:"address"`
	What    string            `json:"what"` // one line
	Details []provider.Detail `json:"details,omitempty"`
}

func (e *StaleError) Error() string {
	lines := []string{"the live systems have moved since this plan was made; make a new one"}
	for _, d := range e.Differences {
		lines = append(lines, fmt.Sprintf("%s: %s", d.Addr, d.What))
	}
	return strings.Join(lines, "\n")
}

// Compare holds what was read for a plan, and what it said to do, against a fresh plan of the same lab. It returns nil
// where both say the same.
func Compare(old, fresh *Plan) *StaleError {
	var list []Difference
	now := map[seenKey]Seen{}
	for _, s := range fresh.Seen {
		now[s.key()] = s
	}
	moved := map[schema.Addr]bool{}
	for _, was := range old.Seen {
		is, there := now[was.key()]
		delete(now, was.key())
		if there && is.Fingerprint == was.Fingerprint {
			continue
		}
		moved[was.Addr] = true
		if !there {
			list = append(list, Difference{Addr: was.Addr, What: "it is gone"})
			continue
		}
		d := Difference{Addr: was.Addr, What: "it has changed", Details: provider.Diff(was.Body, is.Body)}
		if len(d.Details) == 0 {
			d.What = "its mark, or a sensitive attribute of it, has changed"
		}
		list = append(list, d)
	}
	for _, s := range fresh.Seen {
		if _, left := now[s.key()]; left {
			moved[s.Addr] = true
			list = append(list, Difference{Addr: s.Addr, What: "it is there now and was not"})
		}
	}
	list = append(list, compareItems(old, fresh, moved)...)
	if len(list) == 0 {
		return nil
	}
	return &StaleError{Differences: list}
}

type seenKey struct {
	addr schema.Addr
	host string
}

func (s Seen) key() seenKey { return seenKey{s.Addr, s.Host} }

// compareItems finds what would be done otherwise although nothing that was read has moved: another version of labctl,
// say, or a guest that answers by now.
func compareItems(old, fresh *Plan, moved map[schema.Addr]bool) []Difference {
	var list []Difference
	now := map[schema.Addr]*Item{}
	for n := range fresh.Items {
		now[fresh.Items[n].Addr] = &fresh.Items[n]
	}
	for n := range old.Items {
		was := &old.Items[n]
		is := now[was.Addr]
		delete(now, was.Addr)
		switch {
		case moved[was.Addr]:
		case is == nil && was.Changes():
			list = append(list, Difference{Addr: was.Addr, What: fmt.Sprintf("the plan says %s; now there is nothing to do", was.Action)})
		case is != nil && is.Action != was.Action:
			list = append(list, Difference{Addr: was.Addr, What: fmt.Sprintf("the plan says %s; now it would be %s", was.Action, is.Action)})
		case is != nil && !sameDetails(was.Details, is.Details):
			list = append(list, Difference{Addr: was.Addr, What: "other attributes would be changed than the plan says", Details: is.Details})
		}
	}
	for n := range fresh.Items {
		item := &fresh.Items[n]
		if now[item.Addr] != nil && item.Changes() && !moved[item.Addr] {
			list = append(list, Difference{Addr: item.Addr, What: fmt.Sprintf("it would be %s now, which the plan does not say", item.Action)})
		}
	}
	return list
}

// sameDetails compares as JSON, since a saved plan's values have been through it, and leaves sensitive values out.
func sameDetails(a, b []provider.Detail) bool {
	if len(a) != len(b) {
		return false
	}
	for n := range a {
		x, y := a[n], b[n]
		if x.Sensitive || y.Sensitive {
			x.Old, x.New, y.Old, y.New = nil, nil, nil, nil
		}
		left, err := json.Marshal(x)
		right, err2 := json.Marshal(y)
		if err != nil || err2 != nil || !bytes.Equal(left, right) {
			return false
		}
	}
	return true
}
