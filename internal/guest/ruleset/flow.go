package ruleset

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/labctl/labctl/internal/natflow"
	"github.com/labctl/labctl/internal/nft"
	"github.com/labctl/labctl/schema"
)

// generation is the kernel's count of changes to its ruleset (NFT_MSG_GETGEN). It differs after every transaction.
func generation() (uint32, error) {
	request := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETGEN, 0)
	request.AddData(&nl.Nfgenmsg{NfgenFamily: unix.AF_UNSPEC, Version: nl.NFNETLINK_V0})
	answers, err := request.Execute(unix.NETLINK_NETFILTER, 0)
	if err != nil {
		return 0, fmt.Errorf("ask for the ruleset's generation: %w", err)
	}
	for _, answer := range answers {
		if len(answer) < nl.SizeofNfgenmsg {
			continue
		}
		attrs, err := nl.ParseRouteAttr(answer[nl.SizeofNfgenmsg:])
		if err != nil {
			return 0, err
		}
		for _, attr := range attrs {
			if attr.Attr.Type == unix.NFTA_GEN_ID && len(attr.Value) >= 4 {
				return uint32(attr.Value[0])<<24 | uint32(attr.Value[1])<<16 | uint32(attr.Value[2])<<8 | uint32(attr.Value[3]), nil
			}
		}
	}
	return 0, errors.New("the kernel told no generation of the ruleset")
}

// stale tells which translated flows a change of rules leaves on a mapping that is no longer declared.
type stale struct {
	source      bool // source translation changed
	destination bool
}

// staleBy reads off the changed rules what kind of translation changed. Rules that learn mappings count for both.
func staleBy(differences []nft.Difference) stale {
	var s stale
	for _, d := range differences {
		for _, rule := range []string{d.Old, d.New} {
			text := " " + rule + " "
			learns := d.Kind == "rule" && strings.Contains(text, "ct original") && strings.Contains(text, "@")
			s.source = s.source || learns || strings.Contains(text, " masquerade ") || strings.Contains(text, " snat ")
			s.destination = s.destination || learns || strings.Contains(text, " dnat ") || strings.Contains(text, " redirect ")
		}
	}
	return s
}

// MatchConntrackFlow implements netlink.CustomConntrackFilter: replies that go to another end than the first packet came
// from, or come from another one than it was sent to, belong to a translated flow.
func (s stale) MatchConntrackFlow(f *netlink.ConntrackFlow) bool {
	source := !f.Forward.SrcIP.Equal(f.Reverse.DstIP) || f.Forward.SrcPort != f.Reverse.DstPort
	destination := !f.Forward.DstIP.Equal(f.Reverse.SrcIP) || f.Forward.DstPort != f.Reverse.SrcPort
	return s.source && source || s.destination && destination
}

// dropFlows removes the connection tracking entries that the change made stale, and only those: they would go on in the old
// translation as long as packets pass. Where the declared NAT changed it says which; otherwise the changed rules do.
func (r *Rules) dropFlows() {
	declared := false
	for _, change := range []struct {
		name         string
		kept, wanted *schema.NAT
	}{{"nat", r.Kept.NAT, r.Want.NAT}, {"nat6", r.Kept.NAT6, r.Want.NAT6}} {
		if reflect.DeepEqual(change.kept, change.wanted) {
			continue
		}
		declared = true
		dropped, err := natflow.Drop(change.kept, change.wanted)
		r.Problem(change.name, err)
		for _, reason := range slices.Sorted(maps.Keys(dropped)) {
			r.Flows += dropped[reason]
			r.Did("remove %d flows: %s", dropped[reason], reason)
		}
	}
	if declared {
		return
	}
	s := staleBy(r.Differences)
	if s == (stale{}) {
		return
	}
	for _, family := range []netlink.InetFamily{unix.AF_INET, unix.AF_INET6} {
		n, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, family, s)
		r.Flows += int(n)
		if err != nil && !errors.Is(err, syscall.ENOENT) {
			r.Problem("nat", fmt.Errorf("remove the flows of the old translation: %w", err))
		}
	}
	if r.Flows > 0 {
		r.Did("remove %d flows of the old translation", r.Flows)
	}
}
