package image

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
	"github.com/ulikunitz/xz"
)

func TestFetch(t *testing.T) {
	data := rawDisk(1)
	s := serve(t, data)
	p, img := testProvider(t), imageOf(s.URL, sumOf(data))
	if err := apply(t, p, img); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(content(t, p, img), data) {
		t.Errorf("the disk is not what the server has")
	}
	if left := leftovers(t, p); left != nil {
		t.Errorf("left over: %v", left)
	}
	if err := apply(t, p, img); err != nil || s.requests.Load() != 1 {
		t.Errorf("a second apply: %v, %d requests in all", err, s.requests.Load())
	}
	objects, err := p.Read(t.Context(), "lab", []schema.Resource{{Addr: schema.Addr{Kind: "image", Name: "base"}, Body: &img}})
	if err != nil || len(objects) != 1 || !objects[0].Owned("lab") {
		t.Fatalf("read: %v %v", objects, err)
	}
	c, err := p.Plan(&schema.Resource{Addr: schema.Addr{Kind: "image", Name: "base"}, Body: &img}, &objects[0])
	if err != nil || c.Action != provider.NoOp {
		t.Errorf("a plan after it: %v %v", c, err)
	}
}

// A connection that breaks is taken up again where it broke.
func TestFetchResumes(t *testing.T) {
	data := rawDisk(2)
	s := serve(t, data, 100_000, 200_000)
	p, img := testProvider(t), imageOf(s.URL, sumOf(data))
	if err := apply(t, p, img); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(content(t, p, img), data) {
		t.Errorf("the disk is not what the server has")
	}
	if want := []string{"", "bytes=100000-", "bytes=300000-"}; fmt.Sprint(s.ranges) != fmt.Sprint(want) {
		t.Errorf("asked for %q, want %q", s.ranges, want)
	}
}

// A server that breaks off without sending more is given up, and the next apply goes on from there.
func TestFetchGivesUpAndGoesOn(t *testing.T) {
	data := rawDisk(3)
	s := serve(t, data, 500_000, 0, 0, 0, 0, 0)
	p, img := testProvider(t), imageOf(s.URL, sumOf(data))
	err := apply(t, p, img)
	if err == nil || !strings.Contains(err.Error(), "after 5 tries") {
		t.Fatalf("with a server that breaks off: %v", err)
	}
	if _, err := p.Pool().Paths(img.Key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half an image is in the pool: %v", err)
	}
	if err := apply(t, p, img); err != nil {
		t.Fatal(err)
	}
	if last := s.ranges[len(s.ranges)-1]; last != "bytes=500000-" {
		t.Errorf("the second apply asked for %q", last)
	}
	if !bytes.Equal(content(t, p, img), data) {
		t.Errorf("the disk is not what the server has")
	}
}

// Without anything that tells whether the file is still the same, it is fetched from its beginning.
func TestFetchStartsAgainWithNothingToCompare(t *testing.T) {
	data := rawDisk(12)
	s := serve(t, data, 500_000)
	s.tag = ""
	p, img := testProvider(t), imageOf(s.URL, sumOf(data))
	if err := apply(t, p, img); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(s.ranges) != fmt.Sprint([]string{"", ""}) {
		t.Errorf("asked for %q", s.ranges)
	}
}

// When the file on the server is another one meanwhile, its beginning is fetched too.
func TestFetchStartsAgainWhenTheFileChanged(t *testing.T) {
	old, data := rawDisk(4), rawDisk(5)
	s := serve(t, old, 500_000, 0, 0, 0, 0, 0)
	p, img := testProvider(t), imageOf(s.URL, "")
	if err := apply(t, p, img); err == nil {
		t.Fatal("a server that breaks off: no error")
	}
	s.data, s.tag = data, `"two"`
	if err := apply(t, p, img); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(content(t, p, img), data) {
		t.Errorf("the disk mixes two files")
	}
}

func TestFetchRefusals(t *testing.T) {
	var requests int
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { requests++; http.NotFound(w, r) }))
	defer s.Close()
	p := testProvider(t)
	err := apply(t, p, imageOf(s.URL, ""))
	if err == nil || !strings.Contains(err.Error(), "404 Not Found") || requests != 1 {
		t.Errorf("%v after %d requests", err, requests)
	}
}

