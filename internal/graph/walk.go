package graph

import (
	"container/heap"
	"context"
	"errors"
)

// ErrStopped is the Err of nodes that were not begun because the walk was told to stop.
var ErrStopped = errors.New("not begun: stopped")

// Options is how wide a walk goes.
type Options[K comparable] struct {
	Parallel int            // nodes at once; under 1 is 1
	Class    func(K) string // what a node's limit is named; nil puts all in one class
	Limits   map[string]int // nodes at once, by class; a class that is not named has no limit of its own
	// Stop, when closed, keeps further nodes from being begun; those under way go on to their end.
	Stop <-chan struct{}
}

// Result is how a node of a walk ended.
type Result[K comparable] struct {
	Key     K
	Err     error
	Skipped bool // it was not begun: Cause failed, or Err is ErrStopped or the context's error
	Cause   K    // the failed node that it waits for, near or far
}

// Walk runs do once for each node, after all that it waits for, and as wide as the options allow; those on which the
// longest chain waits go first. A node that fails stops only what waits for it. When ctx is done no further node is
// begun. It returns once every node that was begun has ended, with a result for each node in order of their ends, or a
// *CycleError before anything is begun.
func (g *Graph[K]) Walk(ctx context.Context, opts Options[K], do func(context.Context, K) error) ([]Result[K], error) {
	sorted, err := g.order()
	if err != nil {
		return nil, err
	}
	w := &walk[K]{
		g: g, opts: opts, waits: make([]int, len(g.keys)), spoiled: make([]int, len(g.keys)),
		classes: map[string]*class{}, ends: make(chan end), height: g.heights(sorted),
	}
	for i := range g.keys {
		w.waits[i] = len(g.needs[i])
		w.spoiled[i] = -1
	}
	for i := range g.keys {
		if w.waits[i] == 0 {
			w.push(i)
		}
	}
	w.run(ctx, do)
	return w.results, nil
}

// heights is, by node, the length of the longest chain that waits for it.
func (g *Graph[K]) heights(sorted []int) []int {
	height := make([]int, len(g.keys))
	for n := len(sorted) - 1; n >= 0; n-- {
		i := sorted[n]
		for _, need := range g.needs[i] {
			height[need] = max(height[need], height[i]+1)
		}
	}
	return height
}

type end struct {
	node int
	err  error
}

// walk is the state of one Walk; only the goroutine that called it touches it.
type walk[K comparable] struct {
	g       *Graph[K]
	opts    Options[K]
	waits   []int // by node: how many of its needs have not ended
	spoiled []int // by node: a failed node that it waits for, or -1
	height  []int
	classes map[string]*class
	running int
	ends    chan end
	results []Result[K]
}

// class is the nodes of one limit: those that are ready, highest first, and how many run.
type class struct {
	ready   ready
	running int
	limit   int // 0: none
}

func (w *walk[K]) class(i int) *class {
	name := ""
	if w.opts.Class != nil {
		name = w.opts.Class(w.g.keys[i])
	}
	c := w.classes[name]
	if c == nil {
		c = &class{limit: w.opts.Limits[name], ready: ready{height: w.height}}
		w.classes[name] = c
	}
	return c
}

func (w *walk[K]) push(i int) { heap.Push(&w.class(i).ready, i) }

// pop takes the most urgent node that may run now, or -1.
func (w *walk[K]) pop() int {
	var best *class
	for _, c := range w.classes {
		if c.ready.Len() == 0 || c.limit > 0 && c.running >= c.limit {
			continue
		}
		if best == nil || c.ready.before(c.ready.nodes[0], best.ready.nodes[0]) {
			best = c
		}
	}
	if best == nil {
		return -1
	}
	best.running++
	return heap.Pop(&best.ready).(int)
}

func (w *walk[K]) run(ctx context.Context, do func(context.Context, K) error) {
	stop := w.opts.Stop
	stopped := false
	for len(w.results) < len(w.g.keys) {
		select { // a stop that is already there wins over beginning more
		case <-stop:
			stopped, stop = true, nil
		default:
		}
		for !stopped && ctx.Err() == nil && w.running < max(w.opts.Parallel, 1) {
			i := w.pop()
			if i < 0 {
				break
			}
			w.running++
			go func() { w.ends <- end{i, do(ctx, w.g.keys[i])} }()
		}
		if w.running == 0 {
			w.abandon(ctx)
			return
		}
		select {
		case <-stop:
			stopped, stop = true, nil
		case e := <-w.ends:
			w.running--
			w.class(e.node).running--
			w.finish(e.node, e.err)
		}
	}
}

// finish records a node's end and makes ready, or skips, what waited for it.
func (w *walk[K]) finish(i int, err error) {
	w.results = append(w.results, Result[K]{Key: w.g.keys[i], Err: err})
	failed := -1
	if err != nil {
		failed = i
	}
	w.release(i, failed)
}

func (w *walk[K]) release(i, failed int) {
	type freed struct{ node, failed int }
	queue := []freed{{i, failed}}
	for len(queue) > 0 {
		from := queue[0]
		queue = queue[1:]
		for _, next := range w.g.frees[from.node] {
			w.waits[next]--
			if from.failed >= 0 && w.spoiled[next] < 0 {
				w.spoiled[next] = from.failed
			}
			if w.waits[next] > 0 {
				continue
			}
			if w.spoiled[next] < 0 {
				w.push(next)
				continue
			}
			cause := w.g.keys[w.spoiled[next]]
			w.results = append(w.results, Result[K]{Key: w.g.keys[next], Skipped: true, Cause: cause})
			queue = append(queue, freed{next, w.spoiled[next]})
		}
	}
}

// abandon gives a result to every node that was never begun.
func (w *walk[K]) abandon(ctx context.Context) {
	why := ctx.Err()
	if why == nil {
		why = ErrStopped
	}
	ended := make([]bool, len(w.g.keys))
	for _, r := range w.results {
		ended[w.g.index[r.Key]] = true
	}
	for i, key := range w.g.keys {
		if !ended[i] {
			w.results = append(w.results, Result[K]{Key: key, Err: why, Skipped: true})
		}
	}
}

// ready is a heap of nodes: the highest first, then in the order in which they were added.
type ready struct {
	nodes  []int
	height []int
}

func (r *ready) before(i, j int) bool {
	if r.height[i] != r.height[j] {
		return r.height[i] > r.height[j]
	}
	return i < j
}
func (r *ready) Len() int           { return len(r.nodes) }
func (r *ready) Less(i, j int) bool { return r.before(r.nodes[i], r.nodes[j]) }
func (r *ready) Swap(i, j int)      { r.nodes[i], r.nodes[j] = r.nodes[j], r.nodes[i] }
func (r *ready) Push(x any)         { r.nodes = append(r.nodes, x.(int)) }
func (r *ready) Pop() any {
	last := r.nodes[len(r.nodes)-1]
	r.nodes = r.nodes[:len(r.nodes)-1]
	return last
}
