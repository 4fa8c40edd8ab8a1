package host

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// Local is the machine that labctl runs on.
type Local struct{}

// Run implements Host.
func (Local) Run(ctx context.Context, c Command) (Output, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(c.Stdin), &stdout, &stderr
	cmd.Dir = c.Dir
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	cmd.Env = append(cmd.Env, c.Env...)
	err := cmd.Run()
	out := Output{Stdout: stdout.Bytes(), Stderr: stderr.Bytes()}
	if err == nil {
		return out, nil
	}
	exit := -1
	if exited, ok := errors.AsType[*exec.ExitError](err); ok {
		exit = exited.ExitCode()
	}
	return out, &CommandError{Args: c.Args, Exit: exit, Stderr: stderr.String(), Err: err}
}

// ReadFile implements Host.
func (Local) ReadFile(_ context.Context, path string) ([]byte, error) { return os.ReadFile(path) }

// WriteFile implements Host.
func (Local) WriteFile(_ context.Context, path string, data []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	pending, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithPermissions(mode), renameio.WithExistingPermissions(), renameio.IgnoreUmask())
	if err != nil {
		return err
	}
	defer pending.Cleanup() //nolint:errcheck // there is nothing to clean up after a success
	if err := writeSparse(pending.File, data); err != nil {
		return err
	}
	if err := pending.CloseAtomicallyReplace(); err != nil {
		return err
	}
	// The new name is in the folder, which has to be on the disk too before a power cut cannot bring the old file back.
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}

// Remove implements Host.
func (Local) Remove(_ context.Context, path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
