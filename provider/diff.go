package provider

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Diff lists the attributes in which two bodies of one type differ, by path in the language's words, in order. Elements
// of a list that carry a name (or, for routes, a destination) are matched by it and not by their place.
func Diff(have, want any) []Detail {
	if reflect.DeepEqual(have, want) {
		return nil // the common case, without the way through JSON
	}
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
	return prune(value)
}

// prune leaves out what is null, and maps of nothing else: it is not there.
func prune(value any) any {
	switch v := value.(type) {
	case map[string]any:
		before := len(v)
		for key, element := range v {
			if v[key] = prune(element); v[key] == nil {
				delete(v, key)
			}
		}
		if len(v) == 0 && before > 0 {
			return nil
		}
	case []any:
		for n := range v {
			v[n] = prune(v[n])
		}
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
		step := JoinPath(path, key)
		diffValue(step, have[key], want[key], out)
	}
}

// JoinPath adds a step to an attribute path: .step, or ["step"] where it is no plain word.
func JoinPath(path, step string) string {
	odd := strings.ContainsFunc(step, func(r rune) bool {
		return r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
	switch {
	case odd || step == "":
		return path + "[" + strconv.Quote(step) + "]"
	case path == "":
		return step
	}
	return path + "." + step
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

// Paths lists every attribute path of a body that Diff could name, each after the one that it is within.
func Paths(body any) []string {
	var list []string
	addPaths("", tree(body), &list)
	return list
}

func addPaths(path string, value any, out *[]string) {
	switch v := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			step := JoinPath(path, key)
			*out = append(*out, step)
			addPaths(step, v[key], out)
		}
	case []any:
		if named, ok := byName(nil, v); ok {
			addPaths(path, named[1], out)
			return
		}
		for n, element := range v {
			step := fmt.Sprintf("%s[%d]", path, n)
			*out = append(*out, step)
			addPaths(step, element, out)
		}
	}
}
