//go:build sandbox

package netplan

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/labctl/labctl/schema"
)

// randomBridge declares anything that a bridge can be declared as; what a kernel refuses is not among it.
func randomBridge(r *rand.Rand, n int, ports []string) schema.Resource {
	maybe := func(set func()) {
		if r.IntN(3) == 0 {
			set()
		}
	}
	within := func(low, high float64) *float64 { return new(low + float64(r.IntN(int(100*(high-low))))/100) }
	b := &schema.Bridge{Name: fmt.Sprintf("br%d", n)}
	for i := range r.IntN(4) {
		b.Addresses = append(b.Addresses, fmt.Sprintf("10.%d.%d.1/24", n, i))
	}
	six := fmt.Sprintf("fd00:%d::1", n)
	maybe(func() { b.Addresses = append(b.Addresses, six+"/64") })
	maybe(func() { b.MTU = 1280 + r.IntN(220) })
	maybe(func() { b.MAC = fmt.Sprintf("52:54:00:00:%02x:%02x", n, r.IntN(256)) })
	maybe(func() { b.Nameservers = []string{"9.9.9.9"} })
	maybe(func() { b.Search = []string{"lab.test"} })
	maybe(func() { b.AcceptRA = new(r.IntN(2) == 0) })
	maybe(func() { b.LinkLocal = [][]string{{}, {"ipv4"}, {"ipv6"}, {"ipv4", "ipv6"}}[r.IntN(4)] })
	maybe(func() { b.STP = new(r.IntN(2) == 0) })
	maybe(func() { b.ForwardDelay = within(2, 30) })
	maybe(func() { b.HelloTime = within(1, 10) })
	maybe(func() { b.MaxAge = within(6, 40) })
	maybe(func() { b.AgeingTime = within(1, 600) })
	maybe(func() { b.Priority = new(r.IntN(65536)) })
	maybe(func() { b.Optional = true })
	maybe(func() { b.Renderer = "networkd" })
	for _, port := range ports {
		maybe(func() { b.Interfaces = append(b.Interfaces, port) })
	}
	for _, port := range b.Interfaces {
		maybe(func() { b.PathCost = map[string]int{port: 1 + r.IntN(65535)} })
		maybe(func() { b.PortPriority = map[string]int{port: r.IntN(64)} })
	}
	if len(b.Addresses) > 0 && b.Addresses[0] != six+"/64" {
		via := fmt.Sprintf("10.%d.0.9", n)
		maybe(func() {
			b.Routes = append(b.Routes, schema.Route{To: fmt.Sprintf("10.%d.0.0/16", 100+n), Via: via, Metric: r.IntN(9)})
		})
		maybe(func() {
			b.Routes = append(b.Routes, schema.Route{To: "default", Via: via, Table: 1000 + n, OnLink: r.IntN(2) == 0})
		})
		maybe(func() { b.Routes = append(b.Routes, schema.Route{To: fmt.Sprintf("10.%d.0.0/16", 200+n)}) })
		maybe(func() {
			b.Routes = append(b.Routes, schema.Route{To: fmt.Sprintf("10.%d.0.0/16", 150+n), Via: via, Source: fmt.Sprintf("10.%d.0.1", n)})
		})
	}
	return schema.Resource{Addr: schema.Addr{Kind: "bridge", Name: fmt.Sprintf("n%d", n)}, Body: b}
}

// Whatever is declared, and whatever was before, one apply makes it so, and nothing is left to do.
func TestRandomBridgesLeaveNothingToDo(t *testing.T) {
	p := clean(t)
	before := snapshot(t)
	run(t, "sh", "-ec", "ip link add p0 type veth peer name q0; ip link add p1 type veth peer name q1; ip link set q0 up")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	const rounds, most = 30, 6
	bridges := 0
	for round := range rounds {
		var want []schema.Resource
		ports := []string{"p0", "p1"}
		for n := range most {
			if r.IntN(3) == 0 {
				continue
			}
			b := randomBridge(r, n, ports)
			for _, taken := range b.Body.(*schema.Bridge).Interfaces { // a link is a port of one bridge
				ports = without(ports, taken)
			}
			want = append(want, b)
		}
		bridges += len(want)
		t.Run(fmt.Sprint(round), func(t *testing.T) { converge(t, p, want...) })
		if t.Failed() {
			return
		}
	}
	converge(t, p)
	run(t, "sh", "-c", "ip link delete p0; ip link delete p1")
	if after := snapshot(t); after != before {
		t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
	}
	t.Logf("%d bridges in %d rounds", bridges, rounds)
}

func without(words []string, word string) []string {
	var left []string
	for _, w := range words {
		if w != word {
			left = append(left, w)
		}
	}
	return left
}
