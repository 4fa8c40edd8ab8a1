package image

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/ulikunitz/xz"
)

// isURL reports whether a source is fetched, and not a path.
func isURL(source string) bool {
	return strings.HasPrefix(source, "http://") || strings.HasPrefix(source, "https://")
}

// makeFromSource makes an image of a file: fetched, checked against its checksum, unpacked, and brought into the form
// of qcow2. Nothing of it counts before all of that is done.
func (p *Provider) makeFromSource(ctx context.Context, scratch string, m *Manifest) error {
	path := m.Image.Source
	if isURL(path) {
		part := filepath.Join(p.pool.Dir, partialPrefix+m.Image.Key)
		if err := p.fetch(ctx, part, m.Image.Source); err != nil {
			return &provider.Error{
				Op: "fetch " + m.Image.Source, Path: "source", Err: err, Hint: "apply again: what has arrived is kept, and only the rest is fetched",
			}
		}
		path = part
	}
	if err := provider.Step(ctx, "check"); err != nil {
		return err
	}
	if err := checkSum(ctx, path, m.Image.Checksum); err != nil {
		if isURL(m.Image.Source) {
			err = errors.Join(err, os.Remove(path+".json"), os.Remove(path)) // more of the same would not mend it
		}
		return &provider.Error{
			Op: "check " + m.Image.Source, Path: "checksum", Err: err,
			Hint: "if the image was published anew, take its new checksum from the publisher and write it into the lab",
		}
	}
	plain, err := unpack(ctx, path, filepath.Join(scratch, "unpacked"))
	if err != nil {
		return &provider.Error{Op: "unpack " + m.Image.Source, Path: "source", Err: err}
	}
	if err := p.convert(ctx, plain, filepath.Join(scratch, "disk.qcow2"), m.Image.Format); err != nil {
		return err
	}
	if isURL(m.Image.Source) {
		if err := errors.Join(os.Remove(path+".json"), os.Remove(path)); err != nil {
			return err
		}
	}
	if err := os.Remove(filepath.Join(scratch, "unpacked")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

const partialPrefix = ".part-"

// newHash is the hash that a checksum names, and the digest that it wants.
func newHash(checksum string) (hash.Hash, string, error) {
	name, want, found := strings.Cut(checksum, ":")
	var sum hash.Hash
	switch name {
	case "sha256":
		sum = sha256.New()
	case "sha512":
		sum = sha512.New()
	}
	if !found || sum == nil {
		return nil, "", fmt.Errorf(`checksum %q: write "sha256:DIGEST" or "sha512:DIGEST"`, checksum)
	}
	want = strings.ToLower(want)
	if digest, err := hex.DecodeString(want); err != nil || len(digest) != sum.Size() {
		return nil, "", fmt.Errorf("checksum %q: a %s digest has %d hexadecimal digits", checksum, name, 2*sum.Size())
	}
	return sum, want, nil
}

// checkSum compares a file with a checksum; none is always right.
func checkSum(ctx context.Context, path, checksum string) error {
	if checksum == "" {
		return nil
	}
	sum, want, err := newHash(checksum)
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(sum, contextReader{ctx, f}); err != nil {
		return err
	}
	if have := hex.EncodeToString(sum.Sum(nil)); have != want {
		name, _, _ := strings.Cut(checksum, ":")
		return fmt.Errorf("its %s is %s, the lab says %s", name, have, want)
	}
	return nil
}

// unpack unpacks a compressed file to the path into, and returns the path of the plain file: path itself where it is not
// compressed. What it is, its first bytes say.
func unpack(ctx context.Context, path, into string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	in := bufio.NewReaderSize(contextReader{ctx, f}, 1<<20)
	head, err := in.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	var plain io.Reader
	switch {
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		plain, err = xz.NewReader(in)
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		var decoder *zstd.Decoder
		if decoder, err = zstd.NewReader(in, zstd.WithDecoderMaxWindow(1<<31)); err == nil {
			defer decoder.Close()
			plain = decoder
		}
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		plain, err = gzip.NewReader(in)
	default:
		return path, nil
	}
	if err != nil {
		return "", err
	}
	if err := provider.Step(ctx, "unpack"); err != nil {
		return "", err
	}
	return into, writeSparse(into, plain)
}

// writeSparse writes a file with holes where there are only zeros, since disk images are mostly that.
func writeSparse(path string, r io.Reader) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}()
	var size int64
	block, zeros := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, readErr := fillBlock(r, block)
		if !bytes.Equal(block[:n], zeros[:n]) {
			if _, err := f.WriteAt(block[:n], size); err != nil {
				return err
			}
		}
		size += int64(n)
		if errors.Is(readErr, io.EOF) {
			return f.Truncate(size)
		}
		if readErr != nil {
			return readErr
		}
	}
}

// fillBlock reads until the block is full or the reader has an error, which it returns as it is: io.ReadFull would make one of a
// stream that ends and of one that was cut.
func fillBlock(r io.Reader, block []byte) (n int, err error) {
	for n < len(block) && err == nil {
		var more int
		more, err = r.Read(block[n:])
		n += more
	}
	return n, err
}

// diskInfo is what qemu-img(1) says of an image file.
type diskInfo struct {
	Format   string `json:"format"`
	Size     int64  `json:"virtual-size"`
	Backing  string `json:"full-backing-filename"`
	Specific struct {
		Data struct {
			DataFile string `json:"data-file"`
		} `json:"data"`
	} `json:"format-specific"`
}

// convert makes a qcow2 disk of an image file. A file that points at other files is refused: it would bring what they hold into
// the pool, or break when they go.
func (p *Provider) convert(ctx context.Context, from, to, format string) error {
	if err := provider.Step(ctx, "convert"); err != nil {
		return err
	}
	args := []string{"qemu-img", "info", "--output=json"}
	if format != "" {
		args = append(args, "-f", format)
	}
	fail := func(err error) error { return &provider.Error{Op: "read image file", Path: "source", Err: err} }
	out, err := p.host.Run(ctx, host.Cmd(append(args, from)...))
	if err != nil {
		return fail(err)
	}
	var info diskInfo
	if err := json.Unmarshal(out.Stdout, &info); err != nil {
		return fail(fmt.Errorf("qemu-img info: %w", err))
	}
	if info.Backing != "" || info.Specific.Data.DataFile != "" {
		return fail(fmt.Errorf("it stands on another file, %s%s: only a whole image can be a base", info.Backing, info.Specific.Data.DataFile))
	}
	if info.Size == 0 {
		return fail(errors.New("it is empty"))
	}
	if info.Format == "qcow2" { // reading past the end of a file gives zeros and no error, so a file that was cut is looked for
		if _, err := p.host.Run(ctx, host.Cmd("qemu-img", "check", "-q", "-f", "qcow2", from)); err != nil {
			return fail(fmt.Errorf("it is damaged: %w", err))
		}
	}
	if _, err := p.host.Run(ctx, host.Cmd("qemu-img", "convert", "-q", "-f", info.Format, "-O", "qcow2", from, to)); err != nil {
		return fail(err)
	}
	return nil
}
