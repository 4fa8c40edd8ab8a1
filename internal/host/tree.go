package host

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// RemoveTree removes a folder with all that is in it, but nothing that is mounted there. One that is not there is no error.
func RemoveTree(ctx context.Context, h Host, path string) error {
	if _, local := h.(Local); local {
		if done, err := removeFlat(path); done || err != nil {
			return err
		}
	}
	_, err := h.Run(ctx, Cmd("rm", "-rf", "--one-file-system", "--", path))
	return err
}

// removeFlat removes a folder of files with no process: where a thousand go, a process for each takes most of the time.
// It leaves one that has folders in it, which may be mounts, as it is.
func removeFlat(path string) (done bool, err error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil || !info.IsDir() {
		return false, err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return false, err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			return false, nil
		}
	}
	for _, entry := range entries {
		if err := os.Remove(filepath.Join(path, entry.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	return true, os.Remove(path)
}

// hole is the run of zeroes from which on a file is left with a hole: a block of most file systems.
const hole = 4096

// writeSparse writes data to an empty file, with holes where it is zero.
func writeSparse(f *os.File, data []byte) error {
	var zeroes [hole]byte
	for at := 0; at < len(data); at += hole {
		block := data[at:min(at+hole, len(data))]
		if bytes.Equal(block, zeroes[:len(block)]) {
			continue
		}
		if _, err := f.WriteAt(block, int64(at)); err != nil {
			return err
		}
	}
	return f.Truncate(int64(len(data)))
}
