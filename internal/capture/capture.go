// Package capture reads packets off a link of this machine (packet(7)) and writes them: as lines for people, or as a file for
// programs such as Wireshark.
package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// Filter tells which packets are wanted; zero values want all.
type Filter struct {
	Protocol string     // "arp", "icmp", "icmpv6", "ip", "ip6", "tcp", "udp"
	Host     netip.Addr // as sender or receiver
	Port     uint16     // at either end
}

// Packet is one packet off a link.
type Packet struct {
	gopacket.Packet
}

// Sink takes packets, one after the other.
type Sink interface {
	Write(Packet) error
}

// wholePacket is more than any packet has, bytes: segments that the card is to cut are 64 KiB long.
const wholePacket = 1 << 18

// Run hands the wanted packets of a link to sink until ctx ends, or most packets have come (0 is no limit). It returns their
// number.
func Run(ctx context.Context, link string, wanted Filter, most int, sink Sink) (n int, err error) {
	handle, err := pcapgo.NewEthernetHandle(link)
	if err != nil {
		return 0, fmt.Errorf("capture on %s: %w", link, err)
	}
	if err := handle.SetCaptureLength(wholePacket); err != nil {
		return 0, errors.Join(err, handle.Close())
	}
	if err := handle.SetPromiscuous(true); err != nil {
		return 0, errors.Join(fmt.Errorf("capture on %s: %w", link, err), handle.Close())
	}
	stop := context.AfterFunc(ctx, func() { _ = handle.Close() })
	defer func() {
		if stop() { // or it is closed already
			err = errors.Join(err, handle.Close())
		}
	}()
	for most == 0 || n < most {
		data, info, err := handle.ReadPacketData()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, os.ErrClosed) {
				return n, nil
			}
			return n, fmt.Errorf("capture on %s: %w", link, err)
		}
		packet := gopacket.NewPacket(data, layers.LayerTypeEthernet, gopacket.DecodeOptions{Lazy: true, NoCopy: true})
		packet.Metadata().CaptureInfo = info
		if !wanted.matches(packet) {
			continue
		}
		n++
		if err := sink.Write(Packet{packet}); err != nil {
			return n, err
		}
	}
	return n, nil
}

// Check refuses a filter that nothing can match.
func (f Filter) Check() error {
	switch f.Protocol {
	case "", "arp", "icmp", "icmpv6", "ip", "ip6", "tcp", "udp":
		return nil
	}
	return fmt.Errorf("protocol %q: give arp, icmp, icmpv6, ip, ip6, tcp or udp", f.Protocol)
}

func (f Filter) matches(p gopacket.Packet) bool {
	layer := map[string]gopacket.LayerType{
		"arp": layers.LayerTypeARP, "icmp": layers.LayerTypeICMPv4, "icmpv6": layers.LayerTypeICMPv6,
		"ip": layers.LayerTypeIPv4, "ip6": layers.LayerTypeIPv6, "tcp": layers.LayerTypeTCP, "udp": layers.LayerTypeUDP,
	}
	if f.Protocol != "" && p.Layer(layer[f.Protocol]) == nil {
		return false
	}
	source, destination := addresses(p)
	if f.Host.IsValid() && source != f.Host && destination != f.Host {
		return false
	}
	from, to := ports(p)
	return f.Port == 0 || from == f.Port || to == f.Port
}

// addresses are the network layer's, those of an ARP packet included; invalid where it has none.
func addresses(p gopacket.Packet) (source, destination netip.Addr) {
	switch layer := p.NetworkLayer().(type) {
	case *layers.IPv4:
		source, _ = netip.AddrFromSlice(layer.SrcIP)
		destination, _ = netip.AddrFromSlice(layer.DstIP)
	case *layers.IPv6:
		source, _ = netip.AddrFromSlice(layer.SrcIP)
		destination, _ = netip.AddrFromSlice(layer.DstIP)
	default:
		if arp, ok := p.Layer(layers.LayerTypeARP).(*layers.ARP); ok {
			source, _ = netip.AddrFromSlice(arp.SourceProtAddress)
			destination, _ = netip.AddrFromSlice(arp.DstProtAddress)
		}
	}
	return source.Unmap(), destination.Unmap()
}

func ports(p gopacket.Packet) (from, to uint16) {
	switch layer := p.TransportLayer().(type) {
	case *layers.TCP:
		return uint16(layer.SrcPort), uint16(layer.DstPort)
	case *layers.UDP:
		return uint16(layer.SrcPort), uint16(layer.DstPort)
	}
	return 0, 0
}

// File writes packets as a pcap file with times in nanoseconds.
type File struct{ to *pcapgo.Writer }

// NewFile begins a pcap file.
func NewFile(w io.Writer) (*File, error) {
	f := &File{to: pcapgo.NewWriterNanos(w)}
	return f, f.to.WriteFileHeader(wholePacket, layers.LinkTypeEthernet)
}

// Write implements Sink.
func (f *File) Write(p Packet) error { return f.to.WritePacket(p.Metadata().CaptureInfo, p.Data()) }

// Text writes packets as lines.
type Text struct {
	W     io.Writer
	began time.Time
}

// Write implements Sink.
func (t *Text) Write(p Packet) error {
	at := p.Metadata().Timestamp
	if t.began.IsZero() {
		t.began = at
	}
	_, err := fmt.Fprintf(t.W, "%10.6f  %s\n", at.Sub(t.began).Seconds(), p)
	return err
}
