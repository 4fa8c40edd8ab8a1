package osinfo

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
)

// document is one file, as far as it matters here.
type document struct {
	Systems []entry `xml:"os"`
	Devices []struct {
		ID    string  `xml:"id,attr"`
		Named []named `xml:"name"`
	} `xml:"device"`
}

// entry is one <os> as it is written, with nothing of those that it derives from.
type entry struct {
	ID      string   `xml:"id,attr"`
	Short   []string `xml:"short-id"`
	Named   []named  `xml:"name"`
	Family  string   `xml:"family"`
	Derives []link   `xml:"derives-from"`
	Clones  []link   `xml:"clones"`
	Devices []link   `xml:"devices>device"`

	Firmware []struct {
		Arch      string `xml:"arch,attr"`
		Type      string `xml:"type,attr"`
		Supported string `xml:"supported,attr"`
	} `xml:"firmware"`
	Resources []resources `xml:"resources"`
}

type named struct {
	Lang string `xml:"lang,attr"`
	Text string `xml:",chardata"`
}

type link struct {
	ID        string `xml:"id,attr"`
	Supported string `xml:"supported,attr"`
}

type resources struct {
	Arch        string  `xml:"arch,attr"`
	Inherit     string  `xml:"inherit,attr"`
	Minimum     amounts `xml:"minimum"`
	Recommended amounts `xml:"recommended"`
}

type amounts struct {
	RAM     string `xml:"ram"`
	Storage string `xml:"storage"`
	CPUs    string `xml:"n-cpus"`
}

func (a amounts) amount(resource string) uint64 {
	text := map[string]string{"ram": a.RAM, "storage": a.Storage, "n-cpus": a.CPUs}[resource]
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// plain is the name that is not a translation, "" where there is none.
func plain(names []named) string {
	for _, n := range names {
		if n.Lang == "" {
			return n.Text
		}
	}
	return ""
}

// extend adds what another file says of the same system.
func (e *entry) extend(more *entry) {
	for _, name := range more.Short {
		if !slices.Contains(e.Short, name) {
			e.Short = append(e.Short, name)
		}
	}
	if more.Family != "" {
		e.Family = more.Family
	}
	e.Derives, e.Clones = append(e.Derives, more.Derives...), append(e.Clones, more.Clones...)
	e.Devices = append(e.Devices, more.Devices...)
	e.Firmware = append(e.Firmware, more.Firmware...)
	e.Resources = append(more.Resources, e.Resources...)
}

func links(list []link) []string {
	ids := make([]string, 0, len(list))
	for _, l := range list {
		ids = append(ids, l.ID)
	}
	return ids
}

// files lists the database's files in the order in which they count. A file of a later place takes the place of the one of
// the same path in an earlier, and an empty one, or a link to /dev/null, takes it away. What lies in NAME.d extends
// NAME.xml, from whatever place.
func files(places []string) ([]string, error) {
	byPath := make(map[string]string)
	for _, place := range places {
		for _, kind := range []string{"device", "os"} {
			root := filepath.Join(place, kind)
			if !isFolder(root) {
				continue
			}
			err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
				if err != nil || entry.IsDir() || filepath.Ext(path) != ".xml" {
					return err
				}
				relative, err := filepath.Rel(place, path)
				if err == nil {
					byPath[relative] = path
				}
				return err
			})
			if err != nil {
				return nil, fmt.Errorf("libosinfo's database: %w", err)
			}
		}
	}
	order := slices.SortedFunc(maps.Keys(byPath), func(a, b string) int {
		return strings.Compare(sortKey(a), sortKey(b))
	})
	out := make([]string, 0, len(order))
	for _, relative := range order {
		out = append(out, byPath[relative])
	}
	return out, nil
}

// sortKey puts what extends a file behind it.
func sortKey(relative string) string {
	folder, file := filepath.Split(relative)
	if extended, ok := strings.CutSuffix(filepath.Clean(folder), ".d"); ok {
		return extended + "\x01" + file
	}
	return strings.TrimSuffix(relative, ".xml") + "\x00"
}

// decode reads the files side by side.
func decode(paths []string) ([]*document, error) {
	docs := make([]*document, len(paths))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, path := range paths {
		group.Go(func() error {
			text, err := os.ReadFile(path)
			if err != nil {
				return fmt.Errorf("libosinfo's database: %w", err)
			}
			docs[i] = new(document)
			err = xml.NewDecoder(bytes.NewReader(text)).Decode(docs[i])
			if err != nil && !errors.Is(err, io.EOF) { // an empty file masks another
				return fmt.Errorf("libosinfo's database: %s: %w", path, err)
			}
			return nil
		})
	}
	return docs, group.Wait()
}
