package netplan

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/netplan/link"
	"github.com/labctl/labctl/provider/netplan/tree"
	"github.com/labctl/labctl/schema"
)

// Forget implements provider.Forgetter. The bridge's stanza moves unchanged, but for the mark, into a file of its own that
// is nobody's: what netplan makes of it stays the same, and a lab's file never holds what is not the lab's.
func (p *Provider) Forget(ctx context.Context, lab string, have provider.Object) error {
	p.turn.Lock()
	defer p.turn.Unlock()
	failed := func(err error) error { return &provider.Error{Op: "forget bridge", Addr: have.Addr, Err: err} }
	t, _, err := p.observe(ctx)
	if err != nil {
		return err
	}
	own := t.Own(lab)
	e := own.Entry(have.ID)
	if e == nil || e.Mark.Lab != lab {
		return nil // it was let go of before
	}
	free := &tree.File{Path: path.Join(path.Dir(own.Path), "90-"+have.ID+".yaml"), Entries: []tree.Entry{{Name: e.Name, Stanza: e.Stanza}}}
	rest := &tree.File{Path: own.Path, Text: own.Text, Rest: own.Rest, Entries: slices.DeleteFunc(slices.Clone(own.Entries),
		func(o tree.Entry) bool { return o.Name == e.Name })}
	configured := func(link string) bool { return t.Configured(link, tree.Base(lab)) }
	if err := provider.Step(ctx, "write "+path.Base(free.Path)); err != nil {
		return err
	}
	if err := p.write(ctx, "# A bridge that a labctl lab has let go of: it is nobody's.\n", free, configured); err != nil {
		return failed(err)
	}
	if err := provider.Step(ctx, "write "+path.Base(own.Path)); err != nil {
		return err
	}
	if err := p.write(ctx, tree.Heading(lab), rest, configured); err != nil {
		return failed(err)
	}
	if err := p.runGenerate(ctx); err != nil {
		return failed(err)
	}
	return nil
}

func (p *Provider) write(ctx context.Context, heading string, f *tree.File, configured func(string) bool) error {
	text, err := tree.Render(heading, f, configured)
	if err != nil {
		return err
	}
	return p.put(ctx, f.Path, text)
}

// Import implements provider.Importer. A bridge of other netplan files has its stanza moved from them into the lab's file;
// one that only the kernel knows gets a stanza that says what it is now. Neither changes the bridge itself.
func (p *Provider) Import(ctx context.Context, lab string, want schema.Resource, id string) error {
	p.turn.Lock()
	defer p.turn.Unlock()
	failed := func(err error) error { return &provider.Error{Op: "import bridge", Addr: want.Addr, Err: err} }
	body, ok := want.Body.(*schema.Bridge)
	if !ok || body.Name != id {
		return &provider.Error{Op: "import bridge", Addr: want.Addr, Path: "name", Err: fmt.Errorf("it cannot rename %s", id),
			Hint: fmt.Sprintf("declare it with name = %q first", id)}
	}
	t, view, err := p.observe(ctx)
	if err != nil {
		return err
	}
	f, sources, err := taken(t, lab, &want, view)
	if err != nil {
		return failed(err)
	}
	if f == nil {
		return nil
	}
	f.Path = p.ownPath(lab)
	if err := provider.Step(ctx, "write "+path.Base(f.Path)); err != nil {
		return err
	}
	if err := p.write(ctx, tree.Heading(lab), f, func(link string) bool { return t.Configured(link, tree.Base(lab)) }); err != nil {
		return failed(err)
	}
	for _, source := range sources {
		if err := provider.Step(ctx, "write "+path.Base(source.Path)); err != nil {
			return err
		}
		if err := p.put(ctx, source.Path, tree.Without(source.Text, id)); err != nil {
			return failed(err)
		}
	}
	if err := p.runGenerate(ctx); err != nil {
		for _, old := range sources {
			err = errors.Join(err, p.put(ctx, old.Path, old.Text))
		}
		return failed(errors.Join(err, p.put(ctx, f.Path, f.Text), p.runGenerate(ctx)))
	}
	if err := p.reload(ctx, t, nil); err != nil {
		return failed(err)
	}
	return nil
}

// taken is the lab's file with the imported bridge in it, and the files to take it out of; a nil file where nothing is to do.
func taken(t *tree.Tree, lab string, want *schema.Resource, view *link.View) (*tree.File, []*tree.File, error) {
	body := want.Body.(*schema.Bridge)
	sources := t.Others(lab, body.Name)
	for _, source := range sources {
		if mark := source.Entry(body.Name).Mark; mark.Lab != "" {
			return nil, nil, fmt.Errorf("%s is %s of the lab %s: it %w", body.Name, mark.Addr, mark.Lab, provider.ErrForeign)
		}
	}
	own := t.Own(lab)
	if own == nil {
		own = &tree.File{}
	}
	stanza := t.Merged(body.Name)
	if e := own.Entry(body.Name); e != nil && e.Mark.Lab == lab {
		if len(sources) == 0 {
			return nil, nil, nil
		}
		stanza = e.Stanza // an earlier import stopped halfway: the lab has it all already
	}
	if stanza == nil {
		if live := view.Links[body.Name]; live == nil || live.Kind != "bridge" {
			return nil, nil, fmt.Errorf("the host has no bridge %s", body.Name)
		}
		now := schema.Bridge{Name: body.Name}
		link.Overlay(&now, body, view)
		stanza = tree.Encode(&now)
	}
	mark := provider.MarkOf(lab, want)
	entries := slices.DeleteFunc(slices.Clone(own.Entries), func(e tree.Entry) bool { return e.Name == body.Name })
	entries = append(entries, tree.Entry{Name: body.Name, Mark: mark, Stanza: stanza})
	return &tree.File{Text: own.Text, Rest: own.Rest, Entries: entries}, sources, nil
}