func TestChecksumDiffers(t *testing.T) {
	data, other := rawDisk(6), rawDisk(7)
	s := serve(t, data)
	p, img := testProvider(t), imageOf(s.URL, sumOf(other))
	err := apply(t, p, img)
	known, ok := errors.AsType[*provider.Error](err)
	if !ok || known.Path != "checksum" || known.Addr.String() != "image.base" || known.Hint == "" {
		t.Fatalf("%#v", err)
	}
	for _, digest := range []string{sumOf(data)[7:], sumOf(other)[7:]} {
		if !strings.Contains(err.Error(), digest) {
			t.Errorf("%s is not in %q", digest, err)
		}
	}
	if _, err := p.Pool().Paths(img.Key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is in the pool: %v", err)
	}
	for _, name := range leftovers(t, p) {
		if strings.HasPrefix(name, partialPrefix) {
			t.Errorf("%s is kept", name)
		}
	}
}

func TestCompressedSources(t *testing.T) {
	data := rawDisk(8)
	packers := map[string]func(io.Writer) (io.WriteCloser, error){
		"gz":  func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil },
		"xz":  func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) },
		"zst": func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) },
	}
	for name, packer := range packers {
		var packed bytes.Buffer
		w, err := packer(&packed)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		p, path := testProvider(t), filepath.Join(t.TempDir(), "disk."+name)
		writeFile(t, path, packed.Bytes())
		img := imageOf(path, sumOf(packed.Bytes()))
		if err := apply(t, p, img); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !bytes.Equal(content(t, p, img), data) {
			t.Errorf("%s: the disk is not what was packed", name)
		}
		writeFile(t, path, packed.Bytes()[:packed.Len()-100])
		cut := imageOf(path, "")
		if err := apply(t, p, cut); err == nil {
			t.Errorf("%s: a file that was cut became a base", name)
		}
	}
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestUnfitSources(t *testing.T) {
	dir := t.TempDir()
	raw, whole := filepath.Join(dir, "raw"), filepath.Join(dir, "whole.qcow2")
	writeFile(t, raw, rawDisk(9))
	for _, args := range [][]string{
		{"convert", "-f", "raw", "-O", "qcow2", raw, whole},
		{"create", "-q", "-f", "qcow2", "-F", "raw", "-b", raw, filepath.Join(dir, "overlay.qcow2")},
		{"convert", "-f", "raw", "-O", "qcow2", "-o", "data_file=" + raw + ".data", raw, filepath.Join(dir, "external.qcow2")},
	} {
		if _, err := (host.Local{}).Run(t.Context(), host.Cmd(append([]string{"qemu-img"}, args...)...)); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "cut.qcow2"), data[:len(data)/2])
	writeFile(t, filepath.Join(dir, "empty"), nil)
	for name, want := range map[string]string{
		"overlay.qcow2": "stands on another file", "external.qcow2": "stands on another file", "cut.qcow2": "damaged", "empty": "empty",
		"absent": "no such file",
	} {
		p, img := testProvider(t), imageOf(filepath.Join(dir, name), "")
		if err := apply(t, p, img); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
		if _, err := p.Pool().Paths(img.Key); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: it is in the pool: %v", name, err)
		}
	}
}

// Two applies at once fetch once.
func TestFetchOnce(t *testing.T) {
	data := rawDisk(10)
	s := serve(t, data)
	first := testProvider(t)
	second := &Provider{host: first.host, pool: first.pool, client: first.client, retryAfter: first.retryAfter}
	img := imageOf(s.URL, sumOf(data))
	var group sync.WaitGroup
	for _, p := range []*Provider{first, second} {
		group.Go(func() {
			if err := apply(t, p, img); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := s.requests.Load(); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// Progress is told, and whoever hears it can stop the apply there.
func TestFetchStops(t *testing.T) {
	s := serve(t, rawDisk(11))
	p, img := testProvider(t), imageOf(s.URL, "")
	stop := errors.New("stop")
	ctx := provider.WithSteps(t.Context(), func(stage string) error {
		if strings.HasPrefix(stage, "fetch") {
			return stop
		}
		return nil
	})
	want := schema.Resource{Addr: schema.Addr{Kind: "image", Name: "base"}, Body: &img}
	if err := p.Apply(ctx, "lab", provider.Change{Addr: want.Addr, Action: provider.Create, Want: &want}); !errors.Is(err, stop) {
		t.Errorf("stopped: %v", err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Apply(canceled, "lab", provider.Change{Addr: want.Addr, Action: provider.Create, Want: &want}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}
