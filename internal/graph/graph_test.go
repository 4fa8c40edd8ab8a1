package graph

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func of(waits map[string][]string, order ...string) *Graph[string] {
	g := new(Graph[string])
	for _, key := range order {
		g.Add(key)
	}
	for _, key := range order {
		for _, need := range waits[key] {
			g.Wait(key, need)
		}
	}
	return g
}

func TestOrderPutsNeedsFirstAndKeepsTheRest(t *testing.T) {
	g := of(map[string][]string{"a": {"c"}, "b": nil, "c": {"d"}}, "a", "b", "c", "d")
	got, err := g.Order()
	if err != nil || !slices.Equal(got, []string{"d", "c", "a", "b"}) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestCycleIsNamedByItsPath(t *testing.T) {
	g := of(map[string][]string{"start": {"a"}, "a": {"b"}, "b": {"c"}, "c": {"a"}}, "start", "a", "b", "c")
	_, err := g.Order()
	cycle, is := errors.AsType[*CycleError[string]](err)
	if !is || !slices.Equal(cycle.Path, []string{"a", "b", "c"}) {
		t.Fatalf("%v", err)
	}
	if want := "these wait for each other: a → b → c → a"; err.Error() != want {
		t.Errorf("%q, not %q", err, want)
	}
	if _, err := g.Walk(t.Context(), Options[string]{}, nil); err == nil {
		t.Error("a cycle was walked")
	}
	self := of(map[string][]string{"a": {"a"}}, "a")
	if _, err := self.Order(); err == nil || err.Error() != "these wait for each other: a → a" {
		t.Errorf("of itself: %v", err)
	}
}

func TestReach(t *testing.T) {
	g := of(map[string][]string{"vm": {"bridge", "image"}, "guest": {"vm"}}, "bridge", "image", "vm", "guest")
	if got := g.Reach(Forward, "vm"); len(got) != 3 || got["guest"] {
		t.Errorf("forward: %v", got)
	}
	if got := g.Reach(Backward, "bridge", "unknown"); len(got) != 3 || got["image"] {
		t.Errorf("backward: %v", got)
	}
}

// TestWalkIsWideAndKeepsOrder walks random graphs and holds every start against the ends before it.
func TestWalkIsWideAndKeepsOrder(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		g := new(Graph[int])
		for n := range 60 {
			g.Add(n)
			for range random.IntN(4) {
				if n > 0 {
					g.Wait(n, random.IntN(n))
				}
			}
		}
		var mu sync.Mutex
		ended := map[int]bool{}
		failing := random.IntN(60)
		results, err := g.Walk(t.Context(), Options[int]{Parallel: 8}, func(_ context.Context, n int) error {
			mu.Lock()
			defer mu.Unlock()
			for _, need := range g.Needs(n) {
				if !ended[need] {
					t.Errorf("seed %d: %d began before %d ended", seed, n, need)
				}
			}
			if n == failing {
				return errors.New("it fails")
			}
			ended[n] = true
			return nil
		})
		if err != nil || len(results) != 60 {
			t.Fatalf("seed %d: %d results, %v", seed, len(results), err)
		}
		spoiled := g.Reach(Backward, failing)
		for _, r := range results {
			switch {
			case r.Key == failing:
				if r.Err == nil || r.Skipped {
					t.Errorf("seed %d: the failing node: %+v", seed, r)
				}
			case spoiled[r.Key] != r.Skipped, r.Skipped && r.Cause != failing, !r.Skipped && r.Err != nil:
				t.Errorf("seed %d: %+v; it waits for the failing one: %v", seed, r, spoiled[r.Key])
			}
		}
	}
}

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := new(Graph[int])
		for n := range 40 {
			g.Add(n)
		}
		var all, odd, most, mostOdd atomic.Int32
		rise := func(now, most *atomic.Int32) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
		}
		began := time.Now()
		_, err := g.Walk(t.Context(), Options[int]{
			Parallel: 10, Limits: map[string]int{"odd": 2},
			Class: func(n int) string { return []string{"even", "odd"}[n%2] },
		}, func(_ context.Context, n int) error {
			rise(&all, &most)
			defer all.Add(-1)
			if n%2 == 1 {
				rise(&odd, &mostOdd)
				defer odd.Add(-1)
			}
			time.Sleep(time.Second)
			return nil
		})
		if err != nil || most.Load() != 10 || mostOdd.Load() != 2 {
			t.Errorf("%d at once, %d odd, %v", most.Load(), mostOdd.Load(), err)
		}
		if took := time.Since(began); took != 10*time.Second { // 20 odd, two at once
			t.Errorf("it took %s", took)
		}
	})
}

// TestLongestChainFirst: with two places and a chain of four beside four single nodes, the chain must begin at once.
func TestLongestChainFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := of(map[string][]string{"c4": {"c3"}, "c3": {"c2"}, "c2": {"c1"}}, "s1", "s2", "s3", "s4", "c1", "c2", "c3", "c4")
		began := time.Now()
		_, err := g.Walk(t.Context(), Options[string]{Parallel: 2}, func(context.Context, string) error {
			time.Sleep(time.Second)
			return nil
		})
		if took := time.Since(began); err != nil || took != 4*time.Second {
			t.Errorf("%s, %v", took, err)
		}
	})
}

func TestStopLetsWhatIsUnderWayEnd(t *testing.T) {
	g := of(map[string][]string{"b": {"a"}, "d": {"c"}}, "a", "b", "c", "d")
	stop := make(chan struct{})
	results, err := g.Walk(t.Context(), Options[string]{Parallel: 1, Stop: stop}, func(_ context.Context, key string) error {
		close(stop)
		return nil
	})
	if err != nil || len(results) != 4 {
		t.Fatalf("%v, %v", results, err)
	}
	for n, r := range results {
		if n == 0 && (r.Skipped || r.Err != nil) || n > 0 && (!r.Skipped || !errors.Is(r.Err, ErrStopped)) {
			t.Errorf("%d: %+v", n, r)
		}
	}
}

func TestCancelBeginsNothingMore(t *testing.T) {
	g := of(nil, "a", "b", "c")
	ctx, cancel := context.WithCancel(t.Context())
	results, err := g.Walk(ctx, Options[string]{Parallel: 1}, func(ctx context.Context, key string) error {
		cancel()
		return ctx.Err()
	})
	if err != nil || len(results) != 3 {
		t.Fatalf("%v, %v", results, err)
	}
	for n, r := range results {
		if !errors.Is(r.Err, context.Canceled) || r.Skipped != (n > 0) {
			t.Errorf("%d: %+v", n, r)
		}
	}
}

// BenchmarkWalk has ten layers in which every node waits for three of the layer before.
func BenchmarkWalk(b *testing.B) {
	for _, size := range []int{1000, 10000} {
		b.Run(map[int]string{1000: "1000", 10000: "10000"}[size], func(b *testing.B) {
			for b.Loop() {
				g := new(Graph[int])
				layer := size / 10
				for n := range size {
					g.Add(n)
					for k := range 3 {
						if n >= layer {
							g.Wait(n, (n/layer-1)*layer+(n*7+k*13)%layer)
						}
					}
				}
				if _, err := g.Walk(b.Context(), Options[int]{Parallel: 16}, func(context.Context, int) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
