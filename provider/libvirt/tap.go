package libvirt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/vishvananda/netlink"

	"github.com/labctl/labctl/internal/host"
)

// tap is what the kernel knows of the host's end of a network card. libvirt's XML goes on naming the old bridge after
// somebody has moved the tap, or has made the bridge anew under it.
type tap struct {
	Master string // name of the bridge it is attached to, "" for none
	MTU    int
}

// taps reads and changes links of the machine that the domains run on.
type taps interface {
	read(ctx context.Context) (map[string]tap, error)
	enslave(ctx context.Context, link, bridge string) error
	setMTU(ctx context.Context, link string, mtu int) error
}

func tapsOf(h host.Host) taps {
	if _, local := h.(host.Local); local {
		return localTaps{}
	}
	return remoteTaps{h}
}

// localTaps asks this machine's kernel, see rtnetlink(7).
type localTaps struct{}

func (localTaps) read(context.Context) (map[string]tap, error) {
	links, err := netlink.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("list links: %w", err)
	}
	names := map[int]string{}
	for _, link := range links {
		names[link.Attrs().Index] = link.Attrs().Name
	}
	out := map[string]tap{}
	for _, link := range links {
		out[link.Attrs().Name] = tap{Master: names[link.Attrs().MasterIndex], MTU: link.Attrs().MTU}
	}
	return out, nil
}

func (localTaps) enslave(_ context.Context, name, bridge string) error {
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

func (localTaps) setMTU(_ context.Context, name string, mtu int) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return netlink.LinkSetMTU(link, mtu)
}

// remoteTaps asks another machine through ip(8).
type remoteTaps struct{ host host.Host }

func (r remoteTaps) read(ctx context.Context) (map[string]tap, error) {
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
	found := map[string]tap{}
	for _, link := range links {
		found[link.Name] = tap{Master: link.Master, MTU: link.MTU}
	}
	return found, nil
}

func (r remoteTaps) enslave(ctx context.Context, link, bridge string) error {
	_, err := r.host.Run(ctx, host.Cmd("ip", "link", "set", "dev", link, "master", bridge))
	return err
}

func (r remoteTaps) setMTU(ctx context.Context, link string, mtu int) error {
	_, err := r.host.Run(ctx, host.Cmd("ip", "link", "set", "dev", link, "mtu", strconv.Itoa(mtu)))
	return err
}
