package machine

import (
	"maps"
	"path/filepath"
	"slices"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/domainxml"
	"github.com/labctl/labctl/schema"
)

// Strays are the folders of machines that somebody undefined. Where the machine is declared it is made anew, in a fresh
// folder; where not, its files are an object to delete.
func Strays(marks map[string]provider.Mark, domains []provider.Object, want []schema.Resource) []provider.Object {
	for _, o := range domains {
		delete(marks, o.Aux.(*Machine).Meta.Folder)
	}
	for path, mark := range marks {
		if slices.ContainsFunc(want, func(r schema.Resource) bool { return r.Addr == mark.Addr }) {
			delete(marks, path)
		}
	}
	var out []provider.Object
	for _, path := range slices.Sorted(maps.Keys(marks)) {
		mark, name := marks[path], filepath.Base(path)
		out = append(out, provider.Object{
			Mark: mark, Addr: mark.Addr, Deps: mark.Deps, ID: name, Body: &schema.Domain{Name: name},
			Aux: &Machine{Meta: domainxml.Meta{Mark: mark, Folder: path}},
		})
	}
	return out
}
