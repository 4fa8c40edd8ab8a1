// Package seed makes the disc that a machine finds its first configuration on: NoCloud for cloud-init, and beside it what
// labctl's own helper inside the guest reads, so that the first boot already comes up converged.
//
// See https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html.
package seed

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/filesystem/iso9660"

	"github.com/labctl/labctl/schema"
)

// Label is the volume label by which cloud-init and the helper find the disc.
const Label = "CIDATA"

const sector = 2048

// Paths on the disc of what the helper reads.
const (
	GuestPath  = "labctl/guest.json"      // the schema.Guest
	ClonePath  = "labctl/clone"           // the instance, where the machine is a copy of another
	HelperPath = "labctl/labctl-guest.gz" // the helper itself, packed, where the disc carries it
)

// Disc is what a seed disc is made from.
type Disc struct {
	// InstanceID tells cloud-init one machine from another. It never changes in a machine's life: a changed one makes
	// cloud-init run everything anew.
	InstanceID string
	Guest      *schema.Guest
	Clone      bool   // whether the machine starts as a copy of another, whose identity it must not keep
	Helper     []byte // the static labctl-guest binary as Pack gives it; nil where the image has it already
}

// Pack packs the helper for discs: each machine has one of its own for life, and a thousand of them add up.
func Pack(program []byte) ([]byte, error) {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(program); err != nil {
		return nil, err
	}
	err := w.Close()
	return out.Bytes(), err
}

// Files are the files on the disc, by path.
func (d Disc) Files() (map[string][]byte, error) {
	guest, err := json.Marshal(d.Guest)
	if err != nil {
		return nil, err
	}
	user, err := userData(d.Guest, d.Helper != nil)
	if err != nil {
		return nil, err
	}
	network, err := networkConfig(d.Guest)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{
		"meta-data":      metaData(d.InstanceID, d.Guest.Hostname),
		"user-data":      user,
		"network-config": network,
		GuestPath:        guest,
	}
	if d.Clone {
		files[ClonePath] = []byte(d.InstanceID + "\n")
	}
	if d.Helper != nil {
		files[HelperPath] = d.Helper
	}
	return files, nil
}

// Build is the disc as an ISO 9660 image, with Rock Ridge and Joliet names so that every system reads the true ones.
func (d Disc) Build() ([]byte, error) {
	files, err := d.Files()
	if err != nil {
		return nil, err
	}
	// The disc may hold secrets: both folders are the caller's alone.
	// In memory, where there is such a place: what is secret then touches no disk, and a thousand discs take seconds less.
	work, err := os.MkdirTemp("/dev/shm", "labctl-seed-")
	if err != nil {
		work, err = os.MkdirTemp("", "labctl-seed-")
	}
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	tree := filepath.Join(work, "tree")
	for name, data := range files {
		path := filepath.Join(tree, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return nil, err
		}
	}
	image := filepath.Join(work, "seed.iso")
	if err := write(image, tree); err != nil {
		return nil, fmt.Errorf("make the seed disc: %w", err)
	}
	return os.ReadFile(image)
}

func write(image, tree string) error {
	out, err := os.OpenFile(image, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	disc, err := iso9660.Create(file.New(out, false), 0, 0, sector, tree)
	if err != nil {
		return err
	}
	// ECMA-119 7.4 fills the field with spaces; the library would leave zero bytes, which not every reader takes.
	err = disc.Finalize(iso9660.FinalizeOptions{RockRidge: true, Joliet: true, VolumeIdentifier: fmt.Sprintf("%-32s", Label)})
	if err != nil {
		return err
	}
	// The last file's tail is not padded by the library, and a disk is whole sectors.
	info, err := out.Stat()
	if err != nil {
		return err
	}
	return out.Truncate((info.Size() + sector - 1) / sector * sector)
}
