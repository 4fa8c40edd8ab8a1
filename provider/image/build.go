package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/image/debian"
	"github.com/labctl/labctl/provider/image/micro"
	"github.com/labctl/labctl/schema"
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
	m.Packages = p.versions(ctx, in.Packages())
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
//
// A base's time moves without its content when libvirt hands the file to QEMU and back, so only a digest says that it changed.
func (p *Provider) stale(ctx context.Context, m *Manifest) []provider.Detail {
	if name := p.pool.Changed(m); name != "" && p.pool.Verify(ctx, m.Image.Key) != nil {
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

// Outdated reports whether this labctl would make an image in the pool otherwise, though it serves as it is: a disk stays while
// machines stand on it.
func (p *Provider) Outdated(m *Manifest) bool {
	return m.Image.Build == "debian" && len(compareSources(m.From, []Source{{"labctl", debian.Recipe()}})) > 0
}

// DropOutdated removes the image of a key from the pool where it is outdated and not used, so that it is made anew. One that is
// not there is none.
func (p *Provider) DropOutdated(ctx context.Context, key string, used func(key string) bool) error {
	m, err := p.pool.Manifest(key)
	if errors.Is(err, fs.ErrNotExist) || err == nil && (!p.Outdated(m) || used(key)) {
		return nil
	}
	if err != nil {
		return err
	}
	return p.pool.Remove(ctx, key)
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

// Check refuses what cannot be made on this machine: a missing program, package or file. What is in the pool is not made again,
// and passes.
func (p *Provider) Check(ctx context.Context, want []schema.Resource) []error {
	var errs []error
	for _, r := range want {
		img, ok := r.Body.(*schema.Image)
		if !ok {
			continue
		}
		if m, err := p.pool.Manifest(img.Key); err == nil && p.pool.Changed(m) == "" {
			continue
		}
		for _, err := range p.check(*img) {
			known, ok := errors.AsType[*provider.Error](err)
			if !ok {
				known = &provider.Error{Op: "make image", Err: err}
			}
			known.Addr = r.Addr
			errs = append(errs, known)
		}
	}
	return errs
}

func (p *Provider) check(img schema.Image) []error {
	fail := func(path string, err error) []error {
		return []error{&provider.Error{Op: "make image", Path: path, Err: err}}
	}
	switch {
	case img.Build == "micro":
		return micro.Missing(micro.Options{})
	case img.Build == "debian":
		return debian.Missing()
	case img.Build != "":
		return fail("build", fmt.Errorf("build %q is not known: write \"micro\" or \"debian\"", img.Build))
	case img.Source == "":
		return fail("source", errors.New("an image needs source or build"))
	}
	if img.Checksum != "" {
		if _, _, err := newHash(img.Checksum); err != nil {
			return fail("checksum", err)
		}
	}
	if isURL(img.Source) {
		return nil
	}
	info, err := os.Stat(img.Source)
	if err != nil {
		return fail("source", err)
	}
	if info.IsDir() {
		return fail("source", fmt.Errorf("%s is a folder: name the image file in it", img.Source))
	}
	return nil
}

// versions are the versions of packages that are installed.
func (p *Provider) versions(ctx context.Context, packages []string) map[string]string {
	// Packages that are not installed make dpkg-query fail, and those that are come all the same.
	out, _ := p.host.Run(ctx, host.Cmd(append([]string{"dpkg-query", "-W", "-f", "${Package} ${Version}\n"}, packages...)...))
	found := map[string]string{}
	for line := range strings.Lines(string(out.Stdout)) {
		if name, version, _ := strings.Cut(strings.TrimSpace(line), " "); version != "" {
			found[name] = version
		}
	}
	return found
}
