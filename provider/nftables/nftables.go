// Package nftables keeps the nftables rules of a host: the tables that a ruleset of the lab defines, and no other.
//
// The mark of a table is its comment. Tables are compared as nft itself lists them, replaced whole in one transaction where
// they differ, and written to a file from which a systemd unit loads them again after a reboot of the host.
package nftables

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/internal/nft"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// Provider serves resources of type "host.nftables". Make it with New.
type Provider struct {
	host host.Host

	// Root is the folder taken for /, so that tests have a tree of their own. Below it stand etc/labctl/nftables and
	// etc/systemd/system.
	Root string

	turn  sync.Mutex // held while tables are written
	mu    sync.Mutex // guards what follows
	known map[string]canonical
}

// New is a provider for one host.
func New(h host.Host) *Provider {
	return &Provider{host: h, Root: "/", known: map[string]canonical{}}
}

// aux is what Plan and Apply know of an object beside its body.
type aux struct {
	tables    []nft.Table
	holder    string // who has a table of a wanted name, where it is not this lab's
	holderLab string // that one's lab, "" where it is no lab. An object with another mark was adopted by an import
	saved     string // the file from which the tables come back after a reboot, "" where there is none
	path      string // of that file
	unit      bool   // the unit that loads it is there, or there is no systemd to have it
}

// Read implements provider.Provider.
func (p *Provider) Read(ctx context.Context, lab string, want []schema.Resource) ([]provider.Object, error) {
	ruleset, listing, saved, err := p.observe(ctx)
	if err != nil {
		return nil, err
	}
	objects := map[schema.Addr]*provider.Object{}
	var order []schema.Addr
	for _, o := range gather(ruleset, listing, saved) {
		if o.Mark.Lab == lab {
			objects[o.Addr] = &o
			order = append(order, o.Addr)
		}
	}
	var all []provider.Object
	var errs []error
	for _, r := range want {
		body, ok := r.Body.(*schema.Ruleset)
		if !ok {
			continue
		}
		wanted, err := p.canonical(ctx, *body)
		if err != nil {
			errs = append(errs, refusals(r.Addr, *body, err)...)
			continue
		}
		for _, stranger := range strangers(ruleset, listing, lab, r.Addr, wanted) {
			if own := objects[r.Addr]; own != nil {
				known := own.Aux.(aux)
				known.holder = stranger.Aux.(aux).holder
				known.holderLab = lab
				own.Aux = known
				break
			}
			all = append(all, stranger)
		}
	}
	for _, addr := range order {
		all = append(all, *objects[addr])
	}
	return all, errors.Join(errs...)
}

// observe reads the kernel's tables and the files that bring them back.
func (p *Provider) observe(ctx context.Context) (nft.Ruleset, string, []saved, error) {
	ruleset, listing, err := nft.List(ctx, p.host)
	if err != nil {
		return ruleset, "", nil, unreachable("list rules", err)
	}
	files, err := p.readSaved(ctx)
	if err != nil {
		return ruleset, "", nil, unreachable("read saved rules", err)
	}
	return ruleset, listing, files, nil
}

func unreachable(op string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &provider.Error{Op: op, Err: fmt.Errorf("%w: %w", provider.ErrUnreachable, err)}
}

// gather makes one object of all tables and the file that bear the same lab and address.
func gather(ruleset nft.Ruleset, listing string, files []saved) []provider.Object {
	type key struct {
		lab  string
		addr schema.Addr
	}
	byKey := map[key]*provider.Object{}
	var order []key
	object := func(mark provider.Mark) *provider.Object {
		k := key{mark.Lab, mark.Addr}
		if byKey[k] == nil {
			byKey[k] = &provider.Object{Mark: mark, Addr: mark.Addr, Deps: mark.Deps, Aux: aux{}}
			order = append(order, k)
		}
		return byKey[k]
	}
	// The file first: its mark says more than a table's comment has room for.
	for _, f := range files {
		o := object(f.mark)
		o.Aux = aux{saved: f.text, path: f.path, unit: f.unit}
	}
	for _, t := range ruleset.Tables {
		if mark, ok := provider.ParseMark(t.Comment); ok {
			o := object(mark)
			known := o.Aux.(aux)
			known.tables = append(known.tables, t)
			o.Aux = known
		}
	}
	var objects []provider.Object
	for _, k := range order {
		o := byKey[k]
		o.ID, o.Body = describe(o.Aux.(aux).tables, listing)
		objects = append(objects, *o)
	}
	return objects
}

// describe names tables for people and puts them into the schema's form.
func describe(tables []nft.Table, listing string) (string, *schema.Ruleset) {
	slices.SortFunc(tables, func(a, b nft.Table) int { return strings.Compare(a.ID(), b.ID()) })
	var ids []string
	var text strings.Builder
	for _, t := range tables {
		ids = append(ids, t.ID())
		text.WriteString(withComment(nft.TableText(listing, t.ID()), ""))
	}
	return strings.Join(ids, ", "), &schema.Ruleset{Text: text.String()}
}

// strangers are the tables of wanted names that are not marked as the resource's own.
func strangers(ruleset nft.Ruleset, listing, lab string, addr schema.Addr, wanted canonical) []provider.Object {
	var objects []provider.Object
	for _, w := range wanted.tables {
		live := ruleset.Table(w.Family, w.Name)
		if live == nil {
			continue
		}
		mark, marked := provider.ParseMark(live.Comment)
		// Another address of the same lab is what a moved block renames, or an orphan that is about to go.
		if marked && mark.Lab == lab {
			continue
		}
		holder := fmt.Sprintf("table %s is there already, and not by labctl", live.ID())
		if marked {
			holder = fmt.Sprintf("table %s is %s of the lab %s", live.ID(), mark.Addr, mark.Lab)
		}
		_, body := describe([]nft.Table{*live}, listing)
		objects = append(objects, provider.Object{Mark: mark, Addr: addr, ID: live.ID(), Body: body,
			Aux: aux{tables: []nft.Table{*live}, holder: holder, holderLab: mark.Lab}})
	}
	return objects
}

// List implements provider.Lister: the tables of every lab, and those that are nobody's.
func (p *Provider) List(ctx context.Context) ([]provider.Object, error) {
	ruleset, listing, files, err := p.observe(ctx)
	if err != nil {
		return nil, err
	}
	objects := gather(ruleset, listing, files)
	for _, t := range ruleset.Tables {
		if _, marked := provider.ParseMark(t.Comment); !marked {
			id, body := describe([]nft.Table{t}, listing)
			objects = append(objects, provider.Object{ID: id, Body: body, Aux: aux{tables: []nft.Table{t}}})
		}
	}
	return objects, nil
}
