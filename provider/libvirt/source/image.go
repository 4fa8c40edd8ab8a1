// Package source finds what machines start from: the parts of images, and what a copy takes of another domain.
package source

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/domainxml"
	"github.com/labctl/labctl/schema"
)

// imageCmdline is for images with a kernel of their own: the serial port is the console, and quiet, because it is slow.
const imageCmdline = "console=ttyS0 quiet"

// Image finds the parts of an image in the pool under root on a machine. An image that is not there yet has none of them.
func Image(ctx context.Context, h host.Host, root string, ref *schema.ImageRef) (domainxml.Image, error) {
	if ref == nil {
		return domainxml.Image{}, nil
	}
	pool := filepath.Join(root, "images", ref.Key)
	text, err := h.ReadFile(ctx, filepath.Join(pool, "manifest.json"))
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
