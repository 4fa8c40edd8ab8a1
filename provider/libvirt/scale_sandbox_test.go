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
	rawDefine, rawRead, rawUndefine := w.raw(texts)

	define := w.all(wants, provider.Create)
	w.steps = nil
	began := time.Now()
	objects, err := w.p.Read(w.ctx, testLab, wants)
	if err != nil || len(objects) != n {
		t.Fatalf("%d objects, %v", len(objects), err)
	}
	parsed := time.Since(began)
	for i := range objects {
		want := wants[0]
		for _, r := range wants {
			if r.Addr == objects[i].Addr {
				want = r
			}
		}
		if c, err := w.p.Plan(&want, &objects[i]); err != nil || c.Action != provider.NoOp {
			t.Fatalf("the plan is %s %v, %v", c.Action, c.Details, err)
		}
	}
	read := time.Since(began)
	undefine := w.all(wants, provider.Delete)
	t.Logf("define %s raw %s: %.2f", define, rawDefine, ratio(define, rawDefine))
	t.Logf("read %s (plan %s) raw %s: %.2f", parsed, read-parsed, rawRead, ratio(parsed, rawRead))
	t.Logf("undefine %s raw %s: %.2f", undefine, rawUndefine, ratio(undefine, rawUndefine))
	spare := 500 * time.Millisecond * time.Duration(n) / 1000
	for what, times := range map[string][2]time.Duration{
		"define": {define, rawDefine}, "no-op plan": {read, rawRead}, "undefine": {undefine, rawUndefine},
	} {
		if limit := times[1]*3/2 + spare; times[0] > limit {
			t.Errorf("%s takes %s, more than 1.5 times what libvirt takes by itself, %s, and %s", what, times[0], times[1], spare)
		}
	}
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

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
