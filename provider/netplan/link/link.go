// Package link is the kernel's side of a bridge: what it has of links, addresses and routes, compared with a declaration
// attribute by attribute, and the changes that networkd leaves to somebody else.
package link

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/schema"
)

// Links is the kernel's view of a host's links. Its methods may be called from several goroutines.
type Links interface {
	// Read returns every link with its addresses and routes.
	Read(ctx context.Context) (*View, error)
	// Change does what ip(8) does with these arguments: "link", "set", "dev", "br0", "mtu", "1400".
	Change(ctx context.Context, args ...string) error
	// Watch sends after every change of a link, address or route until ctx ends. Changes that nobody receives are
	// folded into one.
	Watch(ctx context.Context) (<-chan struct{}, error)
}

// View is what the kernel has at one moment.
type View struct {
	Links  map[string]*Link
	Routes []Route
}

// Link is one network interface.
type Link struct {
	Name      string
	Kind      string // "bridge", "tun", "veth", …; "" for hardware
	MAC       string
	MTU       int
	Up        bool   // administratively
	Master    string // the bridge that it is a port of
	Addresses []Address
	Bridge    *BridgeState // of a bridge
	Port      *PortState   // of a bridge's port
}

// Address is one address of a link.
type Address struct {
	Prefix    string // canonical, with prefix length
	Dynamic   bool   // by DHCP or router advertisement, with a lifetime
	LinkLocal bool
	Tentative bool // IPv6: not proved to be the only one yet (RFC 4862 5.4), which takes a carrier
}

// BridgeState is a bridge's own settings; times are in seconds.
type BridgeState struct {
	STP                                     bool
	ForwardDelay, HelloTime, MaxAge, Ageing float64
	Priority                                int
	Root                                    bool // no other bridge rules the timers here (STP)
	// Changing is that STP has seen the topology change: the ageing time is shown as twice the forward delay meanwhile.
	Changing bool
}

// PortState is what a bridge keeps for one port.
type PortState struct {
	Cost     int `json:"cost"`
	Priority int `json:"priority"`
}

// Route is a route with its origin, by the numbers of rtnetlink(7).
type Route struct {
	schema.Route
	Protocol int
}

// kernel reads the kernel's view with ip(8), which answers alike on this machine and over ssh.
type kernel struct{ host host.Host }

// Kernel is the kernel's view of a host.
func Kernel(h host.Host) Links { return kernel{h} }

func (k kernel) Read(ctx context.Context) (*View, error) {
	out, err := k.host.Run(ctx, host.Cmd("sh", "-ec", "ip -d -j addr show; ip -N -j route show table all"))
	if err != nil {
		return nil, err
	}
	return parseView(out.Stdout)
}

func (k kernel) Change(ctx context.Context, args ...string) error {
	_, err := k.host.Run(ctx, host.Cmd(append([]string{"ip"}, args...)...))
	return err
}

// Watch hears rtnetlink on this machine. For another machine there is no such socket: it then ticks at growing intervals,
// and a reader that looks again is never wrong, only later.
func (k kernel) Watch(ctx context.Context) (<-chan struct{}, error) {
	changed := make(chan struct{}, 1)
	tell := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	if _, local := k.host.(host.Local); !local {
		go tick(ctx, tell)
		return changed, nil
	}
	links, addrs, routes := make(chan netlink.LinkUpdate), make(chan netlink.AddrUpdate), make(chan netlink.RouteUpdate)
	for _, err := range []error{
		netlink.LinkSubscribe(links, ctx.Done()),
		netlink.AddrSubscribe(addrs, ctx.Done()),
		netlink.RouteSubscribe(routes, ctx.Done()),
	} {
		if err != nil {
			return nil, fmt.Errorf("listen to the kernel: %w", err)
		}
	}
	go hear(links, tell)
	go hear(addrs, tell)
	go hear(routes, tell)
	return changed, nil
}

// hear tells of each update until the subscription closes its channel.
func hear[T any](updates <-chan T, tell func()) {
	for range updates {
		tell()
	}
}

func tick(ctx context.Context, tell func()) {
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
			tell()
		}
	}
}

// ipLink and ipRoute are what `ip -j` prints, as far as it is used here. Times of a bridge are hundredths of a second.
type ipLink struct {
	Name     string   `json:"ifname"`
	Flags    []string `json:"flags"`
	MTU      int      `json:"mtu"`
	MAC      string   `json:"address"`
	Master   string   `json:"master"`
	LinkInfo struct {
		Kind     string          `json:"info_kind"`
		Data     json.RawMessage `json:"info_data"` // its fields differ by kind
		PortKind string          `json:"info_slave_kind"`
		Port     json.RawMessage `json:"info_slave_data"`
	} `json:"linkinfo"`
	Addresses []struct {
		Local     string `json:"local"`
		Bits      int    `json:"prefixlen"`
		Scope     string `json:"scope"`
		Dynamic   bool   `json:"dynamic"`
		Tentative bool   `json:"tentative"`
	} `json:"addr_info"`
}

