package network

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/labctl/labctl/schema"
)

// A link is impaired by netem (tc-netem(8)). That works on what a link sends; what arrives is led through a link of its own
// first, an ifb, and is impaired as that sends it on.

// Values of schema.Impair.Direction.
const (
	arriving = "in"
	leaving  = "out"
)

// ifbName is the link through which what arrives at another is led.
func ifbName(link netlink.Link) string { return "impair" + strconv.Itoa(link.Attrs().Index) }

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

// findIFB is the link of that name, nil where there is none.
func findIFB(link netlink.Link) (netlink.Link, error) {
	ifb, err := netlink.LinkByName(ifbName(link))
	if _, none := errors.AsType[netlink.LinkNotFoundError](err); none {
		return nil, nil //nolint:nilnil // nil is "none"
	}
	return ifb, err
}

// ifbOf is the link through which what arrives is led, nil where it comes straight.
func ifbOf(link netlink.Link) (netlink.Link, error) {
	ifb, err := findIFB(link)
	if err != nil || ifb == nil {
		return nil, err
	}
	filters, err := netlink.FilterList(link, netlink.HANDLE_MIN_INGRESS)
	if err != nil {
		return nil, fmt.Errorf("list what leads to %s: %w", ifb.Attrs().Name, err)
	}
	for _, f := range filters {
		if all, ok := f.(*netlink.MatchAll); ok && len(all.Actions) == 1 {
			if to, ok := all.Actions[0].(*netlink.MirredAction); ok && to.Ifindex == ifb.Attrs().Index {
				return ifb, nil
			}
		}
	}
	return nil, nil //nolint:nilnil // nothing leads there
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
	if have == nil || want == nil {
		return have == want
	}
	return have.Latency == want.Latency && have.Jitter == want.Jitter && have.Loss == want.Loss &&
		have.Duplicate == want.Duplicate && have.ReorderProb == want.ReorderProb && have.Rate64 == want.Rate64
}

// ticks are netem's unit of time: the kernel's 64 ns (PSCHED_SHIFT 6).
const ticksPerMillisecond = 1e6 / 64

// shown is what a netem qdisc does in the words of a lab.
func shown(live *netlink.Netem) schema.Impair {
	percent := func(p uint32) float64 { return math.Round(float64(p)/math.MaxUint32*1e5) / 1e3 }
	milliseconds := func(ticks uint32) float64 { return math.Round(float64(ticks)/ticksPerMillisecond*1e3) / 1e3 }
	return schema.Impair{
		DelayMS: milliseconds(live.Latency), JitterMS: milliseconds(live.Jitter), Loss: percent(live.Loss),
		Duplicate: percent(live.Duplicate), Reorder: percent(live.ReorderProb), Rate: live.Rate64 * 8,
	}
}

// wantedOn is the netem that a link is to have for one direction, nil for none.
func wantedOn(link netlink.Link, want schema.Impair, direction string) *netlink.Netem {
	if want == (schema.Impair{}) || want.Direction != "" && want.Direction != direction {
		return nil
	}
	return netem(link, want)
}

// impairment is what works on a link just now, both ways.
func impairment(link netlink.Link) (out, in *netlink.Netem, err error) {
	if out, err = netemOf(link); err != nil {
		return nil, nil, err
	}
	ifb, err := ifbOf(link)
	if err != nil || ifb == nil {
		return out, nil, err
	}
	in, err = netemOf(ifb)
	return out, in, err
}

func observeImpair(have *schema.GuestInterface, want schema.GuestInterface, link netlink.Link) error {
	have.Impair = schema.Impair{}
	out, in, err := impairment(link)
	if err != nil {
		return err
	}
	if sameNetem(out, wantedOn(link, want.Impair, leaving)) && sameNetem(in, wantedOn(link, want.Impair, arriving)) {
		have.Impair = want.Impair
		return nil
	}
	switch {
	case out != nil:
		have.Impair = shown(out)
		if !sameNetem(out, in) {
			have.Impair.Direction = leaving
		}
	case in != nil:
		have.Impair = shown(in)
		have.Impair.Direction = arriving
	}
	return nil
}

