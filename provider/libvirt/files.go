package libvirt

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/internal/seed"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/daemon"
	"github.com/labctl/labctl/provider/libvirt/disk"
	"github.com/labctl/labctl/provider/libvirt/domainxml"
	"github.com/labctl/labctl/provider/libvirt/machine"
	"github.com/labctl/labctl/schema"
)

// What a guest keeps may be secret, so disks are their owner's alone: root's, and QEMU's user's while the machine runs.

// makeDisk makes a disk under another name and moves it into place whole; one that is there is left as it is.
// Arguments: path, then those of qemu-img create before the file's name, "--", and those after it.
const makeDisk = `set -e
path=$1; shift
[ -e "$path" ] && exit 0
mkdir -p "${path%/*}"
before= ; while [ "$1" != -- ]; do before="$before $1"; shift; done; shift
(umask 077; qemu-img create -q $before "$path.new" "$@")
mv "$path.new" "$path"`

// files makes the disks and the seed disc that are not there. made are disks that exist already as part of the domain.
func (j *job) files(ctx context.Context, made map[string]bool) error {
	if j.spec.Folder == "" || !j.lacksFiles(made) {
		return nil
	}
	if err := provider.Step(ctx, "make disks"); err != nil {
		return err
	}
	if err := j.folders().Make(ctx, j.spec.Folder, j.spec.Mark, j.have == nil); err != nil {
		return err
	}
	if err := j.root(ctx); err != nil {
		return err
	}
	for _, d := range j.body.Disks {
		if d.Source != "" || j.isRoot(d) || made[d.Name] {
			continue
		}
		if d.Size == 0 {
			return &provider.Error{
				Op: "make disk " + d.Name, Path: "disk." + d.Name + ".size",
				Err: errors.New("a disk that labctl makes needs a size"),
			}
		}
		path := domainxml.DiskPath(j.spec.Folder, d)
		var err error
		if format := domainxml.Format(d); format == "qcow2" {
			err = j.newDisk(ctx, path, disk.Blank{Size: d.Size})
		} else {
			err = j.makeDisk(ctx, path, []string{"-f", format}, strconv.FormatUint(d.Size, 10))
		}
		if err != nil {
			return daemon.Failed("make disk "+d.Name, err)
		}
	}
	return j.seed(ctx)
}

// lacksFiles reports whether there is a file to make: not where a domain was made whole and has got no further disk.
func (j *job) lacksFiles(made map[string]bool) bool {
	if j.have == nil || j.have.Mark.Incomplete || j.now().Meta.Folder == "" {
		return true
	}
	for _, disk := range j.body.Disks {
		if disk.Source == "" && !made[disk.Name] && !j.isRoot(disk) {
			return true
		}
	}
	return false
}

// isRoot reports whether a declared disk is the one that comes with the image or the clone.
func (j *job) isRoot(disk schema.Disk) bool { return disk.Name == "root" && j.spec.HasRoot() }

func (j *job) makeDisk(ctx context.Context, path string, before []string, after ...string) error {
	args := append([]string{"sh", "-c", makeDisk, "sh", path}, before...)
	args = append(append(args, "--"), after...)
	_, err := j.host.Run(ctx, host.Cmd(args...))
	return err
}

// root makes the root disk: an overlay on the image's disk, or a clone's copies.
func (j *job) root(ctx context.Context) error {
	if j.spec.Image.Disk == "" {
		return j.copyClone(ctx)
	}
	size := domainxml.RootDisk(j.body).Size
	if size != 0 {
		least, err := j.disks.BaseSize(ctx, j.spec.Image.Disk)
		if err != nil {
			return err
		}
		if size < least {
			return &provider.Error{
				Op: "make disk root", Path: "disk.root.size",
				Err: fmt.Errorf("%d bytes are less than the image's own %d", size, least),
			}
		}
	}
	return daemon.Failed("make disk root", j.newDisk(ctx, domainxml.RootPath(j.spec.Folder), disk.Blank{Over: j.spec.Image.Disk, Size: size}))
}

// newDisk makes a qcow2 disk that holds nothing yet; one that is there is left as it is.
func (j *job) newDisk(ctx context.Context, path string, b disk.Blank) error {
	if j.have != nil { // an earlier apply may have made it, and the guest written to it
		before, after := []string{"-f", "qcow2"}, []string(nil)
		if b.Over != "" {
			before = append(before, "-F", "qcow2", "-b", b.Over)
		}
		if b.Size != 0 {
			after = append(after, strconv.FormatUint(b.Size, 10))
		}
		return j.makeDisk(ctx, path, before, after...)
	}
	data, err := j.disks.Blank(ctx, b)
	if err != nil {
		return err
	}
	return daemon.Failed("write "+path, j.host.WriteFile(ctx, path, data, 0o600))
}

// seed writes the seed disc, once in a machine's life.
func (j *job) seed(ctx context.Context) error {
	if !j.spec.Seeded {
		return nil
	}
	if j.have != nil && j.now().Meta.Folder != "" && !j.have.Mark.Incomplete {
		return nil
	}
	disc := seed.Disc{InstanceID: j.uuid, Guest: j.body.Seed, Clone: j.body.Clone != nil}
	if j.Helper != "" && (j.body.Image == nil || j.body.Image.Build != "micro") {
		var err error
		if disc.Helper, err = j.packed(); err != nil {
			return &provider.Error{Op: "make the seed disc", Err: err, Hint: "labctl-guest is installed beside labctl"}
		}
	}
	image, err := disc.Build()
	if err != nil {
		return &provider.Error{Op: "make the seed disc", Err: err}
	}
	return j.host.WriteFile(ctx, domainxml.SeedPath(j.spec.Folder), image, 0o600)
}

// grow makes a disk larger that is declared so, and refuses to make it smaller; with a nil resize it does no more than
// refuse. Sizes are compared with the file itself.
func (j *job) grow(ctx context.Context, disk schema.Disk, path string, resize func(size uint64) error) error {
	if disk.Size == 0 || disk.Source != "" {
		return nil
	}
	size, err := j.disks.Size(ctx, path)
	if err != nil {
		return err
	}
	if size > disk.Size {
		return &provider.Error{
			Op: "grow disk " + disk.Name, Path: "disk." + disk.Name + ".size",
			Err: fmt.Errorf("from %d to %d bytes: %w", size, disk.Size, machine.ErrShrink),
		}
	}
	if size == disk.Size || resize == nil {
		return nil
	}
	if err := provider.Step(ctx, "grow disk "+disk.Name); err != nil {
		return err
	}
	return daemon.Failed("grow disk "+disk.Name, resize(disk.Size))
}
