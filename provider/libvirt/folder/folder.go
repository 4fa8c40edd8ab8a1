// Package folder is where the files of a lab's machines are: one folder a machine, with its disks, its seed disc and what it
// said on its console, under one folder a lab.
package folder

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
)

// markName is the file that says whose a folder is, also after somebody has undefined its machine.
const markName = "mark"

// Folders are those on one machine.
type Folders struct {
	Host host.Host
	Root string // labctl's own folder
}

func (f Folders) lab(lab string) string { return filepath.Join(f.Root, "labs", lab) }

// Of is the folder for a new machine. A machine keeps it when it is renamed, and then another one may get the name: the
// UUID keeps them apart.
func (f Folders) Of(lab, machine, uuid string) string {
	return filepath.Join(f.lab(lab), machine+"-"+uuid[:8])
}

// Make makes a folder and marks it. With fresh, what is in it is removed: it is left from a machine that somebody undefined,
// and its disks may stand on another image.
func (f Folders) Make(ctx context.Context, path string, mark provider.Mark, fresh bool) error {
	if fresh {
		if err := host.RemoveTree(ctx, f.Host, path); err != nil {
			return fmt.Errorf("empty folder %s: %w", path, err)
		}
	}
	if err := f.Host.WriteFile(ctx, filepath.Join(path, markName), []byte(mark.String()+"\n"), 0o644); err != nil {
		return fmt.Errorf("make folder %s: %w", path, err)
	}
	return nil
}

// Remove removes a machine's folder, and the lab's with the last one. The path comes from a mark that anybody may have
// edited: only a folder right under the lab's own is ever removed.
func (f Folders) Remove(ctx context.Context, lab, path string) error {
	if err := f.within(lab, path); err != nil {
		return err
	}
	if err := host.RemoveTree(ctx, f.Host, path); err != nil {
		return err
	}
	_ = f.Host.Remove(ctx, f.lab(lab)) // machines are removed side by side: with the last one it is empty, and goes
	return nil
}

// within refuses a path that is not right under the lab's folder.
func (f Folders) within(lab, path string) error {
	base := f.lab(lab)
	if lab == "" || strings.ContainsAny(lab, "/\x00") || filepath.Dir(filepath.Clean(path)) != base || filepath.Base(path) == ".." {
		return &provider.Error{Op: "remove files", Err: fmt.Errorf("%s is not a folder of the lab in %s: it is left alone", path, base)}
	}
	return nil
}

// Unmark takes the mark off a machine's folder: the lab lets go of the machine, which goes on using its files.
func (f Folders) Unmark(ctx context.Context, lab, path string) error {
	if err := f.within(lab, path); err != nil {
		return err
	}
	return f.Host.Remove(ctx, filepath.Join(path, markName))
}

// List is the mark of every folder of a lab, by path.
func (f Folders) List(ctx context.Context, lab string) (map[string]provider.Mark, error) {
	if lab == "" {
		return nil, nil
	}
	// One grep for all of them; where there is none it says so by its exit status of 1.
	const script = `cd -- "$1" 2>/dev/null || exit 0; set -- */` + markName + `; [ -e "$1" ] || exit 0; grep -H . /dev/null "$@"`
	out, err := f.Host.Run(ctx, host.Cmd("sh", "-c", script, "sh", f.lab(lab)))
	if failed, ok := errors.AsType[*host.CommandError](err); ok && failed.Exit == 1 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the folders of the lab: %w", err)
	}
	marks := map[string]provider.Mark{}
	for line := range strings.Lines(string(out.Stdout)) {
		name, text, _ := strings.Cut(line, "/"+markName+":")
		if mark, ok := provider.ParseMark(text); ok && mark.Lab == lab {
			marks[filepath.Join(f.lab(lab), name)] = mark
		}
	}
	return marks, nil
}
