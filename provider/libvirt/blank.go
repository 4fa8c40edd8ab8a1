package libvirt

import (
	"context"
	"strconv"
	"sync"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider/libvirt/daemon"
)

// blanks are qcow2 disks that hold nothing yet. Such a disk is its header alone, alike for all machines with the same
// image and size: qemu-img writes it once, and each machine gets a copy.
type blanks struct {
	mu    sync.Mutex
	known map[blank][]byte
	least map[string]uint64 // of each disk under blanks, its size
}

// blank is what a new disk is to be: over is the disk under it, "" for none; size 0 is that disk's.
type blank struct {
	over string
	size uint64
}

// makeBlank prints a new disk. Arguments: the disk under it or "", the size in bytes or "".
const makeBlank = `set -e
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
qemu-img create -q -f qcow2 ${1:+-F qcow2 -b "$1"} "$work/disk" $2
cat "$work/disk"`

// blank is a new qcow2 disk.
func (p *Provider) blank(ctx context.Context, b blank) ([]byte, error) {
	p.made.mu.Lock()
	defer p.made.mu.Unlock()
	if data, ok := p.made.known[b]; ok {
		return data, nil
	}
	size := ""
	if b.size != 0 {
		size = strconv.FormatUint(b.size, 10)
	}
	out, err := p.host.Run(ctx, host.Cmd("sh", "-c", makeBlank, "sh", b.over, size))
	if err != nil {
		return nil, err
	}
	if p.made.known == nil {
		p.made.known = map[blank][]byte{}
	}
	p.made.known[b] = out.Stdout
	return out.Stdout, nil
}

// imageSize is the size of an image's disk as a guest sees it, in bytes. It does not change.
func (p *Provider) imageSize(ctx context.Context, path string) (uint64, error) {
	p.made.mu.Lock()
	defer p.made.mu.Unlock()
	if size, ok := p.made.least[path]; ok {
		return size, nil
	}
	size, err := p.virtualSize(ctx, path)
	if err != nil {
		return 0, err
	}
	if p.made.least == nil {
		p.made.least = map[string]uint64{}
	}
	p.made.least[path] = size
	return size, nil
}

// newDisk makes a qcow2 disk that holds nothing yet; one that is there is left as it is.
func (j *job) newDisk(ctx context.Context, path string, b blank) error {
	if j.have != nil { // an earlier apply may have made it, and the guest written to it
		before, after := []string{"-f", "qcow2"}, []string(nil)
		if b.over != "" {
			before = append(before, "-F", "qcow2", "-b", b.over)
		}
		if b.size != 0 {
			after = append(after, strconv.FormatUint(b.size, 10))
		}
		return j.makeDisk(ctx, path, before, after...)
	}
	data, err := j.blank(ctx, b)
	if err != nil {
		return err
	}
	return daemon.Failed("write "+path, j.host.WriteFile(ctx, path, data, 0o644))
}
