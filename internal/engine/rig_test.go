package engine_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/labctl/labctl/internal/engine"
	"github.com/labctl/labctl/internal/plan"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/memory"
	"github.com/labctl/labctl/schema"
)

var kinds = []string{"image", "bridge", "network", "vm", "vm.guest", "host.sysctl", "host.nftables"}

// rig is an engine over a system in memory.
type rig struct {
	t        *testing.T
	system   *memory.System
	provider *memory.Provider
	engine   *engine.Engine
}

func newRig(t *testing.T) *rig {
	system := new(memory.System)
	r := &rig{t: t, system: system, provider: memory.New(system)}
	var bindings []engine.Binding
	for _, kind := range kinds {
		bindings = append(bindings, engine.Binding{Type: kind, Provider: r.provider})
	}
	r.engine = engine.New(bindings, engine.Options{})
	return r
}

// plan demands that lab can be planned.
func (r *rig) plan(lab *schema.Lab, opts engine.PlanOptions) *plan.Plan {
	r.t.Helper()
	p, err := r.engine.Plan(r.t.Context(), lab, opts)
	if err != nil {
		r.t.Fatalf("plan: %v", err)
	}
	return p
}

// apply demands that lab can be planned and applied, and that nothing is left then.
func (r *rig) apply(lab *schema.Lab, opts engine.PlanOptions) *plan.Report {
	r.t.Helper()
	report, err := r.engine.Apply(r.t.Context(), r.plan(lab, opts), engine.ApplyOptions{})
	if err != nil || !report.Converged {
		r.t.Fatalf("apply: %v, %+v", err, report)
	}
	return report
}

// says lists what a plan does, one "action address" an entry, sorted.
func says(p *plan.Plan) []string {
	list := []string{}
	for _, item := range p.Items {
		if item.Changes() {
			list = append(list, fmt.Sprintf("%s %s", item.Action, item.Addr))
		}
	}
	slices.Sort(list)
	return list
}

func (r *rig) expect(p *plan.Plan, want ...string) {
	r.t.Helper()
	slices.Sort(want)
	if got := says(p); !slices.Equal(got, want) {
		r.t.Errorf("the plan says\n\t%s\nand not\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// ran lists what an apply did in order of its ends.
func ran(report *plan.Report) []string {
	var list []string
	for _, o := range report.Outcomes {
		list = append(list, fmt.Sprintf("%s %s %s", o.Kind, o.Action, o.Addr))
	}
	return list
}

// before demands that one outcome stands before another.
func before(t *testing.T, report *plan.Report, first, second string) {
	t.Helper()
	list := ran(report)
	a, b := slices.Index(list, first), slices.Index(list, second)
	if a < 0 || b < 0 || a > b {
		t.Errorf("%q is not before %q in\n\t%s", first, second, strings.Join(list, "\n\t"))
	}
}

func at(text string) schema.Addr {
	addr, err := schema.ParseAddr(text)
	if err != nil {
		panic(err)
	}
	return addr
}

func ats(texts ...string) []schema.Addr {
	var list []schema.Addr
	for _, text := range texts {
		list = append(list, at(text))
	}
	return list
}

// lab makes a lab of resources.
func lab(resources ...schema.Resource) *schema.Lab {
	l := &schema.Lab{Name: "lab", Hosts: []schema.Host{{URI: "memory"}}, Resources: resources}
	l.Link()
	return l
}

func bridge(name string) schema.Resource {
	return schema.Resource{Addr: at("bridge." + name), Body: &schema.Bridge{Name: name, Addresses: []string{"192.168.1.1/24"}}}
}

func image(name string) schema.Resource {
	return schema.Resource{Addr: at("image." + name), Body: &schema.Image{Name: name, Build: "micro", Key: name}}
}

// vm makes a machine on a bridge, with its guest.
func vm(label, bridge string, edits ...func(*schema.Domain, *schema.Guest)) []schema.Resource {
	addr := at("vm." + label)
	name := "lab-" + strings.NewReplacer("[", "-", "]", "", `"`, "").Replace(label)
	d := &schema.Domain{
		Name: name, Running: true, Memory: 128 << 20, VCPUs: 1, Image: &schema.ImageRef{Addr: at("image.micro"), Key: "micro"},
		Interfaces: []schema.NIC{{
			Name: "eth0", Bridge: bridge, MAC: schema.InterfaceMAC("lab", addr, "eth0"), Model: "virtio", Link: "up",
		}},
	}
	g := &schema.Guest{Domain: name, Hostname: name, Interfaces: []schema.GuestInterface{{
		Name: "eth0", MAC: d.Interfaces[0].MAC, Addresses: []string{"192.168.1.10/24"}, ConnectedRoute: true,
	}}}
	for _, edit := range edits {
		edit(d, g)
	}
	guest := addr
	guest.Part = "guest"
	return []schema.Resource{
		{Addr: addr, Deps: ats("bridge."+bridge, "image.micro"), Body: d},
		{Addr: guest, Deps: []schema.Addr{addr}, Body: g},
	}
}

// small is two machines on two bridges.
func small() *schema.Lab {
	r := []schema.Resource{image("micro"), bridge("br0"), bridge("br1")}
	r = append(r, vm("a", "br0")...)
	return lab(append(r, vm("b", "br1")...)...)
}

// with is a lab with one resource's body edited.
func with[T any](l *schema.Lab, addr string, edit func(body *T)) *schema.Lab {
	for n := range l.Resources {
		if l.Resources[n].Addr == at(addr) {
			edit(l.Resources[n].Body.(*T))
		}
	}
	return l
}

// without is a lab with the resources that addr contains taken out.
func without(l *schema.Lab, addrs ...string) *schema.Lab {
	l.Resources = slices.DeleteFunc(l.Resources, func(r schema.Resource) bool {
		return slices.ContainsFunc(addrs, func(a string) bool { return at(a).Contains(r.Addr) })
	})
	return l
}

// lifecycle is a lab with one resource's lifecycle set.
func lifecycle(l *schema.Lab, addr string, life schema.Lifecycle) *schema.Lab {
	for n := range l.Resources {
		if l.Resources[n].Addr == at(addr) {
			l.Resources[n].Lifecycle = life
		}
	}
	return l
}

// detail finds the detail of an item.
func detail(t *testing.T, p *plan.Plan, addr, path string) provider.Detail {
	t.Helper()
	item := p.Item(at(addr))
	if item == nil {
		t.Fatalf("no item of %s", addr)
	}
	for _, d := range item.Details {
		if d.Path == path {
			return d
		}
	}
	t.Fatalf("%s has no detail %s: %+v", addr, path, item.Details)
	return provider.Detail{}
}

func readAll(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
