package host

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// File is a file with what is in it.
type File struct {
	Path string
	Data []byte
}

// ReadFiles reads all files below the folder root that match one of the patterns, which are relative to it and as glob(7)
// has them, in one round trip. They come in the order of the patterns, and by name for each. What matches no file is no error.
func ReadFiles(ctx context.Context, h Host, root string, patterns ...string) ([]File, error) {
	if _, local := h.(Local); local {
		return readLocal(root, patterns)
	}
	const script = `cd "$0" || exit; n=$#
		for pattern; do for f in $pattern; do [ -f "$f" ] && set -- "$@" "$f"; done; done; shift "$n"
		[ $# -eq 0 ] || exec tar --hard-dereference -chf - -- "$@"`
	out, err := h.Run(ctx, Cmd(append([]string{"sh", "-c", script, root}, patterns...)...))
	if err != nil {
		return nil, err
	}
	var files []File
	for archive := tar.NewReader(bytes.NewReader(out.Stdout)); ; {
		head, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read files of %s: %w", strings.Join(patterns, ", "), err)
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", head.Name, err)
		}
		files = append(files, File{Path: path.Join(root, head.Name), Data: data})
	}
}

func readLocal(root string, patterns []string) ([]File, error) {
	var files []File
	for _, pattern := range patterns {
		names, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return nil, fmt.Errorf("pattern %s: %w", pattern, err)
		}
		slices.Sort(names)
		for _, name := range names {
			info, err := os.Stat(name)
			if err != nil || !info.Mode().IsRegular() {
				continue // gone since, a link to nowhere, or a folder
			}
			data, err := os.ReadFile(name)
			if err != nil {
				return nil, err
			}
			files = append(files, File{Path: name, Data: data})
		}
	}
	return files, nil
}
