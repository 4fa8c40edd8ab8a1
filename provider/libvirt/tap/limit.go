package tap

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/vishvananda/netlink"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// A tap's own queue holds what is on its way to the machine, so a token bucket there (tc-tbf(8)) limits what arrives. The other way
// would take a link between, which stays behind when the machine stops.

// Rate is a declared rate, bits per second, as the kernel keeps it: in bytes.
func Rate(declared uint64) uint64 { return declared / 8 * 8 }

// A bucket holds what passes in so many milliseconds at least, and one packet that the kernel has not cut yet (64 KiB); and as
// much again waits, for so long at most.
const (
	burstMilliseconds = 10
	leastBurst        = 64 << 10
	waitMilliseconds  = 50
)

// bucket is the burst and the limit of a token bucket, in bytes.
func bucket(rate uint64) (burst, limit uint32) {
	bytes := rate / 8
	burst = uint32(min(max(bytes*burstMilliseconds/1000, leastBurst), 1<<30))
	return burst, uint32(min(bytes*waitMilliseconds/1000+uint64(burst), 1<<31))
}

// SetRate makes the link let through what is declared for the card, where it lets through something else now.
func SetRate(ctx context.Context, links Links, link string, nic schema.NIC, now uint64) error {
	want := Rate(nic.Impair.Rate)
	if want == now {
		return nil
	}
	op := "limit what " + link + " passes on"
	if want == 0 {
		op = "lift the limit of " + link
	}
	if err := provider.Step(ctx, op); err != nil {
		return err
	}
	if err := links.Limit(ctx, link, want); err != nil {
		return &provider.Error{Op: op, Path: "interface." + nic.Name + ".impair", Err: err}
	}
	return nil
}

// limits is the rate of each link that has a token bucket, bits per second, by the link's index.
func limits() (map[int]uint64, error) {
	qdiscs, err := netlink.QdiscList(nil)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("list queues of links: %w", err)
	}
	out := map[int]uint64{}
	for _, q := range qdiscs {
		if tbf, ok := q.(*netlink.Tbf); ok && tbf.Parent == netlink.HANDLE_ROOT {
			out[tbf.LinkIndex] = tbf.Rate * 8
		}
	}
	return out, nil
}

func (local) Limit(_ context.Context, name string, rate uint64) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	attrs := netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Parent: netlink.HANDLE_ROOT}
	if rate == 0 {
		return netlink.QdiscDel(&netlink.Tbf{QdiscAttrs: attrs}) // whoever made it, and under whatever handle
	}
	attrs.Handle = netlink.MakeHandle(1, 0)
	burst, limit := bucket(rate)
	err = netlink.QdiscReplace(&netlink.Tbf{QdiscAttrs: attrs, Rate: rate / 8, Limit: limit, Buffer: netlink.Xmittime(rate/8, burst)})
	if err != nil {
		return fmt.Errorf("limit %s (has the host's kernel sch_tbf?): %w", name, err)
	}
	return nil
}

// limits of a machine elsewhere, by the names of links.
func (r remote) limits(ctx context.Context) (map[string]uint64, error) {
	out, err := r.host.Run(ctx, host.Cmd("tc", "-json", "qdisc", "show"))
	if err != nil {
		return nil, err
	}
	var qdiscs []struct {
		Kind    string `json:"kind"`
		Dev     string `json:"dev"`
		Root    bool   `json:"root"`
		Options struct {
			Rate uint64 `json:"rate"` // bytes per second
		} `json:"options"`
	}
	if err := json.Unmarshal(out.Stdout, &qdiscs); err != nil {
		return nil, fmt.Errorf("tc -json qdisc show: %w", err)
	}
	found := map[string]uint64{}
	for _, q := range qdiscs {
		if q.Kind == "tbf" && q.Root {
			found[q.Dev] = q.Options.Rate * 8
		}
	}
	return found, nil
}

func (r remote) Limit(ctx context.Context, link string, rate uint64) error {
	if rate == 0 {
		_, err := r.host.Run(ctx, host.Cmd("tc", "qdisc", "del", "dev", link, "root"))
		return err
	}
	burst, limit := bucket(rate)
	text := func(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
	_, err := r.host.Run(ctx, host.Cmd("tc", "qdisc", "replace", "dev", link, "root", "handle", "1:", "tbf",
		"rate", strconv.FormatUint(rate, 10)+"bit", "burst", text(burst), "limit", text(limit)))
	return err
}
