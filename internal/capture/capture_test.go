package capture

import (
	"bytes"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// packet is what a card would give, of the layers behind Ethernet.
func packet(t *testing.T, kind layers.EthernetType, above ...gopacket.SerializableLayer) Packet {
	t.Helper()
	mac := net.HardwareAddr{0x52, 0x54, 0, 0, 0, 1}
	all := append([]gopacket.SerializableLayer{&layers.Ethernet{SrcMAC: mac, DstMAC: mac, EthernetType: kind}}, above...)
	buffer := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{FixLengths: true}, all...); err != nil {
		t.Fatal(err)
	}
	p := gopacket.NewPacket(buffer.Bytes(), layers.LayerTypeEthernet, gopacket.Lazy)
	p.Metadata().CaptureInfo = gopacket.CaptureInfo{Timestamp: time.Unix(1000, 5000), Length: len(buffer.Bytes()), CaptureLength: len(buffer.Bytes())}
	return Packet{p}
}

func ip4(protocol layers.IPProtocol) *layers.IPv4 {
	return &layers.IPv4{Version: 4, TTL: 64, Protocol: protocol, SrcIP: net.IP{10, 0, 0, 1}, DstIP: net.IP{10, 0, 0, 2}}
}

func TestLinesAndFilters(t *testing.T) {
	udp := packet(t, layers.EthernetTypeIPv4, ip4(layers.IPProtocolUDP), &layers.UDP{SrcPort: 23456, DstPort: 5}, gopacket.Payload("hello\n"))
	tcp := packet(t, layers.EthernetTypeIPv4, ip4(layers.IPProtocolTCP), &layers.TCP{SrcPort: 7, DstPort: 22, SYN: true, ACK: true, Seq: 1, Ack: 2, Window: 3, DataOffset: 5})
	ping := packet(t, layers.EthernetTypeIPv4, ip4(layers.IPProtocolICMPv4),
		&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoRequest, 0), Id: 9, Seq: 1})
	arp := packet(t, layers.EthernetTypeARP, &layers.ARP{AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4,
		HwAddressSize: 6, ProtAddressSize: 4, Operation: layers.ARPRequest, SourceHwAddress: []byte{0x52, 0x54, 0, 0, 0, 1},
		SourceProtAddress: []byte{10, 0, 0, 1}, DstHwAddress: make([]byte, 6), DstProtAddress: []byte{10, 0, 0, 2}})
	six := packet(t, layers.EthernetTypeIPv6, &layers.IPv6{Version: 6, NextHeader: layers.IPProtocolUDP, HopLimit: 64,
		SrcIP: net.ParseIP("2001:db8::1"), DstIP: net.ParseIP("2001:db8::2")}, &layers.UDP{SrcPort: 1, DstPort: 53}, gopacket.Payload{0})
	for _, test := range []struct {
		packet Packet
		line   string
		wants  Filter
		not    Filter
	}{
		{udp, `10.0.0.1:23456 → 10.0.0.2:5  UDP 6 bytes "hello"`, Filter{Protocol: "udp", Port: 5, Host: netip.MustParseAddr("10.0.0.1")}, Filter{Port: 6}},
		{tcp, `10.0.0.1:7 → 10.0.0.2:22  TCP SYN+ACK seq 1 ack 2 win 3, 0 bytes`, Filter{Protocol: "tcp", Port: 22}, Filter{Protocol: "udp"}},
		{ping, `10.0.0.1 → 10.0.0.2  ICMP EchoRequest id 9 seq 1`, Filter{Protocol: "icmp"}, Filter{Protocol: "icmpv6"}},
		{arp, `ARP who has 10.0.0.2? tell 10.0.0.1 (52:54:00:00:00:01)`, Filter{Protocol: "arp", Host: netip.MustParseAddr("10.0.0.2")}, Filter{Host: netip.MustParseAddr("10.0.0.3")}},
		{six, `[2001:db8::1]:1 → [2001:db8::2]:53  UDP 1 byte`, Filter{Protocol: "ip6"}, Filter{Protocol: "ip"}},
	} {
		if got := test.packet.String(); got != test.line {
			t.Errorf("got %q, want %q", got, test.line)
		}
		if !test.wants.matches(test.packet) || !(Filter{}).matches(test.packet) || test.not.matches(test.packet) {
			t.Errorf("%s: filtered wrongly", test.line)
		}
	}
	if err := (Filter{Protocol: "ipx"}).Check(); err == nil {
		t.Error("an unknown protocol is accepted")
	}
}

func TestFileIsReadBackAndTextHasTimes(t *testing.T) {
	p := packet(t, layers.EthernetTypeIPv4, ip4(layers.IPProtocolUDP), &layers.UDP{SrcPort: 1, DstPort: 2}, gopacket.Payload("x"))
	var file, text bytes.Buffer
	f, err := NewFile(&file)
	if err != nil {
		t.Fatal(err)
	}
	lines := &Text{W: &text}
	for range 2 {
		if err := f.Write(p); err != nil {
			t.Fatal(err)
		}
		if err := lines.Write(p); err != nil {
			t.Fatal(err)
		}
		p.Metadata().Timestamp = p.Metadata().Timestamp.Add(1500 * time.Microsecond)
	}
	r, err := pcapgo.NewReader(&file)
	if err != nil {
		t.Fatal(err)
	}
	data, info, err := r.ReadPacketData()
	if err != nil || !bytes.Equal(data, p.Data()) || !info.Timestamp.Equal(time.Unix(1000, 5000)) {
		t.Errorf("read back %x at %v: %v", data, info.Timestamp, err)
	}
	if got := text.String(); !strings.HasPrefix(got, "  0.000000  10.0.0.1:1") || !strings.Contains(got, "\n  0.001500  10.0.0.1:1") {
		t.Errorf("lines:\n%s", got)
	}
}
