package network

import (
	"fmt"
	"math"

	"github.com/vishvananda/netlink"

	"github.com/labctl/labctl/schema"
)

// netemOf is the netem qdisc at the root of a link, nil where there is none.
func netemOf(link netlink.Link) (*netlink.Netem, error) {
	qdiscs, err := netlink.QdiscList(link)
	if err != nil {
		return nil, fmt.Errorf("list qdiscs of %s: %w", link.Attrs().Name, err)
	}
	for _, q := range qdiscs {
		if netem, ok := q.(*netlink.Netem); ok && netem.Parent == netlink.HANDLE_ROOT {
			return netem, nil
		}
	}
	return nil, nil //nolint:nilnil // nil is "none"
}

func netem(link netlink.Link, want schema.Impair) *netlink.Netem {
	return netlink.NewNetem(
		netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Parent: netlink.HANDLE_ROOT, Handle: netlink.MakeHandle(1, 0)},
		netlink.NetemQdiscAttrs{
			Latency: uint32(want.DelayMS * 1000), Jitter: uint32(want.JitterMS * 1000), Loss: float32(want.Loss),
			Duplicate: float32(want.Duplicate), ReorderProb: float32(want.Reorder), Rate64: want.Rate / 8,
		})
}

// sameNetem compares what a lab can declare, as far as the kernel keeps it.
func sameNetem(have, want *netlink.Netem) bool {
	if have == nil {
		return false
	}
	return have.Latency == want.Latency && have.Jitter == want.Jitter && have.Loss == want.Loss &&
		have.Duplicate == want.Duplicate && have.ReorderProb == want.ReorderProb && have.Rate64 == want.Rate64
}

// ticks are netem's unit of time: the kernel's 64 ns (PSCHED_SHIFT 6).
const ticksPerMillisecond = 1e6 / 64

func observeImpair(have *schema.GuestInterface, want schema.GuestInterface, link netlink.Link) error {
	have.Impair = schema.Impair{}
	live, err := netemOf(link)
	if err != nil || live == nil {
		return err
	}
	if want.Impair != (schema.Impair{}) && sameNetem(live, netem(link, want.Impair)) {
		have.Impair = want.Impair
		return nil
	}
	percent := func(p uint32) float64 { return math.Round(float64(p)/math.MaxUint32*1e5) / 1e3 }
	milliseconds := func(ticks uint32) float64 { return math.Round(float64(ticks)/ticksPerMillisecond*1e3) / 1e3 }
	have.Impair = schema.Impair{
		DelayMS: milliseconds(live.Latency), JitterMS: milliseconds(live.Jitter), Loss: percent(live.Loss),
		Duplicate: percent(live.Duplicate), Reorder: percent(live.ReorderProb), Rate: live.Rate64 * 8,
	}
	return nil
}

func (n *Network) applyImpair(link netlink.Link, want schema.GuestInterface) error {
	live, err := netemOf(link)
	if err != nil {
		return err
	}
	if want.Impair == (schema.Impair{}) {
		if live == nil {
			return nil
		}
		if err := netlink.QdiscDel(live); err != nil {
			return fmt.Errorf("remove the impairment: %w", err)
		}
		n.Did("stop impairing %s", want.Name)
		return nil
	}
	wanted := netem(link, want.Impair)
	if sameNetem(live, wanted) {
		return nil
	}
	if err := netlink.QdiscReplace(wanted); err != nil {
		return fmt.Errorf("impair: %w", err)
	}
	n.Did("impair %s", want.Name)
	return nil
}
