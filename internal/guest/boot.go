package guest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/labctl/labctl/internal/guest/disk"
	"github.com/labctl/labctl/internal/helper"
	"github.com/labctl/labctl/schema"
)

// mountedSeed is where the micro image mounts the seed disc before it calls the helper.
const mountedSeed = "/run/seed"

// Boot makes so what was kept for this boot or, on the first one, what the seed disc says, which is then kept. It looks at
// nothing first that it need not: a machine that has just started has none of it.
func (s System) Boot(ctx context.Context) (helper.Response, error) {
	kept, err := s.readPersist()
	if err != nil {
		return helper.Response{}, err
	}
	did, err := s.renew(ctx, &kept)
	if err != nil {
		return helper.Response{}, err
	}
	guest := kept.Guest
	first := guest == nil || did != nil
	if first {
		if guest, err = s.seed(); err != nil {
			return helper.Response{}, err
		}
		if kept.Guest == nil {
			kept.Guest = guest
		} // else what the other machine had is taken away where the copy is to have it no longer
		kept.First = &helper.FirstBoot{Packages: guest.Packages, UserData: guest.UserData, SSH: guest.SSH}
	}
	t := s.task(ctx, guest, kept)
	t.Changed = append(t.Changed, did...)
	switch grown, err := s.Grow(); {
	case err != nil:
		t.Problem("", err)
	case grown != "":
		t.Did("%s", grown)
	}
	if err := t.remember(kept.Mark); err != nil {
		t.Problem("", err)
	}
	if did != nil {
		// The system's files are the other machine's: its daemon would wait for cards that this one does not have, and the boot for it.
		t.network.ApplyNames()
		t.applyNative()
	}
	t.apply()
	if first {
		t.takeOverNetplan()
	}
	t.Problem("", s.background(ctx))
	return helper.Response{Protocol: helper.Protocol, Mark: kept.Mark, Changed: t.Changed, Problems: t.Problems}, nil
}

// Grow has the file system of the micro image's disk grow with it; other systems see to that themselves.
func (s System) Grow() (string, error) {
	if s.Root != "" {
		return "", nil
	}
	return disk.Grow(filepath.Dir(helper.PersistPath))
}

// seed reads the guest's configuration off the seed disc.
func (s System) seed() (*schema.Guest, error) {
	text, err := s.read(filepath.Join(mountedSeed, helper.SeedGuest))
	if err == nil && text == "" {
		text, err = s.seedDisc(helper.SeedGuest)
	}
	if err != nil {
		return nil, err
	}
	var guest schema.Guest
	if err := json.Unmarshal([]byte(text), &guest); err != nil {
		return nil, fmt.Errorf("the seed disc's %s: %w", helper.SeedGuest, err)
	}
	return &guest, nil
}

var errNoSeed = errors.New("nothing is kept from an earlier boot, and there is no seed disc")

// seedDisc finds the disc by its label, mounts it for a moment and reads the file.
func (s System) seedDisc(name string) (text string, err error) {
	blocks, err := os.ReadDir("/sys/block")
	if err != nil {
		return "", err
	}
	for _, block := range blocks {
		device := "/dev/" + block.Name()
		if !isSeed(device) {
			continue
		}
		dir, err := os.MkdirTemp("/run", "labctl-seed-")
		if err != nil {
			return "", err
		}
		defer os.Remove(dir) //nolint:errcheck // an empty folder under /run
		if err := unix.Mount(device, dir, "iso9660", unix.MS_RDONLY, ""); err != nil {
			return "", fmt.Errorf("mount the seed disc %s: %w", device, err)
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		return string(data), errors.Join(err, unix.Unmount(dir, 0))
	}
	return "", errNoSeed
}

// isSeed reads the volume label of a disc: the primary volume descriptor is sector 16, the label 40 bytes into it
// (ECMA-119 section 8.4).
func isSeed(device string) bool {
	f, err := os.Open(device)
	if err != nil {
		return false
	}
	defer f.Close() //nolint:errcheck // only read
	descriptor := make([]byte, 72)
	if _, err := io.ReadFull(io.NewSectionReader(f, 16*2048, int64(len(descriptor))), descriptor); err != nil {
		return false
	}
	label := strings.TrimRight(string(descriptor[40:72]), " \x00")
	return bytes.Equal(descriptor[1:6], []byte("CD001")) && strings.EqualFold(label, helper.SeedLabel)
}
