package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/schema"
)

// rawDisk is a small raw disk: noise, then a hole, then noise.
func rawDisk(seed uint64) []byte {
	random := rand.New(rand.NewPCG(seed, 1))
	data := make([]byte, 1<<20)
	for i := range data {
		if i < 300_000 || i > 1_000_000 {
			data[i] = byte(random.Uint32())
		}
	}
	return data
}

// server serves one file under an entity tag, as a test tells it to.
type server struct {
	*httptest.Server
	mu       sync.Mutex
	data     []byte
	tag      string
	cutAt    []int // of the first answers: bytes of the body after which the connection is cut
	ranges   []string
	requests atomic.Int32
}

func serve(t *testing.T, data []byte, cutAt ...int) *server {
	t.Helper()
	s := &server{data: data, tag: `"one"`, cutAt: cutAt}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		s.mu.Lock()
		data, cut := s.data, -1
		w.Header().Set("ETag", s.tag)
		s.ranges = append(s.ranges, r.Header.Get("Range"))
		if len(s.cutAt) > 0 {
			cut, s.cutAt = s.cutAt[0], s.cutAt[1:]
		}
		s.mu.Unlock()
		if cut >= 0 {
			w = &cutter{w, cut}
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}))
	t.Cleanup(s.Close)
	return s
}

// cutter ends the connection after so many bytes of the body.
type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(p []byte) (int, error) {
	if len(p) > c.left {
		_, _ = c.ResponseWriter.Write(p[:c.left])
		_ = http.NewResponseController(c.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	c.left -= len(p)
	return c.ResponseWriter.Write(p)
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func testProvider(t *testing.T) *Provider {
	t.Helper()
	p := New(host.Local{}, t.TempDir(), Options{})
	p.retryAfter = time.Millisecond
	return p
}

func imageOf(source, checksum string) schema.Image {
	img := schema.Image{Name: "base", Source: source, Checksum: checksum}
	img.Key = schema.ImageKey(img)
	return img
}

func apply(t *testing.T, p *Provider, img schema.Image) error {
	t.Helper()
	want := schema.Resource{Addr: schema.Addr{Kind: "image", Name: img.Name}, Body: &img}
	c, err := p.Plan(&want, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p.Apply(t.Context(), "lab", c)
}

// content is what a machine would see on an image's disk.
func content(t *testing.T, p *Provider, img schema.Image) []byte {
	t.Helper()
	paths, err := p.Pool().Paths(img.Key)
	if err != nil {
		t.Fatal(err)
	}
	raw := filepath.Join(t.TempDir(), "raw")
	if _, err := (host.Local{}).Run(t.Context(), host.Cmd("qemu-img", "convert", "-f", "qcow2", "-O", "raw", paths.Disk, raw)); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// leftovers lists what is in the pool beside whole images and locks.
func leftovers(t *testing.T, p *Provider) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(p.pool.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if _, err := p.pool.Manifest(entry.Name()); err != nil && !strings.HasPrefix(entry.Name(), ".lock-") {
			names = append(names, entry.Name())
		}
	}
	return names
}
