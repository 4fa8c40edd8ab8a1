package courier

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/google/renameio/v2"
)

// file is a file that a command writes on the near machine.
type file struct {
	Path string      `json:"path"` // as the command's arguments name it
	Mode fs.FileMode `json:"mode"`
	// Whole is a file that takes its name when it is whole, and not before. Another one is there from its first byte on.
	Whole bool `json:"whole"`
}

// inboxFiles are the files that are coming.
type inboxFiles struct {
	may  []string
	open map[byte]io.WriteCloser
}

func newInboxFiles(may []string) *inboxFiles {
	return &inboxFiles{may: may, open: make(map[byte]io.WriteCloser)}
}

// take does what a frame says. Only files that the user has named are written: the far machine is not obeyed in more.
func (in *inboxFiles) take(f frame) error {
	if len(f.payload) == 0 {
		return errors.New("a frame of a file that has no number")
	}
	n, rest := f.payload[0], f.payload[1:]
	if f.kind == frameFile {
		var what file
		if err := json.Unmarshal(rest, &what); err != nil {
			return err
		}
		if !slices.Contains(in.may, what.Path) {
			return fmt.Errorf("the far machine wants to write %s, which the command does not name", what.Path)
		}
		w, err := create(what)
		if err != nil {
			return err
		}
		in.open[n] = w
		return nil
	}
	w := in.open[n]
	if w == nil {
		return nil // it could not be opened, which was told
	}
	if f.kind == frameText {
		_, err := w.Write(rest)
		return err
	}
	delete(in.open, n)
	return w.Close()
}

// close drops what did not become whole.
func (in *inboxFiles) close() error {
	var errs []error
	for _, w := range in.open {
		if p, pending := w.(pendingFile); pending {
			errs = append(errs, p.Cleanup())
			continue
		}
		errs = append(errs, w.Close())
	}
	return errors.Join(errs...)
}

func create(what file) (io.WriteCloser, error) {
	if !what.Whole {
		return os.OpenFile(what.Path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, what.Mode)
	}
	p, err := renameio.NewPendingFile(what.Path, renameio.WithPermissions(what.Mode), renameio.IgnoreUmask())
	return pendingFile{p}, err
}

// pendingFile takes its name when it is closed.
type pendingFile struct{ *renameio.PendingFile }

func (p pendingFile) Close() error { return p.CloseAtomicallyReplace() }
