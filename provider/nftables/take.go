package nftables

import (
	"context"
	"fmt"
	"strings"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/internal/nft"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// Forget implements provider.Forgetter: the tables lose their comment and keep rules, counters and elements. The saved file
// loses its mark and goes on being loaded.
func (p *Provider) Forget(ctx context.Context, lab string, have provider.Object) error {
	p.turn.Lock()
	defer p.turn.Unlock()
	return p.forget(ctx, lab, &have)
}

func (p *Provider) forget(ctx context.Context, lab string, have *provider.Object) error {
	failed := func(err error) error { return &provider.Error{Op: "forget rules", Addr: have.Addr, Err: err} }
	addr := have.Mark.Addr
	live, _, err := nft.List(ctx, p.host)
	if err != nil {
		return failed(err)
	}
	// The file first: as long as a table is marked, a stopped Forget is taken up again.
	files, err := p.readSaved(ctx)
	if err != nil {
		return failed(err)
	}
	for _, f := range files {
		if f.mark.Lab != lab || f.mark.Addr != addr {
			continue
		}
		if err := provider.Step(ctx, "take the mark off "+f.path); err != nil {
			return err
		}
		text := "# Tables that a labctl lab has let go of: they are nobody's.\n" + withComment(body(f.text), "")
		if err := p.host.WriteFile(ctx, f.path, []byte(text), 0o600); err != nil {
			return failed(err)
		}
	}
	for _, t := range tablesOf(live, lab, addr) {
		if err := p.remark(ctx, t.ID(), ""); err != nil {
			return failed(err)
		}
	}
	return nil
}

// remark gives a table another comment in one transaction. nft has no command for that, so the table is made anew from
// its own listing, which holds the counters' values too.
func (p *Provider) remark(ctx context.Context, id, comment string) error {
	if err := provider.Step(ctx, "mark table "+id); err != nil {
		return err
	}
	family, name, _ := strings.Cut(id, " ")
	out, err := p.host.Run(ctx, host.Cmd("nft", "list", "table", family, name))
	if err != nil {
		return err
	}
	text := fmt.Sprintf("delete table %s\n%s", id, withComment(string(out.Stdout), comment))
	return nft.Load(ctx, p.host, text)
}

// Import implements provider.Importer: the table named id ("inet filter") gets the mark.
func (p *Provider) Import(ctx context.Context, lab string, want schema.Resource, id string) error {
	p.turn.Lock()
	defer p.turn.Unlock()
	failed := func(err error) error { return &provider.Error{Op: "import rules", Addr: want.Addr, Err: err} }
	body, ok := want.Body.(*schema.Ruleset)
	if !ok {
		return failed(fmt.Errorf("its body is a %T", want.Body))
	}
	wanted, err := p.canonical(ctx, *body)
	if err != nil {
		return failed(err)
	}
	family, name, _ := strings.Cut(id, " ")
	if (nft.Ruleset{Tables: wanted.tables}).Table(family, name) == nil {
		return &provider.Error{Op: "import rules", Addr: want.Addr, Err: fmt.Errorf("the ruleset defines no table %s", id),
			Hint: "write the id as family and name, such as \"inet filter\", of a table that the ruleset defines"}
	}
	live, _, err := nft.List(ctx, p.host)
	if err != nil {
		return failed(err)
	}
	table := live.Table(family, name)
	if table == nil {
		return failed(fmt.Errorf("the host has no table %s", id))
	}
	mark := provider.MarkOf(lab, &want)
	if old, marked := provider.ParseMark(table.Comment); marked && (old.Lab != lab || old.Addr != want.Addr) {
		return failed(fmt.Errorf("table %s is %s of the lab %s: it %w", id, old.Addr, old.Lab, provider.ErrForeign))
	}
	note, err := comment(mark)
	if err != nil {
		return failed(err)
	}
	if err := p.remark(ctx, id, note); err != nil {
		return failed(err)
	}
	if err := p.save(ctx, mark, fileText(mark, wanted, note)); err != nil {
		return failed(err)
	}
	return nil
}
