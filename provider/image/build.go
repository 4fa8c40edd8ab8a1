package image

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/image/micro"
)

// makeMicro builds the micro image. The disk of one that exists stays: overlays stand on it.
func (p *Provider) makeMicro(ctx context.Context, scratch string, m *Manifest) error {
	old, err := p.pool.Manifest(m.Image.Key)
	whole := err == nil && p.pool.same(old, "disk.qcow2")
	o := micro.Options{Guest: p.opts.GuestBinary, NoDisk: whole, Cache: filepath.Join(p.pool.Dir, cacheName)}
	in, err := micro.Build(ctx, p.host, scratch, o)
	if err != nil {
		return err
	}
	m.From, m.Cmdline = sources(in), micro.Cmdline
	return nil
}

// cacheName is the folder in the pool for packed parts of the micro image.
const cacheName = ".packed"

// sources is a build's inputs as the manifest keeps them.
func sources(in micro.Inputs) []Source {
	from := []Source{{"labctl", in.Recipe}, {"labctl-guest", in.Guest}, {"kernel", in.Release}}
	for _, f := range in.Files {
		from = append(from, Source{f.Path, fmt.Sprintf("%d-%d", f.Size, f.MTime)})
	}
	return from
}

// stale lists what makes an image in the pool unlike what would be built now; nil where nothing does.
func (p *Provider) stale(m *Manifest) []provider.Detail {
	if name := p.pool.Changed(m); name != "" {
		return []provider.Detail{{Path: name, Why: "it is not what the manifest says", Effect: provider.Live}}
	}
	if m.Image.Build != "micro" {
		return nil
	}
	in, err := micro.Gather(micro.Options{Guest: p.opts.GuestBinary})
	if err != nil {
		return nil // a whole image serves, also on a machine that cannot build it again
	}
	return compareSources(m.From, sources(in))
}

func compareSources(have, want []Source) []provider.Detail {
	old := map[string]string{}
	for _, s := range have {
		old[s.Name] = s.ID
	}
	var details []provider.Detail
	for _, s := range want {
		if was, had := old[s.Name]; !had {
			details = append(details, provider.Detail{Path: s.Name, New: s.ID, Effect: provider.Live})
		} else if was != s.ID {
			details = append(details, provider.Detail{Path: s.Name, Old: was, New: s.ID, Effect: provider.Live})
		}
		delete(old, s.Name)
	}
	for _, s := range have {
		if _, gone := old[s.Name]; gone {
			details = append(details, provider.Detail{Path: s.Name, Old: s.ID, Effect: provider.Live})
		}
	}
	return details
}
