// Package image is the provider of images: bases for machines, kept in labctl's own pool and shared by labs.
//
// An image is made by labctl from this machine's packages (build = "micro", see package micro; build = "debian"), or brought
// from a file or an http server. It is built in a scratch folder and renamed, so a partial or corrupt one is never a base.
// No lab owns an image: destroying a lab leaves its images in the pool, where `labctl image prune` removes those that
// nothing uses.
package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"time"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/image/debian"
	"github.com/labctl/labctl/schema"
)

// Options are what images are made with.
type Options struct {
	GuestBinary string // path of labctl-guest; "" makes images without it
}

// Provider serves resources of type "image".
type Provider struct {
	host       host.Host
	pool       Pool
	opts       Options
	client     *http.Client
	retryAfter time.Duration // the first time; twice as long each further time
}

// New serves the pool in root/images, using programs of h. The pool is on this machine.
func New(h host.Host, root string, opts Options) *Provider {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = stallTime
	return &Provider{
		host: h, pool: Pool{Dir: filepath.Join(root, "images")}, opts: opts,
		client: &http.Client{Transport: transport}, retryAfter: time.Second,
	}
}

// Pool is the provider's pool.
func (p *Provider) Pool() Pool { return p.pool }

// Read returns the wanted images that are in the pool, each as the wanting lab's own: images are shared, so there is no
// other lab's and no orphan.
func (p *Provider) Read(ctx context.Context, lab string, want []schema.Resource) ([]provider.Object, error) {
	var objects []provider.Object
	var errs []error
	for i := range want {
		img, ok := want[i].Body.(*schema.Image)
		if !ok {
			continue
		}
		m, err := p.pool.Manifest(img.Key)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			errs = append(errs, &provider.Error{Op: "read image", Addr: want[i].Addr, Err: err})
			continue
		}
		body := m.Image
		objects = append(objects, provider.Object{
			Mark: provider.MarkOf(lab, &want[i]), Addr: want[i].Addr, ID: img.Key, Body: &body, Aux: p.stale(ctx, m),
		})
	}
	return objects, errors.Join(errs...)
}

// Plan implements provider.Provider. A nil want changes nothing.
func (p *Provider) Plan(want *schema.Resource, have *provider.Object) (provider.Change, error) {
	if want == nil {
		return provider.Change{Addr: have.Addr, Action: provider.NoOp, Why: "images are shared and stay in the pool", Have: have}, nil
	}
	c := provider.Change{Addr: want.Addr, Want: want, Have: have}
	if have == nil {
		c.Action = provider.Create
		return c, nil
	}
	details, _ := have.Aux.([]provider.Detail)
	if len(details) == 0 {
		c.Action = provider.NoOp
		return c, nil
	}
	c.Action, c.Details = provider.Update, details
	c.Why = "rebuild: " + details[0].Path + " changed; machines that run keep what they booted"
	return c, nil
}

// Apply builds or fetches the image.
func (p *Provider) Apply(ctx context.Context, lab string, c provider.Change) error {
	if c.Action == provider.NoOp || c.Action == provider.Delete || c.Action == provider.Forget {
		return nil
	}
	img, ok := c.Want.Body.(*schema.Image)
	if !ok {
		return &provider.Error{Op: "make image", Addr: c.Addr, Err: fmt.Errorf("a %T is no image", c.Want.Body)}
	}
	err := p.ensure(ctx, *img)
	if known, ok := errors.AsType[*provider.Error](err); ok && known.Addr == (schema.Addr{}) {
		known.Addr = c.Addr
	} else if err != nil && !ok {
		return &provider.Error{Op: "make image", Addr: c.Addr, Err: err}
	}
	return err
}

// ensure makes the image unless another process has made it meanwhile.
func (p *Provider) ensure(ctx context.Context, img schema.Image) error {
	if err := provider.Step(ctx, "wait for the pool"); err != nil {
		return err
	}
	unlock, err := p.pool.Lock(ctx, img.Key)
	if err != nil {
		return err
	}
	defer unlock()
	if m, err := p.pool.Manifest(img.Key); err == nil {
		if p.pool.Changed(m) != "" && p.pool.Verify(ctx, img.Key) == nil {
			if err := p.pool.refresh(m); err != nil { // copied or touched, and still the same
				return err
			}
		}
		if p.stale(ctx, m) == nil {
			return nil
		}
	}
	scratch, err := p.pool.Scratch(img.Key)
	if err != nil {
		return err
	}
	m := &Manifest{Image: img}
	if err := p.make(ctx, scratch, m); err != nil {
		return err
	}
	if err := provider.Step(ctx, "keep"); err != nil {
		return err
	}
	return p.pool.Commit(ctx, scratch, m)
}

func (p *Provider) make(ctx context.Context, scratch string, m *Manifest) error {
	switch {
	case m.Image.Build == "micro":
		return p.makeMicro(ctx, scratch, m)
	case m.Image.Build == "debian":
		m.Cmdline, m.From = debian.Cmdline, []Source{{"labctl", debian.Recipe()}}
		return debian.Build(ctx, p.host, scratch, debian.Options{Packages: m.Image.Packages})
	case m.Image.Build == "" && m.Image.Source != "":
		return p.makeFromSource(ctx, scratch, m)
	case m.Image.Build != "":
		return fmt.Errorf("build %q is not known: write \"micro\" or \"debian\"", m.Image.Build)
	}
	return errors.New("an image needs source or build")
}