func (n *Network) applyImpair(link netlink.Link, want schema.GuestInterface) error {
	out, in, err := impairment(link)
	if err != nil {
		return err
	}
	wantedOut, wantedIn := wantedOn(link, want.Impair, leaving), wantedOn(link, want.Impair, arriving)
	if sameNetem(out, wantedOut) && sameNetem(in, wantedIn) {
		return nil
	}
	if err := setNetem(out, wantedOut); err != nil {
		return err
	}
	if wantedIn == nil {
		err = straight(link)
	} else {
		err = throughIFB(link, want.Impair)
	}
	if err != nil {
		return err
	}
	if want.Impair == (schema.Impair{}) {
		n.Did("stop impairing %s", want.Name)
	} else {
		n.Did("impair %s", want.Name)
	}
	return nil
}

// setNetem makes a link's root qdisc the wanted one, or the kernel's own again.
func setNetem(live, want *netlink.Netem) error {
	switch {
	case sameNetem(live, want):
	case want == nil:
		if err := netlink.QdiscDel(live); err != nil {
			return fmt.Errorf("remove the impairment: %w", err)
		}
	default:
		if err := netlink.QdiscReplace(want); err != nil {
			return fmt.Errorf("impair (has the kernel sch_netem?): %w", err)
		}
	}
	return nil
}

// throughIFB leads what arrives at a link through another one, and impairs it there. The way is opened last, so that no packet
// gets lost meanwhile.
func throughIFB(link netlink.Link, want schema.Impair) error {
	ifb, err := findIFB(link)
	if err == nil && ifb == nil {
		err = netlink.LinkAdd(&netlink.Ifb{LinkAttrs: netlink.LinkAttrs{Name: ifbName(link), MTU: link.Attrs().MTU}})
		if err == nil {
			ifb, err = netlink.LinkByName(ifbName(link))
		}
	}
	if err != nil {
		return fmt.Errorf("a link for what arrives (has the kernel ifb?): %w", err)
	}
	if err := netlink.LinkSetUp(ifb); err != nil {
		return err
	}
	live, err := netemOf(ifb)
	if err != nil {
		return err
	}
	if err := setNetem(live, netem(ifb, want)); err != nil {
		return err
	}
	if there, err := ifbOf(link); err != nil || there != nil {
		return err
	}
	index := link.Attrs().Index
	ingress := &netlink.Ingress{QdiscAttrs: netlink.QdiscAttrs{LinkIndex: index, Parent: netlink.HANDLE_INGRESS, Handle: netlink.MakeHandle(0xffff, 0)}}
	if err := netlink.QdiscAdd(ingress); err != nil && !errors.Is(err, syscall.EEXIST) {
		return fmt.Errorf("impair what arrives: %w", err)
	}
	err = netlink.FilterAdd(&netlink.MatchAll{
		FilterAttrs: netlink.FilterAttrs{LinkIndex: index, Parent: netlink.MakeHandle(0xffff, 0), Priority: 1, Protocol: unix.ETH_P_ALL},
		Actions:     []netlink.Action{netlink.NewMirredAction(ifb.Attrs().Index)},
	})
	if err != nil {
		return fmt.Errorf("lead what arrives through %s: %w", ifb.Attrs().Name, err)
	}
	return nil
}

// straight lets what arrives at a link come straight again.
func straight(link netlink.Link) error {
	there, err := ifbOf(link)
	if err != nil {
		return err
	}
	if there != nil {
		err = netlink.QdiscDel(&netlink.Ingress{QdiscAttrs: netlink.QdiscAttrs{
			LinkIndex: link.Attrs().Index, Parent: netlink.HANDLE_INGRESS, Handle: netlink.MakeHandle(0xffff, 0),
		}})
		if err != nil {
			return fmt.Errorf("let what arrives come straight: %w", err)
		}
	}
	ifb, err := findIFB(link)
	if err != nil || ifb == nil {
		return err
	}
	return netlink.LinkDel(ifb)
}
