// Package disk makes the disks of new machines, and tells how large disks are.
package disk

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"

	"github.com/labctl/labctl/internal/host"
)

// Blank is what a new qcow2 disk that holds nothing yet is to be.
type Blank struct {
	Over string // the disk under it, "" for none
	Size uint64 // bytes; 0 is the size of the disk under it
}

// Maker makes blank disks. Such a disk is its header alone, alike for all machines with the same image and size: qemu-img writes
// it once, and each machine gets a copy. A Maker is safe for concurrent use.
type Maker struct {
	Host host.Host

	mu    sync.Mutex
	known map[Blank][]byte
	least map[string]uint64 // of each disk under blanks, its size
}

// makeBlank prints a new disk. Arguments: the disk under it or "", the size in bytes or "".
const makeBlank = `set -e
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
qemu-img create -q -f qcow2 ${1:+-F qcow2 -b "$1"} "$work/disk" $2
cat "$work/disk"`

// Blank is the content of a new disk.
func (m *Maker) Blank(ctx context.Context, b Blank) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if data, ok := m.known[b]; ok {
		return data, nil
	}
	size := ""
	if b.Size != 0 {
		size = strconv.FormatUint(b.Size, 10)
	}
	out, err := m.Host.Run(ctx, host.Cmd("sh", "-c", makeBlank, "sh", b.Over, size))
	if err != nil {
		return nil, err
	}
	if m.known == nil {
		m.known = map[Blank][]byte{}
	}
	m.known[b] = out.Stdout
	return out.Stdout, nil
}

// BaseSize is the size in bytes of an image's disk as a guest sees it. It does not change, and is asked for once.
func (m *Maker) BaseSize(ctx context.Context, path string) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if size, ok := m.least[path]; ok {
		return size, nil
	}
	size, err := m.Size(ctx, path)
	if err != nil {
		return 0, err
	}
	if m.least == nil {
		m.least = map[string]uint64{}
	}
	m.least[path] = size
	return size, nil
}

// Size is the size in bytes of a disk as a guest sees it.
func (m *Maker) Size(ctx context.Context, path string) (uint64, error) {
	out, err := m.Host.Run(ctx, host.Cmd("qemu-img", "info", "-U", "--output=json", path))
	if err != nil {
		return 0, err
	}
	var info struct {
		Size uint64 `json:"virtual-size"`
	}
	if err := json.Unmarshal(out.Stdout, &info); err != nil {
		return 0, fmt.Errorf("qemu-img info %s: %w", path, err)
	}
	return info.Size, nil
}
