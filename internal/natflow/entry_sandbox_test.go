//go:build sandbox

package natflow

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/labctl/labctl/internal/host"
)

// TestEntriesTellWhatNATDoes sends datagrams that a rule translates, and finds them as they went.
func TestEntriesTellWhatNATDoes(t *testing.T) {
	rules := `table ip t {
	chain out {
		type nat hook output priority -100
		udp dport 5000 dnat to 127.0.0.1:6000
	}
	chain in {
		type filter hook input priority filter
		ct state new accept
	}
}
table ip6 six {
	chain in {
		type filter hook input priority filter
		ct state new accept
	}
}
`
	link, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(link)
	}
	if err == nil {
		_, err = host.Local{}.Run(t.Context(), host.Command{Args: []string{"nft", "-f", "-"}, Stdin: []byte(rules)})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = host.Local{}.Run(context.Background(), host.Cmd("nft", "flush", "ruleset")) })
	for _, to := range []string{"127.0.0.1:5000", "[::1]:7000"} {
		conn, err := net.Dial("udp", to)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := net.Dial("tcp4", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	entries, err := Entries()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(entries, Compare) {
		t.Errorf("in no order: %+v", entries)
	}
	has := func(what string, is func(e Entry) bool) {
		t.Helper()
		if !slices.ContainsFunc(entries, is) {
			t.Errorf("there is no entry of %s among %+v", what, entries)
		}
	}
	at := netip.MustParseAddrPort
	has("the translated datagram", func(e Entry) bool {
		return e.Protocol == "udp" && e.To == at("127.0.0.1:5000") && e.ReplyFrom == at("127.0.0.1:6000") && e.DestNAT && !e.SourceNAT && e.Seconds > 0
	})
	has("IPv6", func(e Entry) bool { return e.Protocol == "udp" && e.To == at("[::1]:7000") && !e.DestNAT })
	has("the connection", func(e Entry) bool {
		return e.Protocol == "tcp" && e.State == "ESTABLISHED" && e.Replied && e.Assured && e.To.String() == listener.Addr().String()
	})
}
