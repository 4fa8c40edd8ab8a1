package libvirt

import (
	"context"
	"errors"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/domainxml"
	"github.com/labctl/labctl/provider/libvirt/machine"
	"github.com/labctl/labctl/schema"
)

// Read implements provider.Provider.
func (p *Provider) Read(ctx context.Context, lab string, want []schema.Resource) ([]provider.Object, error) {
	wanted := map[string]schema.Addr{}
	for _, r := range want {
		if d, ok := r.Body.(*schema.Domain); ok {
			wanted[d.Name] = r.Addr
		}
	}
	// Folders before domains: a machine that is made meanwhile has none in the list.
	marks, err := p.folders().List(ctx, lab)
	if err != nil {
		return nil, &provider.Error{Op: "read files", Err: errors.Join(provider.ErrUnreachable, err)}
	}
	out, err := p.reader().Scan(ctx, func(name, text string) bool {
		_, collides := wanted[name]
		return collides || lab != "" && domainxml.Marked(text)
	}, func(o *provider.Object) bool {
		if o.Owned(lab) {
			return true
		}
		addr, collides := wanted[o.ID]
		o.Addr, o.Aux.(*machine.Machine).Foreign = addr, true
		return collides
	})
	if err != nil {
		return nil, err
	}
	return append(out, machine.Strays(marks, out, want)...), nil
}

// List implements provider.Lister: every domain, with the mark of whoever made it.
func (p *Provider) List(ctx context.Context) ([]provider.Object, error) {
	all := func(string, string) bool { return true }
	return p.reader().Scan(ctx, all, func(*provider.Object) bool { return true })
}

func (p *Provider) reader() machine.Reader { return machine.Reader{Conn: p.conn, Links: p.taps} }
