package natflow

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/ti-mo/conntrack"

	"github.com/labctl/labctl/schema/nat"
)

func TestFlowOf(t *testing.T) {
	// Status bits as in include/uapi/linux/netfilter/nf_conntrack_common.h: seen reply 2, source NAT 16, destination NAT 32.
	tracked := conntrack.NewFlow(17, 2|16, netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("192.0.2.9"), 5000, 53, 30, 0)
	tracked.TupleReply.IP.DestinationAddress = netip.MustParseAddr("192.0.2.1")
	tracked.TupleReply.Proto.DestinationPort = 20000
	want := nat.Flow{
		Protocol: 17, Source: netip.MustParseAddrPort("10.0.0.2:5000"), Destination: netip.MustParseAddrPort("192.0.2.9:53"),
		ReplyDestination: netip.MustParseAddrPort("192.0.2.1:20000"), SourceNAT: true, Replied: true,
	}
	if diff := cmp.Diff(want, flowOf(tracked), cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMatchGivesTheFirstReason(t *testing.T) {
	own := netip.MustParseAddr("192.0.2.1")
	selectors := []nat.Selector{{Reason: "tcp", Protocol: 6}, {Reason: "forwarded", Forwarded: true}, {Reason: "never", Protocol: 1}}
	from := func(protocol uint8, source string) nat.Flow {
		return nat.Flow{Protocol: protocol, Source: netip.AddrPortFrom(netip.MustParseAddr(source), 1), Destination: netip.MustParseAddrPort("192.0.2.9:1")}
	}
	for _, test := range []struct {
		flow nat.Flow
		want string
	}{{from(6, "192.0.2.1"), "tcp"}, {from(17, "10.0.0.2"), "forwarded"}, {from(17, "192.0.2.1"), ""}} {
		if got := match(selectors, test.flow, map[netip.Addr]bool{own: true}); got != test.want {
			t.Errorf("%+v is stale for %q, not %q", test.flow, got, test.want)
		}
	}
}
