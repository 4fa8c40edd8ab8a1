package image

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/image/debian"
	"github.com/labctl/labctl/schema"
)

// pooled is a provider with one image in its pool.
func pooled(t *testing.T) (*Provider, schema.Image) {
	t.Helper()
	p, path := testProvider(t), filepath.Join(t.TempDir(), "raw")
	writeFile(t, path, rawDisk(1))
	img := imageOf(path, sumOf(rawDisk(1)))
	if err := apply(t, p, img); err != nil {
		t.Fatal(err)
	}
	return p, img
}

func planOf(t *testing.T, p *Provider, img schema.Image) provider.Change {
	t.Helper()
	want := schema.Resource{Addr: schema.Addr{Kind: "image", Name: img.Name}, Body: &img}
	objects, err := p.Read(t.Context(), "lab", []schema.Resource{want})
	if err != nil || len(objects) != 1 {
		t.Fatalf("%d objects, %v", len(objects), err)
	}
	c, err := p.Plan(&want, &objects[0])
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A base that was damaged is noticed, and made again.
func TestDamagedBaseIsMended(t *testing.T) {
	p, img := pooled(t)
	if err := p.Pool().Verify(t.Context(), img.Key); err != nil {
		t.Fatal(err)
	}
	disk := filepath.Join(p.Pool().Path(img.Key), "disk.qcow2")
	before := content(t, p, img)
	if err := os.Truncate(disk, 1000); err != nil {
		t.Fatal(err)
	}
	if err := p.Pool().Verify(t.Context(), img.Key); err == nil || !strings.Contains(err.Error(), "disk.qcow2") {
		t.Errorf("verify: %v", err)
	}
	c := planOf(t, p, img)
	if c.Action != provider.Update || !strings.Contains(c.Why, "disk.qcow2") {
		t.Fatalf("plan: %v %q", c.Action, c.Why)
	}
	if err := p.Apply(t.Context(), "lab", c); err != nil {
		t.Fatal(err)
	}
	if c := planOf(t, p, img); c.Action != provider.NoOp {
		t.Errorf("plan after it: %v %q", c.Action, c.Why)
	}
	if string(content(t, p, img)) != string(before) {
		t.Errorf("the base made again is another one")
	}
}

// A base that was only touched or copied stays as it is.
func TestTouchedBaseStays(t *testing.T) {
	p, img := pooled(t)
	disk := filepath.Join(p.Pool().Path(img.Key), "disk.qcow2")
	if err := os.Chtimes(disk, time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(disk)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Apply(t.Context(), "lab", planOf(t, p, img)); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(disk)
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("the disk was made again: %v", err)
	}
	if c := planOf(t, p, img); c.Action != provider.NoOp {
		t.Errorf("plan after it: %v %q", c.Action, c.Why)
	}
}

// A folder without a manifest is what a crash leaves: no image, and in nobody's way.
func TestPartialFolderIsNoImage(t *testing.T) {
	p, img := pooled(t)
	if err := os.Remove(filepath.Join(p.Pool().Path(img.Key), manifestName)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Pool().Paths(img.Key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("paths: %v", err)
	}
	if all, err := p.Pool().List(); err != nil || len(all) != 0 {
		t.Errorf("list: %v %v", all, err)
	}
	if err := apply(t, p, img); err != nil {
		t.Fatal(err)
	}
	if err := p.Pool().Verify(t.Context(), img.Key); err != nil {
		t.Error(err)
	}
}

func TestDestroyKeepsImages(t *testing.T) {
	p, img := pooled(t)
	c := planOf(t, p, img)
	c, err := p.Plan(nil, c.Have)
	if err != nil || c.Action != provider.NoOp {
		t.Fatalf("plan of a destroy: %v %v", c.Action, err)
	}
	if err := p.Apply(t.Context(), "lab", c); err != nil {
		t.Fatal(err)
	}
	if err := p.Pool().Verify(t.Context(), img.Key); err != nil {
		t.Errorf("after it: %v", err)
	}
}

func TestPrune(t *testing.T) {
	p, kept := pooled(t)
	other := imageOf(kept.Source, "")
	if err := apply(t, p, other); err != nil {
		t.Fatal(err)
	}
	interrupted, err := p.Pool().Scratch("gone-0123")
	if err != nil {
		t.Fatal(err)
	}
	building, err := p.Pool().Scratch("busy-0123")
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := p.Pool().Lock(t.Context(), "busy-0123")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	part := filepath.Join(p.Pool().Dir, partialPrefix+"gone-0123")
	writeFile(t, part, []byte("some of it"))
	writeFile(t, part+".json", []byte("{}"))
	removed, err := p.Pool().Prune(func(m *Manifest) bool { return m.Image.Key == kept.Key })
	if err != nil || len(removed) != 4 {
		t.Errorf("removed %v, %v", removed, err)
	}
	for path, want := range map[string]bool{p.Pool().Path(kept.Key): true, building: true, interrupted: false, part: false, part + ".json": false, p.Pool().Path(other.Key): false} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s: there is %v, want %v", path, err == nil, want)
		}
	}
}

