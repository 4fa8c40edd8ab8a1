package provider

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/labctl/labctl/schema"
)

// CarryPaths is a copy of the body into, a body of the type typ, with from's values at the attribute paths; with a nil from,
// without any. The path "all" takes from whole. A path that is in neither body carries nothing: of a vm's paths some
// belong to the machine and some to its guest.
func CarryPaths(typ string, into, from any, paths []string) (any, error) {
	if from != nil && slices.Contains(paths, "all") {
		return from, nil
	}
	intoTree, fromTree := tree(into), tree(from)
	for _, path := range paths {
		intoTree = carry(intoTree, fromTree, SplitPath(path))
	}
	text, err := json.Marshal(intoTree)
	if err != nil {
		return nil, err
	}
	body, err := schema.NewBody(typ)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, body); err != nil {
		return nil, fmt.Errorf("carry %s over: %w", strings.Join(paths, ", "), err)
	}
	if domain, ok := body.(*schema.Domain); ok {
		domain.Seed = into.(*schema.Domain).Seed
	}
	return body, nil
}

// WithoutPaths is a body as JSON decodes it, with the values at the paths left out: nil for the path "all".
func WithoutPaths(body any, paths []string) any {
	if len(paths) == 0 {
		return body
	}
	if slices.Contains(paths, "all") {
		return nil
	}
	bare := tree(body)
	for _, path := range paths {
		bare = carry(bare, nil, SplitPath(path))
	}
	return bare
}

// WithinPath reports whether an attribute path is outer or lies inside it.
func WithinPath(path, outer string) bool {
	rest, ok := strings.CutPrefix(path, outer)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// carry returns want with have's value at the path.
func carry(want, have any, path []string) any {
	if len(path) == 0 {
		return have
	}
	step := path[0]
	wantMap, isMap := want.(map[string]any)
	haveMap, _ := have.(map[string]any)
	if isMap || want == nil && haveMap != nil {
		value := carry(wantMap[step], haveMap[step], path[1:])
		if wantMap == nil && value == nil {
			return want
		}
		if wantMap == nil {
			wantMap = map[string]any{}
		}
		if value == nil {
			delete(wantMap, step)
		} else {
			wantMap[step] = value
		}
		return wantMap
	}
	return carryList(want, have, path)
}

// carryList is carry where the step is an element of a list, by its name or its place.
func carryList(want, have any, path []string) any {
	wantList, _ := want.([]any)
	haveList, _ := have.([]any)
	w, h := place(wantList, path[0]), place(haveList, path[0])
	var haveElement any
	if h >= 0 {
		haveElement = haveList[h]
	}
	switch {
	case w < 0 && h < 0:
		return want
	case w < 0 && len(path) == 1:
		return append(wantList, haveElement)
	case w < 0:
		return want
	case h < 0 && len(path) == 1:
		return append(wantList[:w:w], wantList[w+1:]...)
	}
	wantList[w] = carry(wantList[w], haveElement, path[1:])
	return wantList
}

func place(list []any, step string) int {
	for n, element := range list {
		if name, named := ElementName(element); named && name == step {
			return n
		}
	}
	if n, err := strconv.Atoi(step); err == nil && n < len(list) {
		return n
	}
	return -1
}

// SplitPath takes an attribute path apart: interface.eth0.addresses, interface["eth0"].addresses, addresses[0].
func SplitPath(path string) []string {
	var steps []string
	for path != "" {
		switch {
		case path[0] == '.':
			path = path[1:]
		case strings.HasPrefix(path, "[\""):
			quoted, err := strconv.QuotedPrefix(path[1:])
			if err != nil {
				return append(steps, path)
			}
			step, _ := strconv.Unquote(quoted)
			steps = append(steps, step)
			path = strings.TrimPrefix(path[1+len(quoted):], "]")
		case path[0] == '[':
			step, rest, _ := strings.Cut(path[1:], "]")
			steps = append(steps, step)
			path = rest
		default:
			end := strings.IndexAny(path, ".[")
			if end < 0 {
				end = len(path)
			}
			steps = append(steps, path[:end])
			path = path[end:]
		}
	}
	return steps
}