type ipBridge struct {
	ForwardDelay float64 `json:"forward_delay"`
	HelloTime    float64 `json:"hello_time"`
	MaxAge       float64 `json:"max_age"`
	Ageing       float64 `json:"ageing_time"`
	STP          int     `json:"stp_state"`
	Priority     int     `json:"priority"`
	ID           string  `json:"bridge_id"`
	RootID       string  `json:"root_id"`
	Changing     int     `json:"topology_change"`
}

type ipRoute struct {
	Type     string                `json:"type"`
	Dst      string                `json:"dst"`
	Gateway  string                `json:"gateway"`
	Via      struct{ Host string } `json:"via"` // an IPv6 gateway of an IPv4 route
	Dev      string                `json:"dev"`
	Table    any                   `json:"table"`
	Protocol any                   `json:"protocol"`
	Metric   int                   `json:"metric"`
	Source   string                `json:"prefsrc"`
	Pref     string                `json:"pref"`
	Flags    []string              `json:"flags"`
}

func parseView(text []byte) (*View, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	var links []ipLink
	var routes []ipRoute
	if err := dec.Decode(&links); err != nil {
		return nil, fmt.Errorf("read what ip prints of links: %w", err)
	}
	if err := dec.Decode(&routes); err != nil {
		return nil, fmt.Errorf("read what ip prints of routes: %w", err)
	}
	view := &View{Links: make(map[string]*Link, len(links))}
	for _, l := range links {
		link, err := l.link()
		if err != nil {
			return nil, fmt.Errorf("read what ip prints of %s: %w", l.Name, err)
		}
		view.Links[l.Name] = link
	}
	for _, r := range routes {
		view.Routes = append(view.Routes, r.route())
	}
	return view, nil
}

func (l *ipLink) link() (*Link, error) {
	link := &Link{
		Name: l.Name, Kind: l.LinkInfo.Kind, MAC: l.MAC, MTU: l.MTU, Master: l.Master, Up: slices.Contains(l.Flags, "UP"),
	}
	if link.Kind == "bridge" {
		var data ipBridge
		if err := json.Unmarshal(l.LinkInfo.Data, &data); err != nil {
			return nil, err
		}
		link.Bridge = &BridgeState{
			STP: data.STP != 0, ForwardDelay: data.ForwardDelay / 100, HelloTime: data.HelloTime / 100,
			MaxAge: data.MaxAge / 100, Ageing: data.Ageing / 100, Priority: data.Priority,
			Root: data.ID == data.RootID, Changing: data.Changing != 0,
		}
	}
	if l.LinkInfo.PortKind == "bridge" {
		link.Port = new(PortState)
		if err := json.Unmarshal(l.LinkInfo.Port, link.Port); err != nil {
			return nil, err
		}
	}
	for _, a := range l.Addresses {
		link.Addresses = append(link.Addresses, Address{
			Prefix: CanonicalPrefix(fmt.Sprintf("%s/%d", a.Local, a.Bits)), Dynamic: a.Dynamic, LinkLocal: a.Scope == "link",
			Tentative: a.Tentative,
		})
	}
	return link, nil
}

func (r *ipRoute) route() Route {
	route := Route{Protocol: number(r.Protocol), Route: schema.Route{
		To: r.Dst, Via: r.Gateway, Interface: r.Dev, Metric: r.Metric, Table: number(r.Table), Source: r.Source,
		OnLink: slices.Contains(r.Flags, "onlink"), Type: r.Type,
	}}
	if r.Dst == "default" && r.Pref != "" { // only IPv6 routes have a router's preference
		route.To = "default6"
	}
	if r.Protocol == nil { // ip leaves out what it would give a route itself
		route.Protocol = protoBoot
	}
	if route.Via == "" {
		route.Via = r.Via.Host
	}
	if route.Table == mainTable {
		route.Table = 0
	}
	switch r.Type { // numbers of rtnetlink(7), which is what -N makes of names
	case "1", "unicast":
		route.Type = ""
	case "6":
		route.Type = "blackhole"
	case "7":
		route.Type = "unreachable"
	case "8":
		route.Type = "prohibit"
	}
	return route
}

const mainTable = 254

func number(value any) int {
	n := 0
	fmt.Sscan(fmt.Sprint(value), &n) //nolint:errcheck // a name and not a number is 0: the main table, no protocol
	return n
}

// CanonicalPrefix writes an address with its length as Go's netip does, or leaves it where it is none.
func CanonicalPrefix(text string) string {
	if prefix, err := netip.ParsePrefix(text); err == nil {
		return prefix.String()
	}
	return text
}
