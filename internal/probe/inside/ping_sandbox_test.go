//go:build sandbox

package inside_test

import (
	"net"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/labctl/labctl/internal/probe/inside"
)

func TestPing(t *testing.T) {
	for _, address := range []string{"127.0.0.1", "::1"} {
		a, err := inside.Do(t.Context(), inside.Request{Ping: &inside.Ping{To: address, Count: 3, Timeout: 5 * time.Second}})
		if err != nil || a.Sent != 3 || a.Received != 3 || a.Seconds <= 0 || a.Seconds > 1 {
			t.Errorf("%s: %+v, %v", address, a, err)
		}
	}
}

func TestPingOfNobody(t *testing.T) {
	a, err := inside.Do(t.Context(), inside.Request{Ping: &inside.Ping{To: "192.0.2.9", Count: 1, Timeout: 300 * time.Millisecond}})
	if err != nil || a.Received != 0 || a.Sent != 1 || a.Note != "network is unreachable" {
		t.Errorf("without a route: %+v, %v", a, err)
	}
	link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "near"}, PeerName: "far"}
	if err := netlink.LinkAdd(link); err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		t.Fatal(err)
	}
	_, subnet, _ := net.ParseCIDR("192.0.2.1/24")
	subnet.IP = net.IPv4(192, 0, 2, 1)
	if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: subnet}); err != nil {
		t.Fatal(err)
	}
	a, err = inside.Do(t.Context(), inside.Request{Ping: &inside.Ping{To: "192.0.2.9", Count: 2, Timeout: 500 * time.Millisecond}})
	if err != nil || a.Received != 0 || a.Sent != 2 {
		t.Errorf("with one: %+v, %v", a, err)
	}
	c, err := inside.Do(t.Context(), inside.Request{TCP: &inside.Connect{To: "192.0.2.9", Port: 80, Timeout: 500 * time.Millisecond}})
	if err != nil || c.State != "filtered" {
		t.Errorf("TCP: %+v, %v", c, err)
	}
}
