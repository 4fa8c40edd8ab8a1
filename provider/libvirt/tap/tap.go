// Package tap reads and changes the host's ends of network cards, as the kernel has them.
package tap

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/vishvananda/netlink"

	"github.com/labctl/labctl/internal/host"
)

// Tap is what the kernel knows of the host's end of a network card. libvirt's XML goes on naming the old bridge after
// somebody has moved the tap, or has made the bridge anew under it.
type Tap struct {
	Master string // name of the bridge it is attached to, "" for none
	MTU    int
	Rate   uint64 // bits per second that it lets through towards the machine; 0 for all
}

// Links reads and changes links of the machine that the domains run on.
type Links interface {
	// Read is every link by its name.
	Read(ctx context.Context) (map[string]Tap, error)
	Enslave(ctx context.Context, link, bridge string) error
	SetMTU(ctx context.Context, link string, mtu int) error
	// Limit lets through so many bits per second towards the machine; 0 lifts the limit.
	Limit(ctx context.Context, link string, rate uint64) error
}

// On are the links of the machine h.
func On(h host.Host) Links {
	if _, here := h.(host.Local); here {
		return local{}
	}
	return remote{h}
}

// local asks this machine's kernel, see rtnetlink(7).
type local struct{}

func (local) Read(context.Context) (map[string]Tap, error) {
	links, err := netlink.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("list links: %w", err)
	}
	names := map[int]string{}
	for _, link := range links {
		names[link.Attrs().Index] = link.Attrs().Name
	}
	limits, err := limits()
	if err != nil {
		return nil, err
	}
	out := map[string]Tap{}
	for _, link := range links {
		out[link.Attrs().Name] = Tap{Master: names[link.Attrs().MasterIndex], MTU: link.Attrs().MTU, Rate: limits[link.Attrs().Index]}
	}
	return out, nil
}

func (local) Enslave(_ context.Context, name, bridge string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	master, err := netlink.LinkByName(bridge)
	if err != nil {
		return fmt.Errorf("bridge %s: %w", bridge, err)
	}
	return netlink.LinkSetMaster(link, master)
}

func (local) SetMTU(_ context.Context, name string, mtu int) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return netlink.LinkSetMTU(link, mtu)
}

// remote asks another machine through ip(8).
type remote struct{ host host.Host }

func (r remote) Read(ctx context.Context) (map[string]Tap, error) {
	out, err := r.host.Run(ctx, host.Cmd("ip", "-json", "link", "show"))
	if err != nil {
		return nil, err
	}
	var links []struct {
		Name   string `json:"ifname"`
		Master string `json:"master"`
		MTU    int    `json:"mtu"`
	}
	if err := json.Unmarshal(out.Stdout, &links); err != nil {
		return nil, fmt.Errorf("ip -json link show: %w", err)
	}
	limits, err := r.limits(ctx)
	if err != nil {
		return nil, err
	}
	found := map[string]Tap{}
	for _, link := range links {
		found[link.Name] = Tap{Master: link.Master, MTU: link.MTU, Rate: limits[link.Name]}
	}
	return found, nil
}

func (r remote) Enslave(ctx context.Context, link, bridge string) error {
	_, err := r.host.Run(ctx, host.Cmd("ip", "link", "set", "dev", link, "master", bridge))
	return err
}

func (r remote) SetMTU(ctx context.Context, link string, mtu int) error {
	_, err := r.host.Run(ctx, host.Cmd("ip", "link", "set", "dev", link, "mtu", strconv.Itoa(mtu)))
	return err
}
