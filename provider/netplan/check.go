package netplan

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/netplan/link"
	"github.com/labctl/labctl/provider/netplan/tree"
	"github.com/labctl/labctl/schema"
)

// Check implements provider.Checker: netplan generates from the declared bridges in a scratch folder, together with all of
// its other files, and every port must be there or be declared too.
func (p *Provider) Check(ctx context.Context, want []schema.Resource) []error {
	t, view, err := p.observe(ctx)
	if err != nil {
		return []error{err}
	}
	var bridges []schema.Resource
	names := map[string]bool{}
	for _, r := range want {
		if b, ok := r.Body.(*schema.Bridge); ok {
			bridges = append(bridges, r)
			names[b.Name] = true
		}
	}
	if len(bridges) == 0 {
		return nil
	}
	var errs []error
	for _, r := range bridges {
		for _, port := range r.Body.(*schema.Bridge).Interfaces {
			if view.Links[port] == nil && !names[port] {
				errs = append(errs, &provider.Error{Op: "check bridge", Addr: r.Addr, Path: "interfaces",
					Err: fmt.Errorf("the host has no interface %s", port), Hint: "it has " + hardware(view)})
			}
		}
	}
	if p.tryBridges(ctx, t, bridges) == nil {
		return errs
	}
	refused := len(errs)
	for _, r := range bridges { // which one?
		if err := p.tryBridges(ctx, t, []schema.Resource{r}); err != nil {
			errs = append(errs, &provider.Error{Op: "check bridge", Addr: r.Addr, Err: err})
		}
	}
	if len(errs) == refused { // each is good alone, so it is what they have in common
		errs = append(errs, &provider.Error{Op: "check bridges", Err: p.tryBridges(ctx, t, bridges)})
	}
	return errs
}

// tryBridges asks netplan about declared bridges in the place of what labs' files say of the same names. The rest of those
// files is asked about along with them: the bridges may stand on it.
func (p *Provider) tryBridges(ctx context.Context, t *tree.Tree, bridges []schema.Resource) error {
	// Last of all: netplan takes a port only after the file that says what it is.
	f := &tree.File{Path: path.Join(path.Dir(p.ownPath("check")), "zz-labctl-check.yaml")}
	for _, r := range bridges {
		b := r.Body.(*schema.Bridge)
		f.Entries = append(f.Entries, tree.Entry{Name: b.Name, Stanza: tree.Encode(b)})
	}
	var labs []string
	for _, other := range t.Files {
		if !slices.ContainsFunc(other.Entries, func(e tree.Entry) bool { return outdated(e, bridges) }) {
			continue
		}
		labs = append(labs, path.Base(other.Path))
		for _, e := range other.Entries {
			if f.Entry(e.Name) == nil && !outdated(e, bridges) {
				f.Entries = append(f.Entries, e)
			}
		}
	}
	text, err := tree.Render("", f, func(link string) bool { return t.Configured(link, append(labs, path.Base(f.Path))...) })
	if err != nil {
		return err
	}
	return p.try(ctx, f.Path, text, labs...)
}

// outdated reports whether a lab's entry is what one of the bridges is now: of the same name, or with another name and the same
// ports, which it gives up.
func outdated(e tree.Entry, bridges []schema.Resource) bool {
	return e.Mark.Lab != "" && slices.ContainsFunc(bridges, func(r schema.Resource) bool {
		b := r.Body.(*schema.Bridge)
		if e.Name == b.Name {
			return true
		}
		old, _ := tree.Decode(e.Name, e.Stanza)
		return e.Mark.Addr == r.Addr && slices.ContainsFunc(b.Interfaces, func(port string) bool { return slices.Contains(old.Interfaces, port) })
	})
}

// hardware names the links that could be a bridge's port.
func hardware(view *link.View) string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(view.Links)) {
		if kind := view.Links[name].Kind; kind != "bridge" && kind != "tun" && name != "lo" {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "none that could be a port"
	}
	return strings.Join(names, ", ")
}
