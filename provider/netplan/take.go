package netplan

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/labctl/labctl/provider"
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
	own := t.own(lab)
	e := own.entry(have.ID)
	if e == nil || e.mark.Lab != lab {
		return nil // it was let go of before
	}
	free := &file{path: path.Join(path.Dir(own.path), "90-"+have.ID+suffix), entries: []entry{{name: e.name, stanza: e.stanza}}}
	rest := &file{path: own.path, text: own.text, rest: own.rest, entries: slices.DeleteFunc(slices.Clone(own.entries),
		func(o entry) bool { return o.name == e.name })}
	configured := func(link string) bool { return t.configured(lab, link) }
	if err := provider.Step(ctx, "write "+path.Base(free.path)); err != nil {
		return err
	}
	if err := p.write(ctx, "# A bridge that a labctl lab has let go of: it is nobody's.\n", free, configured); err != nil {
		return failed(err)
	}
	if err := provider.Step(ctx, "write "+path.Base(own.path)); err != nil {
		return err
	}
	if err := p.write(ctx, heading(lab), rest, configured); err != nil {
		return failed(err)
	}
	if err := p.runGenerate(ctx); err != nil {
		return failed(err)
	}
	return nil
}

func (p *Provider) write(ctx context.Context, heading string, f *file, configured func(string) bool) error {
	text, err := render(heading, f, configured)
	if err != nil {
		return err
	}
	return p.put(ctx, f.path, text)
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
	f, sources, err := t.taken(lab, &want, view)
	if err != nil {
		return failed(err)
	}
	if f == nil {
		return nil
	}
	f.path = p.ownPath(lab)
	if err := provider.Step(ctx, "write "+path.Base(f.path)); err != nil {
		return err
	}
	if err := p.write(ctx, heading(lab), f, func(link string) bool { return t.configured(lab, link) }); err != nil {
		return failed(err)
	}
	for _, source := range sources {
		if err := provider.Step(ctx, "write "+path.Base(source.path)); err != nil {
			return err
		}
		if err := p.put(ctx, source.path, without(source.text, id)); err != nil {
			return failed(err)
		}
	}
	if err := p.runGenerate(ctx); err != nil {
		for _, old := range sources {
			err = errors.Join(err, p.put(ctx, old.path, old.text))
		}
		return failed(errors.Join(err, p.put(ctx, f.path, f.text), p.runGenerate(ctx)))
	}
	if err := p.reload(ctx, t, nil); err != nil {
		return failed(err)
	}
	return nil
}

// taken is the lab's file with the imported bridge in it, and the files to take it out of; a nil file where nothing is to do.
func (t *tree) taken(lab string, want *schema.Resource, view *View) (*file, []*file, error) {
	body := want.Body.(*schema.Bridge)
	sources := t.others(lab, body.Name)
	for _, source := range sources {
		if mark := source.entry(body.Name).mark; mark.Lab != "" {
			return nil, nil, fmt.Errorf("%s is %s of the lab %s: it %w", body.Name, mark.Addr, mark.Lab, provider.ErrForeign)
		}
	}
	own := t.own(lab)
	if own == nil {
		own = &file{}
	}
	stanza := t.merged(body.Name)
	if e := own.entry(body.Name); e != nil && e.mark.Lab == lab {
		if len(sources) == 0 {
			return nil, nil, nil
		}
		stanza = e.stanza // an earlier import stopped halfway: the lab has it all already
	}
	if stanza == nil {
		link := view.Links[body.Name]
		if link == nil || link.Kind != "bridge" {
			return nil, nil, fmt.Errorf("the host has no bridge %s", body.Name)
		}
		now := schema.Bridge{Name: body.Name}
		overlay(&now, body, view)
		stanza = encode(&now)
	}
	mark := provider.MarkOf(lab, want)
	entries := slices.DeleteFunc(slices.Clone(own.entries), func(e entry) bool { return e.name == body.Name })
	entries = append(entries, entry{name: body.Name, mark: mark, stanza: stanza})
	return &file{text: own.text, rest: own.rest, entries: entries}, sources, nil
}

// without is a netplan file's text without a bridge's stanza; nil where nothing but the version is left of it. What stands
// elsewhere in it, comments too, is kept.
func without(text []byte, bridge string) []byte {
	parsed, err := parser.ParseBytes(text, parser.ParseComments)
	if err != nil {
		return text
	}
	left := 0
	for _, doc := range parsed.Docs {
		for _, network := range values(doc.Body) {
			sections, isMapping := network.Value.(*ast.MappingNode)
			if keyOf(network) != "network" || !isMapping {
				left++
				continue
			}
			for _, section := range sections.Values {
				if bridges, ok := section.Value.(*ast.MappingNode); ok && keyOf(section) == "bridges" {
					bridges.Values = slices.DeleteFunc(bridges.Values, func(v *ast.MappingValueNode) bool { return keyOf(v) == bridge })
				}
			}
			sections.Values = slices.DeleteFunc(sections.Values, func(v *ast.MappingValueNode) bool {
				bridges, ok := v.Value.(*ast.MappingNode)
				return ok && keyOf(v) == "bridges" && len(bridges.Values) == 0
			})
			for _, section := range sections.Values {
				if keyOf(section) != "version" {
					left++
				}
			}
		}
	}
	if left == 0 {
		return nil
	}
	return []byte(parsed.String() + "\n")
}
