// Package graph orders work: a directed graph whose nodes wait for other nodes, a stable order of it, its cycles named
// by their path, and a walk that runs as many nodes side by side as their dependencies and limits allow.
package graph

import (
	"fmt"
	"strings"
)

// Graph is nodes and what each waits for. The zero Graph is empty and ready to use. It is not safe for concurrent use.
type Graph[K comparable] struct {
	keys   []K
	index  map[K]int
	needs  [][]int // by node: what it waits for
	frees  [][]int // by node: what waits for it
	linked map[[2]int]bool
}

// Add makes sure that a node is there.
func (g *Graph[K]) Add(key K) { g.at(key) }

func (g *Graph[K]) at(key K) int {
	if i, known := g.index[key]; known {
		return i
	}
	if g.index == nil {
		g.index = map[K]int{}
		g.linked = map[[2]int]bool{}
	}
	i := len(g.keys)
	g.index[key] = i
	g.keys = append(g.keys, key)
	g.needs = append(g.needs, nil)
	g.frees = append(g.frees, nil)
	return i
}

// Has reports whether a node is there.
func (g *Graph[K]) Has(key K) bool {
	_, known := g.index[key]
	return known
}

// Len is the number of nodes.
func (g *Graph[K]) Len() int { return len(g.keys) }

// Wait makes key wait for need; both are added where they are not there yet. A node that waits for itself is a cycle.
func (g *Graph[K]) Wait(key, need K) {
	from, to := g.at(key), g.at(need)
	if g.linked[[2]int{from, to}] {
		return
	}
	g.linked[[2]int{from, to}] = true
	g.needs[from] = append(g.needs[from], to)
	g.frees[to] = append(g.frees[to], from)
}

// Needs lists what key waits for itself, in the order in which it was said.
func (g *Graph[K]) Needs(key K) []K {
	i, known := g.index[key]
	if !known {
		return nil
	}
	keys := make([]K, len(g.needs[i]))
	for n, need := range g.needs[i] {
		keys[n] = g.keys[need]
	}
	return keys
}

// CycleError is a set of nodes that wait for each other.
type CycleError[K comparable] struct {
	Path []K // each waits for the next, the last for the first
}

func (e *CycleError[K]) Error() string {
	steps := make([]string, 0, len(e.Path)+1)
	for _, key := range e.Path {
		steps = append(steps, fmt.Sprint(key))
	}
	steps = append(steps, steps[0])
	return "these wait for each other: " + strings.Join(steps, " → ")
}

// Order lists the nodes so that each stands after all that it waits for, and otherwise in the order in which they were
// added. It fails with a *CycleError.
func (g *Graph[K]) Order() ([]K, error) {
	places, err := g.order()
	if err != nil {
		return nil, err
	}
	keys := make([]K, len(places))
	for n, i := range places {
		keys[n] = g.keys[i]
	}
	return keys, nil
}

// order walks in depth with a stack of its own, so that a chain of any length needs no deep recursion.
func (g *Graph[K]) order() ([]int, error) {
	const (
		unseen = iota
		open
		done
	)
	state := make([]uint8, len(g.keys))
	next := make([]int, len(g.keys)) // by node: how many of its needs have been looked at
	sorted := make([]int, 0, len(g.keys))
	var stack []int
	for start := range g.keys {
		if state[start] != unseen {
			continue
		}
		stack = append(stack[:0], start)
		state[start] = open
		for len(stack) > 0 {
			i := stack[len(stack)-1]
			if next[i] == len(g.needs[i]) {
				state[i] = done
				sorted = append(sorted, i)
				stack = stack[:len(stack)-1]
				continue
			}
			need := g.needs[i][next[i]]
			next[i]++
			switch state[need] {
			case unseen:
				state[need] = open
				stack = append(stack, need)
			case open:
				return nil, g.cycle(stack, need)
			}
		}
	}
	return sorted, nil
}

// cycle is the part of the stack from the node that was met again.
func (g *Graph[K]) cycle(stack []int, again int) *CycleError[K] {
	var path []K
	for n := len(stack) - 1; n >= 0; n-- {
		path = append(path, g.keys[stack[n]])
		if stack[n] == again {
			break
		}
	}
	for i, j := 0, len(path)-1; i < j; i, j = i+1, j-1 {
		path[i], path[j] = path[j], path[i]
	}
	return &CycleError[K]{Path: path}
}

// Reach lists key and everything that it waits for, near or far (Forward), or that waits for it (Backward).
func (g *Graph[K]) Reach(dir Direction, keys ...K) map[K]bool {
	edges := g.needs
	if dir == Backward {
		edges = g.frees
	}
	seen := map[K]bool{}
	var stack []int
	push := func(i int) {
		if !seen[g.keys[i]] {
			seen[g.keys[i]] = true
			stack = append(stack, i)
		}
	}
	for _, key := range keys {
		if i, known := g.index[key]; known {
			push(i)
		}
	}
	for len(stack) > 0 {
		i := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		for _, j := range edges[i] {
			push(j)
		}
	}
	return seen
}

// Direction is a way to follow the graph.
type Direction int

// The directions of Reach.
const (
	Forward  Direction = iota // to what a node waits for
	Backward                  // to what waits for a node
)
