//go:build sandbox

package libvirt

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"libvirt.org/go/libvirt"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/domainxml"
	"github.com/labctl/labctl/schema"
)

// many is how many domains are made; LABCTL_SCALE sets another number.
func many(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("LABCTL_SCALE"))
	if err != nil {
		n = 300
	}
	t.Logf("%d domains", n)
	return n
}

// TestScale holds what the provider adds to what libvirt itself costs, in the same run: defining, reading with nothing to
// do, and undefining many domains.
func TestScale(t *testing.T) {
	w := newWorld(t)
	n := many(t)
	var wants []schema.Resource
	var texts []string
	for i := range n {
		r := schema.Resource{Addr: schema.Addr{Kind: "vm", Name: "v", Key: strconv.Itoa(i)}, Deps: []schema.Addr{{Kind: "bridge", Name: "tbr0"}}}
		d := &schema.Domain{
			Name: fmt.Sprintf("t-v-%d", i), Memory: 64 << 20, VCPUs: 1, Virt: "qemu",
			Interfaces: []schema.NIC{{Name: "eth0", Bridge: "tbr0", MAC: schema.InterfaceMAC(testLab, r.Addr, "eth0"), Model: "virtio", Link: "up"}},
		}
		r.Body = d
		wants = append(wants, r)
		x, err := domainxml.Build(domainxml.Spec{Mark: provider.MarkOf("raw", &r), UUID: schema.UUID("raw", r.Addr), Want: d, Virt: "qemu"})
		if err != nil {
			t.Fatal(err)
		}
		x.Name = "raw-" + x.Name
		text, err := x.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text)
	}
	var slow []string
	for range tries {
		if slow = w.race(wants, texts); slow == nil {
			return
		}
	}
	t.Errorf("in each of %d runs something took more than 1.5 times what libvirt takes by itself and half a second for 1,000 domains, last %v", tries, slow)
}

// tries is how often the race is run until it is won: on a machine that others use as well, one run says little.
const tries = 4

// race takes the times of libvirt by itself and of the provider, and returns where the provider is too slow.
func (w *world) race(wants []schema.Resource, texts []string) (slow []string) {
	w.Helper()
	rawDefine, rawRead, rawUndefine := w.raw(texts)
	define := w.all(wants, provider.Create)
	began := time.Now()
	objects, err := w.p.Read(w.ctx, testLab, wants)
	if err != nil || len(objects) != len(wants) {
		w.Fatalf("%d objects, %v", len(objects), err)
	}
	byAddr := map[schema.Addr]*provider.Object{}
	for i := range objects {
		byAddr[objects[i].Addr] = &objects[i]
	}
	for _, want := range wants {
		if c, err := w.p.Plan(&want, byAddr[want.Addr]); err != nil || c.Action != provider.NoOp {
			w.Fatalf("the plan is %s %v, %v", c.Action, c.Details, err)
		}
	}
	plan := time.Since(began)
	undefine := w.all(wants, provider.Delete)
	spare := 500 * time.Millisecond * time.Duration(len(wants)) / 1000
	for _, row := range []struct {
		what      string
		ours, raw time.Duration
	}{{"define", define, rawDefine}, {"no-op plan", plan, rawRead}, {"undefine", undefine, rawUndefine}} {
		w.Logf("%s: %s, libvirt by itself %s, ratio %.2f", row.what, row.ours, row.raw, float64(row.ours)/float64(row.raw))
		if row.ours > row.raw*3/2+spare {
			slow = append(slow, row.what)
		}
	}
	return slow
}

// raw is what libvirt itself takes, over one connection and one call after the other.
func (w *world) raw(texts []string) (define, read, undefine time.Duration) {
	w.Helper()
	err := w.conn.Use(func(link *libvirt.Connect) error {
		began := time.Now()
		for _, text := range texts {
			dom, err := link.DomainDefineXML(text)
			if err != nil {
				return err
			}
			_ = dom.Free()
		}
		define = time.Since(began)
		began = time.Now()
		list, err := link.ListAllDomains(0)
		if err != nil {
			return err
		}
		for i := range list {
			if _, err := list[i].GetXMLDesc(libvirt.DOMAIN_XML_INACTIVE); err != nil {
				return err
			}
		}
		read = time.Since(began)
		began = time.Now()
		for i := range list {
			if err := list[i].Undefine(); err != nil {
				return err
			}
			_ = list[i].Free()
		}
		undefine = time.Since(began)
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
	return define, read, undefine
}

// all plans and applies every resource, ten side by side as the engine does.
func (w *world) all(wants []schema.Resource, action provider.Action) time.Duration {
	w.Helper()
	objects, err := w.p.Read(w.ctx, testLab, wants)
	if err != nil {
		w.Fatal(err)
	}
	have := map[schema.Addr]*provider.Object{}
	for i := range objects {
		have[objects[i].Addr] = &objects[i]
	}
	ctx := w.Context()
	began := time.Now()
	var group errgroup.Group
	group.SetLimit(10)
	for _, want := range wants {
		group.Go(func() error {
			c := provider.Change{Addr: want.Addr, Action: action, Want: &want, Have: have[want.Addr]}
			if action == provider.Delete {
				c.Want = nil
			}
			return w.p.Apply(ctx, testLab, c)
		})
	}
	if err := group.Wait(); err != nil {
		w.Fatal(err)
	}
	return time.Since(began)
}
