package natflow

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/ti-mo/conntrack"
)

// Entry is one tracked connection as a person looks at it: what was sent, and where the answers are expected.
type Entry struct {
	Protocol  string         `json:"protocol"`        // "udp", "tcp", "icmp", … or the number
	State     string         `json:"state,omitempty"` // of TCP, as in conntrack(8)
	From      netip.AddrPort `json:"from"`            // of the first packet; port 0 where the protocol has none
	To        netip.AddrPort `json:"to"`
	ReplyFrom netip.AddrPort `json:"reply_from"` // where the answers come from
	ReplyTo   netip.AddrPort `json:"reply_to"`   // and what they are sent to
	Replied   bool           `json:"replied,omitempty"`
	Assured   bool           `json:"assured,omitempty"` // not dropped early when the table is full
	Seconds   uint32         `json:"seconds"`           // that it lives if no more packets come
	SourceNAT bool           `json:"source_nat,omitempty"`
	DestNAT   bool           `json:"destination_nat,omitempty"`
	Packets   [2]uint64      `json:"packets"` // there and back; zero where the kernel does not count (nf_conntrack_acct)
}

// Entries lists all connections that the kernel of this network namespace tracks, of both IP versions, in a steady order.
func Entries() ([]Entry, error) {
	conn, err := conntrack.Dial(nil)
	if err != nil {
		return nil, fmt.Errorf("connection tracking: %w", err)
	}
	defer conn.Close()
	tracked, err := conn.Dump(nil)
	if err != nil {
		return nil, fmt.Errorf("list tracked connections: %w", err)
	}
	entries := make([]Entry, 0, len(tracked))
	for _, t := range tracked {
		entries = append(entries, entryOf(t))
	}
	slices.SortFunc(entries, Compare)
	return entries, nil
}

// Compare orders entries by protocol and ends.
func Compare(a, b Entry) int {
	if a.Protocol != b.Protocol {
		if a.Protocol < b.Protocol {
			return -1
		}
		return 1
	}
	if c := a.From.Compare(b.From); c != 0 {
		return c
	}
	return a.To.Compare(b.To)
}

func entryOf(t conntrack.Flow) Entry {
	orig, reply := t.TupleOrig, t.TupleReply
	e := Entry{
		Protocol:  protocolName(orig.Proto.Protocol),
		From:      netip.AddrPortFrom(orig.IP.SourceAddress, orig.Proto.SourcePort),
		To:        netip.AddrPortFrom(orig.IP.DestinationAddress, orig.Proto.DestinationPort),
		ReplyFrom: netip.AddrPortFrom(reply.IP.SourceAddress, reply.Proto.SourcePort),
		ReplyTo:   netip.AddrPortFrom(reply.IP.DestinationAddress, reply.Proto.DestinationPort),
		Replied:   t.Status.SeenReply(), Assured: t.Status.Assured(), Seconds: t.Timeout,
		SourceNAT: t.Status.SrcNAT(), DestNAT: t.Status.DstNAT(),
		Packets: [2]uint64{t.CountersOrig.Packets, t.CountersReply.Packets},
	}
	if t.ProtoInfo.TCP != nil {
		e.State = tcpState(t.ProtoInfo.TCP.State)
	}
	return e
}

func protocolName(number uint8) string {
	switch number { // IANA protocol numbers
	case 1:
		return "icmp"
	case 6:
		return "tcp"
	case 17:
		return "udp"
	case 58:
		return "icmpv6"
	case 132:
		return "sctp"
	}
	return strconv.Itoa(int(number))
}

// tcpState names a state of the kernel's enum tcp_conntrack.
func tcpState(state uint8) string {
	names := []string{"NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE", "SYN_SENT2"}
	if int(state) < len(names) {
		return names[state]
	}
	return strconv.Itoa(int(state))
}
