package libvirt

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/daemon"
	"github.com/labctl/labctl/provider/libvirt/domainxml"
	"github.com/labctl/labctl/provider/libvirt/machine"
	"github.com/labctl/labctl/provider/libvirt/source"
)

// clonePath is where the copy of the n-th disk is.
func clonePath(folder string, n int) string {
	if n == 0 {
		return domainxml.RootPath(folder)
	}
	return filepath.Join(folder, fmt.Sprintf("clone%d.qcow2", n))
}

// cloneOf finds the disks that a clone has: its own where it is made, and otherwise those of the domain it starts from.
func (j *job) cloneOf(ctx context.Context) error {
	if j.have != nil && !j.have.Mark.Incomplete {
		j.spec.Seeded = j.spec.Seeded && domainxml.HasDisk(j.now().Defined, domainxml.SeedName)
		j.spec.Image = source.Kernel(j.now().Defined)
		for _, disk := range j.now().Defined.Devices.Disks {
			name := ""
			if disk.Alias != nil {
				name = disk.Alias.Name
			}
			if name == domainxml.DiskAlias("root") || strings.HasPrefix(name, domainxml.DiskAlias("clone")) {
				j.spec.Cloned = append(j.spec.Cloned, clonePath(j.spec.Folder, len(j.spec.Cloned)))
			}
		}
		return nil
	}
	clone := j.body.Clone
	refuse := func(text string) error {
		return &provider.Error{Op: "clone " + clone.From, Path: "clone", Err: errors.New(text)}
	}
	origin, err := j.reader().One(ctx, daemon.ByName(clone.From))
	if err != nil {
		return err
	}
	if origin == nil {
		return refuse("there is no domain of that name")
	}
	from := origin.Aux.(*machine.Machine)
	if from.Active {
		return &provider.Error{
			Op: "clone " + clone.From, Path: "clone", Err: errors.New("it runs, and its disks change while they would be copied"),
			Hint: "shut it down first",
		}
	}
	if source.UEFI(from.Defined) && j.body.Firmware != "uefi" {
		return refuse(`it boots with UEFI: say firmware = "uefi"`)
	}
	j.spec.Image = source.Kernel(from.Defined)
	j.variables = source.Variables(from.Defined)
	if j.from, err = source.Disks(from.Defined.Devices.Disks); err != nil {
		return refuse(err.Error())
	}
	for i := range j.from {
		j.spec.Cloned = append(j.spec.Cloned, clonePath(j.spec.Folder, i))
	}
	return nil
}

// convertDisk copies a disk to another name and moves it into place whole. Arguments: format, source, path.
const convertDisk = `set -e
[ -e "$3" ] && exit 0
(umask 077; qemu-img convert -q -f "$1" -O qcow2 "$2" "$3.new")
mv "$3.new" "$3"`

// copyVariables copies what the firmware keeps, boot entries say, where there is any. Arguments: source, path.
const copyVariables = `set -e
[ -e "$1" ] || exit 0
[ -e "$2" ] && exit 0
cp "$1" "$2.new"
mv "$2.new" "$2"`

func (j *job) copyClone(ctx context.Context) error {
	if j.variables != "" {
		if err := provider.Step(ctx, "copy the firmware's variables of "+j.body.Clone.From); err != nil {
			return err
		}
		args := []string{"sh", "-c", copyVariables, "sh", j.variables, domainxml.NVRAMPath(j.spec.Folder)}
		if _, err := j.host.Run(ctx, host.Cmd(args...)); err != nil {
			return daemon.Failed("clone "+j.body.Clone.From, err)
		}
	}
	for i, from := range j.from {
		path := clonePath(j.spec.Folder, i)
		if err := provider.Step(ctx, fmt.Sprintf("copy disk %d of %s", i+1, j.body.Clone.From)); err != nil {
			return err
		}
		var err error
		if j.body.Clone.Linked {
			err = j.makeDisk(ctx, path, []string{"-f", "qcow2", "-F", from.Format, "-b", from.Path})
		} else {
			_, err = j.host.Run(ctx, host.Cmd("sh", "-c", convertDisk, "sh", from.Format, from.Path, path))
		}
		if err != nil {
			return daemon.Failed("clone "+j.body.Clone.From, err)
		}
	}
	return nil
}
