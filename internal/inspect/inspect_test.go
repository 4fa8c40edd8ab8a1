package inspect

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/natflow"
	"github.com/labctl/labctl/internal/nft"
)

const listing = `table ip nat {
	map mapped {
		type inet_proto . ipv4_addr . inet_service : inet_service
		size 65535
		flags dynamic,timeout
		elements = { udp . 10.0.0.9 . 5 timeout 5m expires 4m50s24ms : 5 }
	}

	counter all {
		packets 8 bytes 800
	}

	chain post {
		type nat hook postrouting priority srcnat; policy accept;
		ct status dnat accept
		oifname "eth0" counter packets 5 bytes 300 masquerade comment "keep the port"
	}
}
`

func TestRulesWithCounts(t *testing.T) {
	now, err := nft.ParseLive([]byte(listing))
	if err != nil {
		t.Fatal(err)
	}
	before := append([]nft.Count(nil), now.Counts...)
	before[1].Packets -= 2
	var out strings.Builder
	Style{}.Rules(&out, now, before)
	want := `table ip nat
  map mapped  1 element
                           udp . 10.0.0.9 . 5 timeout 5m expires 4m50s : 5
  counter all
           8          800
  chain post  type nat hook postrouting priority srcnat, policy accept
     packets        bytes
           -            -  ct status dnat accept
           5          300 (+2)  oifname "eth0" counter masquerade  # keep the port
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	out.Reset()
	Style{Width: 60}.Rules(&out, now, nil)
	want = `           5          300  oifname "eth0" counter
                             masquerade  # keep the port
`
	if !strings.HasSuffix(out.String(), want) {
		t.Errorf("on a narrow terminal:\n%s", out.String())
	}
	out.Reset()
	if (Style{}).Rules(&out, nft.Live{}, nil); out.String() != "There are no rules.\n" {
		t.Errorf("with none: %q", out.String())
	}
}

func TestFlows(t *testing.T) {
	at := netip.MustParseAddrPort
	entries := []natflow.Entry{
		{Protocol: "udp", From: at("10.0.0.9:5"), To: at("192.0.2.1:7"), ReplyFrom: at("192.0.2.1:7"), ReplyTo: at("203.0.113.1:1024"), SourceNAT: true, Seconds: 29},
		{Protocol: "tcp", State: "SYN_SENT", From: at("10.0.0.9:6"), To: at("203.0.113.1:80"), ReplyFrom: at("10.0.0.8:8080"), ReplyTo: at("10.0.0.9:6"), DestNAT: true, Seconds: 120},
		{Protocol: "icmp", From: at("10.0.0.9:0"), To: at("10.0.0.1:0"), ReplyFrom: at("10.0.0.1:0"), ReplyTo: at("10.0.0.9:0"), Replied: true, Seconds: 5},
	}
	var out strings.Builder
	if err := (Style{}).Flows(&out, entries); err != nil {
		t.Fatal(err)
	}
	want := `PROTO  STATE                LIVES  FROM        TO              TRANSLATED
udp    no answer            29s    10.0.0.9:5  192.0.2.1:7     from 203.0.113.1:1024
tcp    syn_sent, no answer  2m0s   10.0.0.9:6  203.0.113.1:80  to 10.0.0.8:8080
icmp   answered             5s     10.0.0.9    10.0.0.1        -
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	if got := Line(entries[0]); got != "udp 10.0.0.9:5 → 192.0.2.1:7, sent on from 203.0.113.1:1024, no answer" {
		t.Error(got)
	}
}
