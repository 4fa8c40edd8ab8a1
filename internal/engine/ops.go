package engine

import (
	"errors"
	"fmt"

	"github.com/labctl/labctl/internal/graph"
	"github.com/labctl/labctl/internal/plan"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// op is one operation on an address: its making (or changing, or checking), or its deletion. A replacement has both.
type op struct {
	addr   schema.Addr
	delete bool
}

func (o op) String() string { return o.addr.String() }

// edge makes an operation wait for another. A soft one comes from what was read off live objects, or from what is
// only tidy: it gives way where it would close a cycle.
type edge struct {
	op, need op
	soft     bool
}

// operations is the graph of a plan's operations. It fails where the declarations themselves depend on each other.
func (b *builder) operations() (*graph.Graph[op], error) {
	edges := b.edges()
	dropped := map[edge]bool{}
	for {
		g := new(graph.Graph[op])
		for _, addr := range b.order {
			item := b.items[addr]
			if item.Deletes() {
				g.Add(op{addr, true})
			}
			if item.Action != provider.Delete {
				g.Add(op{addr, false})
			}
		}
		for _, e := range edges {
			if !dropped[e] {
				g.Wait(e.op, e.need)
			}
		}
		_, err := g.Order()
		cycle, is := errors.AsType[*graph.CycleError[op]](err)
		if !is {
			return g, err
		}
		if !dropOne(edges, dropped, cycle.Path) {
			return nil, &provider.Error{Op: "order", Addr: cycle.Path[0].addr, Err: err}
		}
	}
}

// dropOne gives up a soft edge of a cycle.
func dropOne(edges []edge, dropped map[edge]bool, path []op) bool {
	for n, from := range path {
		e := edge{from, path[(n+1)%len(path)], true}
		hard := edge{e.op, e.need, false}
		soft, firm := false, false
		for _, known := range edges {
			soft = soft || known == e
			firm = firm || known == hard
		}
		if soft && !firm && !dropped[e] {
			dropped[e] = true
			return true
		}
	}
	return false
}

// edges says what waits for what:
//
//   - a thing is made after all that it depends on is made;
//   - a thing is deleted after all that depends on it, as declared or as read, is deleted or has turned to something else;
//   - of a replacement, the deletion comes first;
//   - a name is freed before another thing takes it.
func (b *builder) edges() []edge {
	var edges []edge
	names := b.freed()
	freeing := map[schema.Addr]bool{}
	for _, addr := range b.order {
		item := b.items[addr]
		if item.Action == provider.Replace {
			edges = append(edges, edge{op{addr, false}, op{addr, true}, false})
		}
		if item.Want == nil {
			continue
		}
		old, taken := names[nameKey{addr.Type(), item.Host, nameOf(item.Want.Body)}]
		if !taken || old.addr == addr {
			continue
		}
		gone := b.items[old.addr].Action == provider.Delete
		edges = append(edges, edge{op{addr, false}, old, !gone})
		freeing[old.addr] = freeing[old.addr] || gone
	}
	for _, addr := range b.order {
		item := b.items[addr]
		forward := b.forward(item)
		for _, dep := range forward {
			if b.action(dep) != provider.Delete {
				edges = append(edges, edge{op{addr, false}, op{dep, false}, false})
			}
		}
		for _, dep := range b.backward(item, forward) {
			below := b.items[dep]
			switch {
			case below == nil || !below.Deletes() || dep == addr:
			case item.Deletes():
				edges = append(edges, edge{op{dep, true}, op{addr, true}, true})
			case below.Action == provider.Delete && !freeing[dep]:
				edges = append(edges, edge{op{dep, true}, op{addr, false}, true})
			}
		}
	}
	return edges
}

// backward is the addresses that must outlive an item: as declared, and as its live object says.
func (b *builder) backward(item *plan.Item, forward []schema.Addr) []schema.Addr {
	deps := append([]schema.Addr(nil), forward...)
	if declared := b.declared[item.Addr]; declared != nil && item.Want == nil { // everything is deleted
		for _, dep := range declared.Deps {
			deps = append(deps, b.expand(dep)...)
		}
	}
	if item.Have == nil {
		return deps
	}
	for _, live := range [][]schema.Addr{item.Have.Deps, item.Have.Mark.Deps} {
		for _, dep := range live {
			deps = append(deps, b.expand(moveAll(dep, b.lab.Moved))...)
		}
	}
	return deps
}

type nameKey struct{ typ, host, name string }

// freed is, by name, the operation that frees the name: a deletion, or a change to another name.
func (b *builder) freed() map[nameKey]op {
	names := map[nameKey]op{}
	for _, addr := range b.order {
		item := b.items[addr]
		if item.Have == nil {
			continue
		}
		name := nameOf(item.Have.Body)
		renamed := item.Want != nil && item.Changes() && nameOf(item.Want.Body) != name
		if name != "" && (item.Deletes() || renamed) {
			names[nameKey{addr.Type(), item.HaveHost, name}] = op{addr, item.Deletes()}
		}
	}
	return names
}

// nameOf is the name that a body claims in its own system; "" where it claims none.
func nameOf(body any) string {
	switch body := body.(type) {
	case *schema.Domain:
		return body.Name
	case *schema.Bridge:
		return body.Name
	case *schema.Network:
		return body.Name
	}
	return ""
}

// finishOrder puts the items in the order of their making; deletions stand where they fall.
func (b *builder) finishOrder(g *graph.Graph[op]) error {
	sorted, err := g.Order()
	if err != nil {
		return fmt.Errorf("order the plan: %w", err)
	}
	seen := map[schema.Addr]bool{}
	for _, o := range sorted {
		item := b.items[o.addr]
		if seen[o.addr] || o.delete && item.Action == provider.Replace {
			continue
		}
		seen[o.addr] = true
		item.Deps = b.backward(item, b.forward(item))
		b.p.Items = append(b.p.Items, *item)
	}
	return nil
}
