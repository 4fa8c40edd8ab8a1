package libvirt

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/internal/kvm"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/daemon"
	"github.com/labctl/labctl/provider/libvirt/domainxml"
	"github.com/labctl/labctl/provider/libvirt/folder"
	"github.com/labctl/labctl/provider/libvirt/tap"
	"github.com/labctl/labctl/schema"
)

// Provider serves resources of type "vm": it makes domains.
type Provider struct {
	// Helper is the path, on this machine, of the static labctl-guest binary that goes on the seed disc of guests whose
	// image does not have it; "" puts none.
	Helper string

	conn *daemon.Conn
	host host.Host
	root string
	taps tap.Links
	kvm  func(context.Context) (kvm.Verdict, error)
}

// New is a provider over a connection. h is the machine that the daemon runs on; root is labctl's folder there, for
// images (images/KEY) and for the labs' own files (labs/LAB).
func New(conn *daemon.Conn, h host.Host, root string) *Provider {
	p := &Provider{conn: conn, host: h, root: root, taps: tap.On(h)}
	var mu sync.Mutex
	var known *kvm.Verdict
	p.kvm = func(ctx context.Context) (kvm.Verdict, error) {
		mu.Lock()
		defer mu.Unlock()
		if known != nil {
			return *known, nil
		}
		verdict, err := kvm.Prove(ctx, h, root)
		if err == nil {
			known = &verdict
		}
		return verdict, err
	}
	return p
}

// ResolveVirt is what a declared virt comes to on this host, "kvm" or "qemu", and why, on one line. Under "auto" and ""
// it is kvm only where a guest has been seen to boot under it.
func (p *Provider) ResolveVirt(ctx context.Context, want string) (virt, why string, err error) {
	if strings.HasPrefix(p.conn.URI(), "test:") {
		return "test", "libvirt's test driver runs nothing", nil
	}
	if want == "kvm" || want == "qemu" {
		return want, "declared", nil
	}
	verdict, err := p.kvm(ctx)
	if err != nil {
		return "", "", err
	}
	if verdict.Works {
		return "kvm", verdict.Why, nil
	}
	return "qemu", "guests are emulated: " + verdict.Why, nil
}

func (p *Provider) folders() folder.Folders { return folder.Folders{Host: p.host, Root: p.root} }

// imageCmdline is for images with a kernel of their own: the serial port is the console, and quiet, because it is slow.
const imageCmdline = "console=ttyS0 quiet"

// image finds the parts of an image in the pool. An image that is not there yet has none of them.
func (p *Provider) image(ctx context.Context, ref *schema.ImageRef) (domainxml.Image, error) {
	if ref == nil {
		return domainxml.Image{}, nil
	}
	pool := filepath.Join(p.root, "images", ref.Key)
	text, err := p.host.ReadFile(ctx, filepath.Join(pool, "manifest.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return domainxml.Image{}, &provider.Error{
			Op: "find image " + ref.Key, Path: "image", Err: errors.New("it is not in the pool " + pool),
			Hint: "apply the image first; labctl does so by itself unless -target or -exclude leaves it out",
		}
	}
	if err != nil {
		return domainxml.Image{}, err
	}
	var manifest struct {
		Files   map[string]any `json:"files"`
		Cmdline string         `json:"cmdline"`
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		return domainxml.Image{}, &provider.Error{Op: "read image " + ref.Key, Path: "image", Err: err}
	}
	at := func(name string) string {
		if _, has := manifest.Files[name]; !has {
			return ""
		}
		return filepath.Join(pool, name)
	}
	img := domainxml.Image{Kernel: at("kernel"), Initrd: at("initrd"), Disk: at("disk.qcow2"), Cmdline: manifest.Cmdline}
	if img.Kernel != "" && img.Cmdline == "" {
		img.Cmdline = imageCmdline
	}
	return img, nil
}
