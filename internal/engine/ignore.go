package engine

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// ignore is the wanted body with the live values at the paths that the lab does not care about. A path that is in
// neither body ignores nothing: of a vm's paths some belong to the machine and some to its guest.
func ignore(typ string, want, have any, paths []string) (any, error) {
	for _, path := range paths {
		if path == "all" {
			return have, nil
		}
	}
	wantTree, err := jsonBody(want)
	if err != nil {
		return nil, err
	}
	haveTree, err := jsonBody(have)
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		wantTree = carry(wantTree, haveTree, splitPath(path))
	}
	text, err := json.Marshal(wantTree)
	if err != nil {
		return nil, err
	}
	body, err := schema.NewBody(typ)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, body); err != nil {
		return nil, fmt.Errorf("carry live values over: %w", err)
	}
	if domain, ok := body.(*schema.Domain); ok {
		domain.Seed = want.(*schema.Domain).Seed
	}
	return body, nil
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
		if name, named := provider.ElementName(element); named && name == step {
			return n
		}
	}
	if n, err := strconv.Atoi(step); err == nil && n < len(list) {
		return n
	}
	return -1
}

// splitPath takes an attribute path apart: interface.eth0.addresses, interface["eth0"].addresses, addresses[0].
func splitPath(path string) []string {
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

// withoutSensitive is a body with the values at the paths left out, to be saved and shown.
func withoutSensitive(body any, paths []string) any {
	if len(paths) == 0 {
		return body
	}
	tree, err := jsonBody(body)
	if err != nil {
		return nil
	}
	for _, path := range paths {
		if path == "all" {
			return nil
		}
		tree = carry(tree, nil, splitPath(path))
	}
	return tree
}
