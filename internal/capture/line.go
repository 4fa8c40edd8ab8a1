package capture

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// String is a packet in one line: who sends what to whom.
func (p Packet) String() string {
	if arp, ok := p.Layer(layers.LayerTypeARP).(*layers.ARP); ok {
		return arpLine(arp)
	}
	source, destination := addresses(p)
	if !source.IsValid() {
		return linkLine(p)
	}
	from, to := ports(p)
	ends := fmt.Sprintf("%s → %s", end(source, from), end(destination, to))
	switch layer := p.TransportLayer().(type) {
	case *layers.TCP:
		return fmt.Sprintf("%s  TCP %s seq %d ack %d win %d, %s", ends, flags(layer), layer.Seq, layer.Ack, layer.Window, size(len(layer.Payload)))
	case *layers.UDP:
		return fmt.Sprintf("%s  UDP %s%s", ends, size(len(layer.Payload)), quoted(layer.Payload))
	}
	if icmp, ok := p.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4); ok {
		text := fmt.Sprintf("%s  ICMP %s", ends, icmp.TypeCode)
		if t := icmp.TypeCode.Type(); t == layers.ICMPv4TypeEchoRequest || t == layers.ICMPv4TypeEchoReply {
			text += fmt.Sprintf(" id %d seq %d", icmp.Id, icmp.Seq)
		}
		return text
	}
	if icmp, ok := p.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6); ok {
		return fmt.Sprintf("%s  ICMPv6 %s", ends, icmp.TypeCode)
	}
	return fmt.Sprintf("%s  %s", ends, protocols(p))
}

func end(a netip.Addr, port uint16) string {
	if port == 0 {
		return a.String()
	}
	return netip.AddrPortFrom(a, port).String()
}

func size(n int) string {
	if n == 1 {
		return "1 byte"
	}
	return fmt.Sprintf("%d bytes", n)
}

// quoted shows the start of a payload that is text.
func quoted(payload []byte) string {
	const most = 40
	text := string(payload[:min(len(payload), most)])
	trimmed := strings.TrimRight(text, "\r\n")
	if trimmed == "" || strings.ContainsFunc(trimmed, func(c rune) bool { return c < ' ' || c > '~' }) {
		return ""
	}
	if len(payload) > most {
		trimmed += "…"
	}
	return fmt.Sprintf(" %q", trimmed)
}

func flags(t *layers.TCP) string {
	var set []string
	for _, f := range []struct {
		on   bool
		name string
	}{{t.SYN, "SYN"}, {t.FIN, "FIN"}, {t.RST, "RST"}, {t.PSH, "PSH"}, {t.ACK, "ACK"}, {t.URG, "URG"}} {
		if f.on {
			set = append(set, f.name)
		}
	}
	if len(set) == 0 {
		return "no flags"
	}
	return strings.Join(set, "+")
}

func arpLine(arp *layers.ARP) string {
	source, _ := netip.AddrFromSlice(arp.SourceProtAddress)
	asked, _ := netip.AddrFromSlice(arp.DstProtAddress)
	if arp.Operation == layers.ARPReply {
		return fmt.Sprintf("ARP %s is at %s", source, hardware(arp.SourceHwAddress))
	}
	return fmt.Sprintf("ARP who has %s? tell %s (%s)", asked, source, hardware(arp.SourceHwAddress))
}

func hardware(address []byte) string {
	parts := make([]string, len(address))
	for i, b := range address {
		parts[i] = fmt.Sprintf("%02x", b)
	}
	return strings.Join(parts, ":")
}

// linkLine is a packet with no network layer that is known here.
func linkLine(p gopacket.Packet) string {
	ethernet, ok := p.LinkLayer().(*layers.Ethernet)
	if !ok {
		return "unknown, " + size(len(p.Data()))
	}
	return fmt.Sprintf("%s → %s  %s", ethernet.SrcMAC, ethernet.DstMAC, protocols(p))
}

// protocols names the layers above the link.
func protocols(p gopacket.Packet) string {
	var names []string
	for _, layer := range p.Layers() {
		switch t := layer.LayerType(); t {
		case layers.LayerTypeEthernet, gopacket.LayerTypePayload, gopacket.LayerTypeDecodeFailure:
		default:
			names = append(names, t.String())
		}
	}
	return strings.Join(append(names, size(len(p.Data()))), ", ")
}
