//go:build sandbox

package main

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// guarded is how many machines the guard makes in CI; LABCTL_TEST_MACHINES says another number.
const guarded = 250

// TestScale guards what BenchmarkScale measures: that labctl as a whole stays near to what libvirt costs. Its bounds are
// wide and it has several tries, since other programs' work on the machine is in the times.
func TestScale(t *testing.T) {
	const (
		tries  = 4
		factor = 3
		spare  = 1500 * time.Millisecond
		memory = 300 << 20
	)
	c := newCrowd(t, "image", numberOf(t, "LABCTL_TEST_MACHINES", guarded))
	var r race
	for range tries {
		r = c.race()
		t.Logf("%d machines: %s", c.n, r)
		if r.apply < factor*r.define+spare && r.plan < factor*r.dump+spare && r.destroy < factor*r.undefine+spare && r.peak < memory {
			return
		}
	}
	t.Errorf("in each of %d runs labctl took more than %d × libvirt's own time and %s, or %d MB", tries, factor, spare, memory>>20)
}

// BenchmarkScale holds labctl as a whole, from its start to its end, against libvirt alone over one connection, in the same
// run. With LABCTL_TEST_SOAK set it goes on to 5,000 machines and tells how the times grow.
func BenchmarkScale(b *testing.B) {
	sizes := []int{1000}
	if os.Getenv("LABCTL_TEST_SOAK") != "" {
		sizes = append(sizes, 5000)
	}
	for _, kind := range []string{"bare", "image"} {
		seen := map[int]race{}
		for _, n := range sizes {
			b.Run(fmt.Sprintf("%s/%d", kind, n), func(b *testing.B) {
				c := newCrowd(b, kind, n)
				for b.Loop() {
					seen[n] = c.race()
				}
				seen[n].report(b)
			})
		}
		first, last := seen[sizes[0]], seen[sizes[len(sizes)-1]]
		if last != first {
			fmt.Fprintf(os.Stderr, "%s: with 5 × the machines apply takes %.1f ×, plan %.1f ×, destroy %.1f × the time, and %.1f × the memory\n",
				kind, ratio(last.apply, first.apply), ratio(last.plan, first.plan), ratio(last.destroy, first.destroy),
				float64(last.peak)/float64(first.peak))
		}
	}
}

func ratio(a, b time.Duration) float64 { return a.Seconds() / b.Seconds() }

func (r race) report(b *testing.B) {
	b.ReportMetric(0, "ns/op")
	for _, row := range []struct {
		name      string
		ours, raw time.Duration
	}{{"apply", r.apply, r.define}, {"plan", r.plan, r.dump}, {"destroy", r.destroy, r.undefine}} {
		b.ReportMetric(row.ours.Seconds(), "s/"+row.name)
		b.ReportMetric(ratio(row.ours, row.raw), row.name+"/libvirt")
	}
	// Who removes just what is a lab's has to read first whose everything is.
	b.ReportMetric(ratio(r.destroy, r.dump+r.undefine), "destroy/libvirt-read-too")
	b.ReportMetric(float64(r.peak>>20), "peak-MB")
	fmt.Fprintf(os.Stderr, "%s: %s\n", b.Name(), r)
}
