// Package netplan makes the bridges of a host: declared in a file of the lab's own below /etc/netplan, made by
// systemd-networkd (or NetworkManager), and compared with what the kernel really has.
//
// The mark of a bridge is the comment line before its stanza. Other netplan files are never changed but by an import;
// `netplan apply` is not used where networkd is the back end, for it reconfigures links that are not the lab's.
package netplan

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"sync"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// Provider serves resources of type "bridge". Make it with New.
type Provider struct {
	host  host.Host
	links Links

	// Root is the folder taken for /, so that tests have a tree of their own. Below it stands etc/netplan.
	Root string

	turn    sync.Mutex // held by the one Apply that writes for all that wait
	mu      sync.Mutex // guards what follows
	queue   []*edit
	uplinks map[string]string // why a link must not be enslaved without asking, as of the last Read
}

// New is a provider for one host. links is its kernel's view, see Kernel.
func New(h host.Host, links Links) *Provider { return &Provider{host: h, links: links, Root: "/"} }

// aux is what Plan and Apply know of an object beside its body.
type aux struct {
	holder    string         // who has the bridge, where it is not this lab's
	holderLab string         // that one's lab, "" where it is no lab. An object with another mark was adopted by an import
	barred    string         // who has the name that an object of this lab shall get
	own       schema.Bridge  // what the lab's own stanza says
	unknown   []string       // keys of that stanza that no declaration has
	adds      []contribution // what other files say of the bridge
	gone      bool           // the kernel has no such link
	file      string         // where the stanza stands
}

// contribution is another file's stanza for a bridge of the lab.
type contribution struct {
	file   string
	bridge schema.Bridge
}

// Read implements provider.Provider.
func (p *Provider) Read(ctx context.Context, lab string, want []schema.Resource) ([]provider.Object, error) {
	t, view, err := p.observe(ctx)
	if err != nil {
		return nil, err
	}
	own := t.own(lab)
	if own != nil && own.err != nil {
		return nil, &provider.Error{Op: "read bridges", Err: fmt.Errorf("%s: %w", own.path, own.err),
			Hint: "mend the file, or remove it if none of its bridges is wanted"}
	}
	wanted := map[string]*schema.Bridge{}
	for _, r := range want {
		if b, ok := r.Body.(*schema.Bridge); ok {
			wanted[b.Name] = b
		}
	}
	var objects []provider.Object
	if own != nil {
		for _, e := range own.entries {
			if e.mark.Lab == lab {
				objects = append(objects, t.object(e, own.path, lab, wanted[e.name], view))
			}
		}
	}
	return append(objects, t.collisions(lab, want, objects, view)...), nil
}

// observe reads the files and the kernel, and remembers which links carry the host.
func (p *Provider) observe(ctx context.Context) (*tree, *View, error) {
	t, err := readTree(ctx, p.host, p.Root)
	if err != nil {
		return nil, nil, unreachable("read netplan's files", err)
	}
	view, err := p.links.Read(ctx)
	if err != nil {
		return nil, nil, unreachable("read the host's links", err)
	}
	p.mu.Lock()
	p.uplinks = uplinks(view)
	p.mu.Unlock()
	return t, view, nil
}

func unreachable(op string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &provider.Error{Op: op, Err: fmt.Errorf("%w: %w", provider.ErrUnreachable, err)}
}

// object is a bridge that a mark names.
func (t *tree) object(e entry, file, lab string, want *schema.Bridge, view *View) provider.Object {
	a := aux{file: file, gone: view.Links[e.name] == nil}
	a.own, a.unknown = decode(e.name, e.stanza)
	for _, other := range t.others(lab, e.name) {
		b, _ := decode(e.name, other.entry(e.name).stanza)
		a.adds = append(a.adds, contribution{file: other.path, bridge: b})
	}
	body, _ := decode(e.name, t.merged(e.name))
	overlay(&body, want, view)
	return provider.Object{Mark: e.mark, Addr: e.mark.Addr, Deps: e.mark.Deps, ID: e.name, Body: &body, Aux: a}
}

// collisions are the bridges of wanted names that are not this lab's.
func (t *tree) collisions(lab string, want []schema.Resource, ours []provider.Object, view *View) []provider.Object {
	var objects []provider.Object
	for _, r := range want {
		b, ok := r.Body.(*schema.Bridge)
		if !ok || slices.ContainsFunc(ours, func(o provider.Object) bool { return o.ID == b.Name }) {
			continue
		}
		holder, mark := t.holder(lab, b.Name, view)
		if holder == "" {
			continue
		}
		// A bridge that only gets another name has its object already: what bars the new name is kept with it.
		i := slices.IndexFunc(ours, func(o provider.Object) bool { return o.Addr == r.Addr })
		if i >= 0 {
			a := ours[i].Aux.(aux)
			a.barred = holder
			ours[i].Aux = a
			continue
		}
		body, _ := decode(b.Name, t.merged(b.Name))
		known := aux{holder: holder, holderLab: mark.Lab, own: body, gone: view.Links[b.Name] == nil}
		overlay(&body, b, view)
		objects = append(objects, provider.Object{Mark: mark, Addr: r.Addr, ID: b.Name, Body: &body, Aux: known})
	}
	return objects
}

// holder says who has a bridge that lab's file does not mark as its own: "" where nobody has.
func (t *tree) holder(lab, bridge string, view *View) (holder string, mark provider.Mark) {
	files := t.others(lab, bridge)
	if own := t.own(lab); own.entry(bridge) != nil {
		files = append(files, own) // without a mark, or it would not be asked for
	}
	for _, f := range files {
		if e := f.entry(bridge); e.mark.Lab != "" {
			return fmt.Sprintf("%s is %s of the lab %s (%s)", bridge, e.mark.Addr, e.mark.Lab, f.path), e.mark
		}
	}
	if len(files) > 0 {
		return fmt.Sprintf("%s stands in %s, and not by labctl", bridge, files[0].path), provider.Mark{}
	}
	if link := view.Links[bridge]; link != nil {
		kind := link.Kind
		if kind == "" {
			kind = "network device"
		}
		return fmt.Sprintf("the kernel has a %s named %s that no netplan file speaks of", kind, bridge), provider.Mark{}
	}
	return "", provider.Mark{}
}

// List implements provider.Lister: the bridges of every lab, and those that are nobody's.
func (p *Provider) List(ctx context.Context) ([]provider.Object, error) {
	t, view, err := p.observe(ctx)
	if err != nil {
		return nil, err
	}
	var objects []provider.Object
	known := map[string]bool{}
	for _, f := range t.files {
		for _, e := range f.entries {
			if e.mark.Lab != "" {
				known[e.name] = true
				objects = append(objects, t.object(e, f.path, e.mark.Lab, nil, view))
			}
		}
	}
	names := map[string]bool{}
	for _, f := range t.files {
		for _, e := range f.entries {
			names[e.name] = true
		}
	}
	for name, link := range view.Links {
		names[name] = names[name] || link.Kind == "bridge"
	}
	for name, isBridge := range names {
		if !isBridge || known[name] {
			continue
		}
		body, _ := decode(name, t.merged(name))
		overlay(&body, nil, view)
		holder, _ := t.holder("", name, view)
		objects = append(objects, provider.Object{ID: name, Body: &body, Aux: aux{holder: holder}})
	}
	slices.SortFunc(objects, func(a, b provider.Object) int { return compareText(a.ID, b.ID) })
	return objects, nil
}

// ownPath is where lab's file stands.
func (p *Provider) ownPath(lab string) string { return path.Join(p.Root, "etc/netplan", baseOf(lab)) }
