package guest

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/labctl/labctl/internal/helper"
	"github.com/labctl/labctl/internal/host"
)

// SettleTime is how long after a boot the helper watches over the network. The system's own network daemon, which has its own
// idea of it, configures each link when its carrier comes, and that may be after the helper has run.
const SettleTime = 30 * time.Second

const (
	pause      = 100 * time.Millisecond // after a change, for others that belong to it
	maxMending = 20                     // times that the network is mended: a daemon that insists wins in the end, and a plan tells
)

// background starts Settle in a process of its own where the guest has a network daemon, so that the boot goes on.
func (s System) background(ctx context.Context) error {
	if s.Root != "" || !s.exists("/run/systemd/system") && !s.exists("/run/openrc") {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	_, err = s.Host.Run(ctx, host.Cmd("sh", "-c", `setsid "$@" </dev/null >/dev/null 2>&1 &`, "sh", self, helper.Settle))
	return err
}

// Settle keeps the network as it is kept for this boot until ctx is done, and returns how often it had to.
func (s System) Settle(ctx context.Context) (mended int, err error) {
	changes, err := changes(ctx.Done())
	if err != nil {
		return 0, err
	}
	for mended < maxMending {
		did, err := s.mendNetwork(ctx)
		if err != nil {
			return mended, err
		}
		if did {
			mended++
		}
		select {
		case <-ctx.Done():
			return mended, nil
		case <-changes:
		}
		select {
		case <-ctx.Done():
			return mended, nil
		case <-time.After(pause):
		}
		for len(changes) > 0 {
			<-changes
		}
	}
	return mended, nil
}

func (s System) mendNetwork(ctx context.Context) (did bool, err error) {
	kept, err := s.readPersist()
	if err != nil || kept.Guest == nil {
		return false, err
	}
	t := s.task(ctx, kept.Guest, kept)
	t.network.Apply()
	return len(t.Changed) > 0, nil
}

// changes tells of changes to links, addresses and routes, whatever they are.
func changes(done <-chan struct{}) (<-chan struct{}, error) {
	out := make(chan struct{}, 64)
	tell := func() {
		select {
		case out <- struct{}{}:
		default: // one is waiting already
		}
	}
	addrs, routes, links := make(chan netlink.AddrUpdate), make(chan netlink.RouteUpdate), make(chan netlink.LinkUpdate)
	for what, err := range map[string]error{
		"addresses": netlink.AddrSubscribe(addrs, done), "routes": netlink.RouteSubscribe(routes, done), "links": netlink.LinkSubscribe(links, done),
	} {
		if err != nil {
			return nil, fmt.Errorf("watch %s: %w", what, err)
		}
	}
	go func() { // ends when all three are closed, which they are once done is
		for addrs != nil || routes != nil || links != nil {
			var ok bool
			select {
			case _, ok = <-addrs:
				if !ok {
					addrs = nil
				}
			case _, ok = <-routes:
				if !ok {
					routes = nil
				}
			case _, ok = <-links:
				if !ok {
					links = nil
				}
			}
			if ok {
				tell()
			}
		}
	}()
	return out, nil
}
