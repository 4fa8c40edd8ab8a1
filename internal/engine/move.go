package engine

import (
	"strings"

	"github.com/labctl/labctl/schema"
)

// moveAll follows the lab's moved blocks, in their order, from the address in a mark to the one that is declared now.
func moveAll(addr schema.Addr, moves []schema.Moved) schema.Addr {
	for _, m := range moves {
		addr = move(addr, m)
	}
	return addr
}

// move carries an address over if the moved block speaks of it, of its block, its part or its module.
func move(addr schema.Addr, m schema.Moved) schema.Addr {
	if !m.From.Contains(addr) {
		return addr
	}
	if m.From.Kind == "" {
		addr.Module = m.To.Module + strings.TrimPrefix(addr.Module, m.From.Module)
		return addr
	}
	if m.From.Key == "" && addr.Key != "" && m.To.Key != "" {
		return addr // of many instances none can become the one
	}
	addr.Module, addr.Kind, addr.Name = m.To.Module, m.To.Kind, m.To.Name
	if m.From.Key != "" || addr.Key == "" {
		addr.Key = m.To.Key
	}
	return addr
}
