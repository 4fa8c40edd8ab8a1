package nftables

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/labctl/labctl/internal/nft"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// Apply implements provider.Provider. The tables are changed in one transaction: those that differ are made anew, those
// that are no longer declared go, all others stay as they are, with their counters.
func (p *Provider) Apply(ctx context.Context, lab string, c provider.Change) error {
	p.turn.Lock()
	defer p.turn.Unlock()
	var err error
	switch c.Action {
	case provider.NoOp:
		return nil
	case provider.Forget:
		return p.forget(ctx, lab, c.Have)
	case provider.Delete:
		err = p.remove(ctx, lab, c.Have.Mark.Addr)
	default:
		err = p.write(ctx, lab, c)
	}
	if err != nil {
		return &provider.Error{Op: "write rules", Addr: c.Addr, Err: err}
	}
	return nil
}

// write makes the declared tables and saves them.
func (p *Provider) write(ctx context.Context, lab string, c provider.Change) error {
	body, ok := c.Want.Body.(*schema.Ruleset)
	if !ok {
		return fmt.Errorf("its body is a %T", c.Want.Body)
	}
	wanted, err := p.canonical(ctx, *body)
	if err != nil {
		return err
	}
	mark := provider.MarkOf(lab, c.Want)
	note, err := comment(mark)
	if err != nil {
		return err
	}
	former := mark.Addr // a moved block's tables bear the old address until now
	if c.Have != nil && c.Have.Owned(lab) {
		former = c.Have.Mark.Addr
	}
	live, listing, err := nft.List(ctx, p.host)
	if err != nil {
		return err
	}
	if found := strangers(live, listing, lab, mark.Addr, wanted); len(found) > 0 {
		return foreign(mark.Addr, found[0].Aux.(aux).holder)
	}
	own := tablesOf(live, lab, former, mark.Addr)
	var gone []string
	for _, t := range own {
		if !slices.ContainsFunc(wanted.tables, func(w nft.Table) bool { return w.ID() == t.ID() }) {
			gone = append(gone, t.ID())
		}
	}
	text := transaction(wanted, note, gone, func(id string) bool { return differs(own, wanted, id, mark) })
	if text != "" {
		if err := provider.Step(ctx, "load rules"); err != nil {
			return err
		}
		if err := nft.Load(ctx, p.host, text); err != nil {
			return err
		}
	}
	if err := p.save(ctx, mark, fileText(mark, wanted, note)); err != nil {
		return err
	}
	if former != mark.Addr {
		if err := p.unsave(ctx, lab, former); err != nil {
			return err
		}
	}
	return p.verify(ctx, lab, mark.Addr, wanted)
}

// differs reports whether a table has to be made anew: it has other rules, or another mark than labctl writes now.
func differs(own []nft.Table, wanted canonical, id string, mark provider.Mark) bool {
	pick := func(tables []nft.Table) []nft.Table {
		return slices.DeleteFunc(slices.Clone(tables), func(t nft.Table) bool { return t.ID() != id })
	}
	have := pick(own)
	if len(have) == 0 || len(details(have, pick(wanted.tables))) > 0 {
		return true
	}
	old, _ := provider.ParseMark(have[0].Comment)
	return old.Addr != mark.Addr || old.PreventDestroy != mark.PreventDestroy
}

// verify reads back: nft has said that all is loaded, and the kernel has to show it.
func (p *Provider) verify(ctx context.Context, lab string, addr schema.Addr, wanted canonical) error {
	live, _, err := nft.List(ctx, p.host)
	if err != nil {
		return err
	}
	if left := details(tablesOf(live, lab, addr), wanted.tables); len(left) > 0 {
		return fmt.Errorf("read back: %s is %v and should be %v (%d differences in all)", left[0].Path, left[0].Old, left[0].New, len(left))
	}
	return nil
}

// tablesOf are the tables that bear lab's mark and one of the addresses.
func tablesOf(live nft.Ruleset, lab string, addrs ...schema.Addr) []nft.Table {
	var tables []nft.Table
	for _, t := range live.Tables {
		if mark, ok := provider.ParseMark(t.Comment); ok && mark.Lab == lab && slices.Contains(addrs, mark.Addr) {
			tables = append(tables, t)
		}
	}
	return tables
}

// transaction is the text that makes the wanted tables which differ and deletes those that are gone. `add` before `delete`
// lets the delete succeed also where no such table is there.
func transaction(wanted canonical, note string, gone []string, differs func(id string) bool) string {
	var b strings.Builder
	for _, id := range gone {
		fmt.Fprintf(&b, "add table %s\ndelete table %s\n", id, id)
	}
	for _, t := range wanted.tables {
		if differs(t.ID()) {
			fmt.Fprintf(&b, "add table %s\ndelete table %s\n%s", t.ID(), t.ID(), wanted.text(t.ID(), note))
		}
	}
	return b.String()
}

// remove deletes the tables, the file and the unit of an address.
func (p *Provider) remove(ctx context.Context, lab string, addr schema.Addr) error {
	live, _, err := nft.List(ctx, p.host)
	if err != nil {
		return err
	}
	var gone []string
	for _, t := range tablesOf(live, lab, addr) {
		gone = append(gone, t.ID())
	}
	if len(gone) > 0 {
		if err := provider.Step(ctx, "delete tables"); err != nil {
			return err
		}
		if err := nft.Load(ctx, p.host, transaction(canonical{}, "", gone, nil)); err != nil {
			return err
		}
	}
	return p.unsave(ctx, lab, addr)
}