func TestRemove(t *testing.T) {
	p, img := pooled(t)
	if err := p.Pool().Remove(t.Context(), img.Key); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Pool().Manifest(img.Key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
	if err := p.Pool().Remove(t.Context(), img.Key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the second time: %v", err)
	}
}

// A Debian of another recipe is outdated, and yet no plan touches it: machines stand on it.
func TestOutdated(t *testing.T) {
	p, img := pooled(t)
	m, err := p.Pool().Manifest(img.Key)
	if err != nil || p.Outdated(m) {
		t.Fatalf("an image from a file is outdated: %v", err)
	}
	for recipe, want := range map[string]bool{debian.Recipe(): false, "another": true} {
		m.Image.Build, m.From = "debian", []Source{{"labctl", recipe}}
		if p.Outdated(m) != want || p.stale(t.Context(), m) != nil {
			t.Errorf("recipe %s: outdated is %t, stale %v", recipe, !want, p.stale(t.Context(), m))
		}
	}
	m.Image.Build, m.From = "debian", []Source{{"labctl", "another"}}
	if err := m.write(p.Pool().Path(img.Key)); err != nil {
		t.Fatal(err)
	}
	for _, used := range []bool{true, false, false} { // the third time it is not there
		if err := p.DropOutdated(t.Context(), img.Key, func(string) bool { return used }); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Pool().Manifest(img.Key); errors.Is(err, fs.ErrNotExist) == used {
			t.Errorf("used is %t: %v", used, err)
		}
	}
}

func TestKeysAreNames(t *testing.T) {
	p := testProvider(t)
	for _, key := range []string{"", ".", "..", "../x", "a/b", ".new-x"} {
		if _, err := p.Pool().Manifest(key); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v", key, err)
		}
	}
}

func TestCompareSources(t *testing.T) {
	have := []Source{{"labctl-guest", "1"}, {"kernel", "6.1"}, {"/usr/bin/tc", "5"}}
	want := []Source{{"labctl-guest", "2"}, {"kernel", "6.1"}, {"/usr/bin/ncat", "7"}}
	details := compareSources(have, want)
	var said []string
	for _, d := range details {
		said = append(said, d.Path)
	}
	if strings.Join(said, " ") != "labctl-guest /usr/bin/ncat /usr/bin/tc" {
		t.Errorf("changed: %v", said)
	}
	if compareSources(have, have) != nil {
		t.Errorf("equal sources differ")
	}
}

func TestCheck(t *testing.T) {
	p, img := pooled(t)
	dir := t.TempDir()
	if err := os.Remove(img.Source); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		img  schema.Image
		path string // of the attribute at fault, "" where nothing is
	}{
		"in the pool":    {img, ""},
		"micro":          {schema.Image{Build: "micro"}, ""},
		"url":            {schema.Image{Source: "https://images.invalid/x"}, ""},
		"no build":       {schema.Image{Build: "tiny"}, "build"},
		"nothing":        {schema.Image{}, "source"},
		"absent":         {schema.Image{Source: filepath.Join(dir, "absent")}, "source"},
		"folder":         {schema.Image{Source: dir}, "source"},
		"short checksum": {schema.Image{Source: "https://images.invalid/x", Checksum: "sha256:12"}, "checksum"},
		"other checksum": {schema.Image{Source: "https://images.invalid/x", Checksum: "md5:12"}, "checksum"},
	} {
		addr := schema.Addr{Kind: "image", Name: "base"}
		if test.img.Key == "" {
			test.img.Key = schema.ImageKey(test.img)
		}
		errs := p.Check(t.Context(), []schema.Resource{{Addr: addr, Body: &test.img}})
		if test.path == "" {
			if len(errs) != 0 {
				t.Errorf("%s: %v", name, errs)
			}
			continue
		}
		if len(errs) != 1 {
			t.Errorf("%s: %v", name, errs)
			continue
		}
		if known, ok := errors.AsType[*provider.Error](errs[0]); !ok || known.Path != test.path || known.Addr != addr {
			t.Errorf("%s: %#v", name, errs[0])
		}
	}
}
