package provider

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Diff lists the attributes in which two bodies of one type differ, by path in the language's words, in order. Elements
// of a list that carry a name (or, for routes, a destination) are matched by it and not by their place.
func Diff(have, want any) []Detail {
	var details []Detail
	diffValue("", tree(have), tree(want), &details)
	return details
}

// tree is the value as JSON decodes it: maps, slices, strings, numbers, booleans.
func tree(body any) any {
	text, err := json.Marshal(body)
	if err != nil {
		panic("provider: a body that is not JSON: " + err.Error())
	}
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		panic("provider: " + err.Error())
	}
	return value
}

func diffValue(path string, have, want any, out *[]Detail) {
	if reflect.DeepEqual(have, want) {
		return
	}
	haveMap, haveIsMap := have.(map[string]any)
	wantMap, wantIsMap := want.(map[string]any)
	if haveIsMap && wantIsMap {
		diffMaps(path, haveMap, wantMap, out)
		return
	}
	if named, ok := byName(have, want); ok {
		diffMaps(path, named[0], named[1], out)
		return
	}
	*out = append(*out, Detail{Path: path, Old: have, New: want})
}

func diffMaps(path string, have, want map[string]any, out *[]Detail) {
	var keys []string
	for key := range have {
		keys = append(keys, key)
	}
	for key := range want {
		if _, both := have[key]; !both {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		step := key
		if path != "" {
			step = path + "." + key
			if strings.ContainsAny(key, "./: ") {
				step = fmt.Sprintf("%s[%q]", path, key)
			}
		}
		diffValue(step, have[key], want[key], out)
	}
}

// byName turns two lists of named elements into maps by name; ok is false where they are not such lists.
func byName(have, want any) (maps [2]map[string]any, ok bool) {
	for i, side := range []any{have, want} {
		maps[i] = map[string]any{}
		list, isList := side.([]any)
		if side != nil && !isList {
			return maps, false
		}
		for _, element := range list {
			name, named := ElementName(element)
			if _, twice := maps[i][name]; !named || twice {
				return maps, false
			}
			maps[i][name] = element
		}
	}
	return maps, len(maps[0])+len(maps[1]) > 0
}

// ElementName is what a list element is matched by: its name, its path, or a route's destination with its table.
func ElementName(element any) (string, bool) {
	object, isObject := element.(map[string]any)
	if !isObject {
		return "", false
	}
	for _, key := range []string{"name", "path"} {
		if name, ok := object[key].(string); ok {
			return name, true
		}
	}
	to, ok := object["to"].(string)
	if table, declared := object["table"]; ok && declared {
		to += fmt.Sprintf(" table %v", table)
	}
	return to, ok
}
