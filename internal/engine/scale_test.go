package engine_test

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/labctl/labctl/internal/engine"
	"github.com/labctl/labctl/provider/memory"
	"github.com/labctl/labctl/schema"
)

// wide is a lab of size resources: machines with their guests, twenty on a bridge.
func wide(size int) *schema.Lab {
	r := []schema.Resource{image("micro")}
	for n := 0; len(r) < size; n++ {
		name := fmt.Sprintf("br%d", n/20)
		if n%20 == 0 {
			r = append(r, bridge(name))
		}
		r = append(r, vm(fmt.Sprintf("m[%d]", n), name)...)
	}
	return lab(r...)
}

// system is an engine over a system in memory, without a test's demands.
func system(e *engine.Options) *engine.Engine {
	p := memory.New(new(memory.System))
	var bindings []engine.Binding
	for _, kind := range kinds {
		bindings = append(bindings, engine.Binding{Type: kind, Provider: p})
	}
	return engine.New(bindings, *e)
}

var sizes = []int{1000, 5000}

func BenchmarkNoOpPlan(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			e, l := system(&engine.Options{}), wide(size)
			p, err := e.Plan(b.Context(), l, engine.PlanOptions{})
			if err != nil {
				b.Fatal(err)
			}
			if _, err := e.Apply(b.Context(), p, engine.ApplyOptions{}); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if p, err := e.Plan(b.Context(), l, engine.PlanOptions{}); err != nil || !p.Empty() {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkApplyAndDestroy(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			l := wide(size)
			for b.Loop() {
				e := system(&engine.Options{})
				for _, opts := range []engine.PlanOptions{{}, {Destroy: true}} {
					p, err := e.Plan(b.Context(), l, opts)
					if err != nil {
						b.Fatal(err)
					}
					if report, err := e.Apply(b.Context(), p, engine.ApplyOptions{}); err != nil || !report.Converged {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// cpu is the processor time that the process has used: unlike the clock, it does not count what other processes take.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	check(t, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// TestGrowsLinearly holds the engine's own work at 2,500 resources against that at 500. Five times the resources may
// take twelve times as long, caches and collector included: what grows with the square would take twenty-five times.
func TestGrowsLinearly(t *testing.T) {
	took := map[int]time.Duration{}
	for _, size := range []int{500, 2500} {
		l := wide(size)
		best := time.Duration(1 << 62)
		for range 2 {
			e := system(&engine.Options{})
			runtime.GC()
			began := cpu(t)
			for _, opts := range []engine.PlanOptions{{}, {}, {Destroy: true}} {
				p, err := e.Plan(t.Context(), l, opts)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := e.Apply(t.Context(), p, engine.ApplyOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			best = min(best, cpu(t)-began)
		}
		took[size] = best
	}
	ratio := float64(took[2500]) / float64(took[500])
	t.Logf("500: %s, 2,500: %s, ratio %.1f", took[500], took[2500], ratio)
	if ratio > 12 {
		t.Errorf("five times the resources take %.1f times as long", ratio)
	}
}
