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
	"strings"
	"sync"
	"time"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/netplan/link"
	"github.com/labctl/labctl/provider/netplan/tree"
	"github.com/labctl/labctl/schema"
)

// Provider serves resources of type "bridge". Make it with New.
type Provider struct {
	host  host.Host
	links link.Links

	// Root is the folder taken for /, so that tests have a tree of their own. Below it stands etc/netplan.
	Root string
	// Peer is who labctl serves from afar, "" for nobody: the client's address of $SSH_CONNECTION. Like the host's default
	// gateways, it must answer after a change as it did before.
	Peer string
	// Patience is how long after a change these may be silent before it is taken back.
	Patience time.Duration

	turn    sync.Mutex // held by the one Apply that writes for all that wait
	mu      sync.Mutex // guards what follows
	queue   []*edit
	uplinks map[string]string // why a link must not be enslaved without asking, as of the last Read
}

// Links is a kernel's view of a host's links.
type Links = link.Links

// Kernel is the kernel's view of a host.
func Kernel(h host.Host) Links { return link.Kernel(h) }

// New is a provider for one host. links is its kernel's view, see Kernel.
func New(h host.Host, links link.Links) *Provider {
	return &Provider{host: h, links: links, Root: "/", Patience: patient}
}

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
	own := t.Own(lab)
	if own != nil && own.Err != nil {
		return nil, &provider.Error{Op: "read bridges", Err: fmt.Errorf("%s: %w", own.Path, own.Err),
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
		for _, e := range own.Entries {
			if e.Mark.Lab == lab {
				objects = append(objects, object(t, e, own.Path, lab, wanted[e.Name], view))
			}
		}
	}
	return append(objects, collisions(t, lab, want, objects, view)...), nil
}

// observe reads the files and the kernel, and remembers which links carry the host.
func (p *Provider) observe(ctx context.Context) (*tree.Tree, *link.View, error) {
	t, err := tree.Read(ctx, p.host, p.Root)
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
func object(t *tree.Tree, e tree.Entry, file, lab string, want *schema.Bridge, view *link.View) provider.Object {
	a := aux{file: file, gone: view.Links[e.Name] == nil}
	a.own, a.unknown = tree.Decode(e.Name, e.Stanza)
	for _, other := range t.Others(lab, e.Name) {
		b, _ := tree.Decode(e.Name, other.Entry(e.Name).Stanza)
		a.adds = append(a.adds, contribution{file: other.Path, bridge: b})
	}
	body, _ := tree.Decode(e.Name, t.Merged(e.Name))
	link.Overlay(&body, want, view)
	return provider.Object{Mark: e.Mark, Addr: e.Mark.Addr, Deps: e.Mark.Deps, ID: e.Name, Body: &body, Aux: a}
}

// collisions are the bridges of wanted names that are not this lab's.
func collisions(t *tree.Tree, lab string, want []schema.Resource, ours []provider.Object, view *link.View) []provider.Object {
	var objects []provider.Object
	for _, r := range want {
		b, ok := r.Body.(*schema.Bridge)
		if !ok || slices.ContainsFunc(ours, func(o provider.Object) bool { return o.ID == b.Name }) {
			continue
		}
		holder, mark := holder(t, lab, b.Name, view)
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
		body, _ := tree.Decode(b.Name, t.Merged(b.Name))
		known := aux{holder: holder, holderLab: mark.Lab, own: body, gone: view.Links[b.Name] == nil}
		link.Overlay(&body, b, view)
		objects = append(objects, provider.Object{Mark: mark, Addr: r.Addr, ID: b.Name, Body: &body, Aux: known})
	}
	return objects
}

// holder says who has a bridge that lab's file does not mark as its own: "" where nobody has.
func holder(t *tree.Tree, lab, bridge string, view *link.View) (holder string, mark provider.Mark) {
	files := t.Others(lab, bridge)
	if own := t.Own(lab); own.Entry(bridge) != nil {
		files = append(files, own) // without a mark, or it would not be asked for
	}
	for _, f := range files {
		if e := f.Entry(bridge); e.Mark.Lab != "" {
			return fmt.Sprintf("%s is %s of the lab %s (%s)", bridge, e.Mark.Addr, e.Mark.Lab, f.Path), e.Mark
		}
	}
	if len(files) > 0 {
		return fmt.Sprintf("%s stands in %s, and not by labctl", bridge, files[0].Path), provider.Mark{}
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
	for _, f := range t.Files {
		for _, e := range f.Entries {
			if e.Mark.Lab != "" {
				known[e.Name] = true
				objects = append(objects, object(t, e, f.Path, e.Mark.Lab, nil, view))
			}
		}
	}
	names := map[string]bool{}
	for _, f := range t.Files {
		for _, e := range f.Entries {
			names[e.Name] = true
		}
	}
	for name, link := range view.Links {
		names[name] = names[name] || link.Kind == "bridge"
	}
	for name, isBridge := range names {
		if !isBridge || known[name] {
			continue
		}
		body, _ := tree.Decode(name, t.Merged(name))
		link.Overlay(&body, nil, view)
		holder, _ := holder(t, "", name, view)
		objects = append(objects, provider.Object{ID: name, Body: &body, Aux: aux{holder: holder}})
	}
	slices.SortFunc(objects, func(a, b provider.Object) int { return strings.Compare(a.ID, b.ID) })
	return objects, nil
}

// ownPath is where lab's file stands.
func (p *Provider) ownPath(lab string) string {
	return path.Join(p.Root, "etc/netplan", tree.Base(lab))
}
