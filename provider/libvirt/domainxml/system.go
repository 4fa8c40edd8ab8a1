package domainxml

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/labctl/labctl/schema"
)

// osNamespace is that of the element in which libvirt's tools keep which operating system a machine is for.
const osNamespace = "http://libosinfo.org/xmlns/libvirt/domain/1.0"

// OSMetadata is the element, as virt-install(1) writes it and virt-manager(1) reads it; "" for no system.
func OSMetadata(id string) string {
	if id == "" {
		return ""
	}
	return fmt.Sprintf(`<libosinfo:libosinfo xmlns:libosinfo="%s"><libosinfo:os id="%s"/></libosinfo:libosinfo>`, osNamespace, escape(id))
}

func escape(text string) string {
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(text)); err != nil {
		panic(err) // a strings.Builder takes everything
	}
	return b.String()
}

// osElement is the element as it is read.
type osElement struct {
	XMLName xml.Name `xml:"http://libosinfo.org/xmlns/libvirt/domain/1.0 libosinfo"`
	OS      struct {
		ID string `xml:"id,attr"`
	} `xml:"http://libosinfo.org/xmlns/libvirt/domain/1.0 os"`
}

// eachElement calls f with the name and the text of each element at the top of metadata.
func eachElement(inner string, f func(name xml.Name, text string)) error {
	dec := xml.NewDecoder(strings.NewReader(inner))
	for {
		before := dec.InputOffset()
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("metadata: %w", err)
		}
		if start, ok := token.(xml.StartElement); ok {
			if err := dec.Skip(); err != nil {
				return fmt.Errorf("metadata: %w", err)
			}
			f(start.Name, inner[before:dec.InputOffset()])
		}
	}
}

// osID is the system that the metadata names, "" where it names none.
func osID(inner string) (id string) {
	_ = eachElement(inner, func(name xml.Name, text string) { // libvirt gives well-formed XML
		var e osElement
		if name.Space == osNamespace && xml.Unmarshal([]byte(text), &e) == nil {
			id = e.OS.ID
		}
	})
	return id
}

// withoutOS is the metadata without the element.
func withoutOS(inner string) (string, error) {
	var kept strings.Builder
	err := eachElement(inner, func(name xml.Name, text string) {
		if name.Space != osNamespace {
			kept.WriteString(text)
		}
	})
	return kept.String(), err
}

// clock is the hardware clock. One in local time gets the timers that Windows keeps its time by.
func clock(s Spec) *libvirtxml.DomainClock {
	c := &libvirtxml.DomainClock{Offset: or(s.Want.System.Clock, "utc")}
	if c.Offset != "localtime" {
		return c
	}
	c.Timer = []libvirtxml.DomainTimer{
		{Name: "rtc", TickPolicy: "catchup"}, {Name: "pit", TickPolicy: "delay"}, {Name: "hpet", Present: "no"},
	}
	if hyperV(s) {
		c.Timer = append(c.Timer, libvirtxml.DomainTimer{Name: "hypervclock", Present: "yes"})
	}
	return c
}

// hyperV reports whether the guest sees Hyper-V's interfaces. QEMU offers them under KVM alone.
func hyperV(s Spec) bool { return s.Want.System.HyperV && s.Virt == "kvm" }

func hyperVFeatures() *libvirtxml.DomainFeatureHyperV {
	on := func() *libvirtxml.DomainFeatureState { return &libvirtxml.DomainFeatureState{State: "on"} }
	return &libvirtxml.DomainFeatureHyperV{
		Relaxed: on(), VAPIC: on(),
		Spinlocks: &libvirtxml.DomainFeatureHyperVSpinlocks{DomainFeatureState: *on(), Retries: 8191},
	}
}

// readOS is what the domain has of what its operating system wants, where the declaration says one. What a fragment of XML
// says goes before it, and is nobody's drift.
func readOS(x *libvirtxml.Domain, was schema.Domain, b *schema.Domain) {
	if was.OSID == "" {
		return
	}
	b.OSID = ""
	if x.Metadata != nil {
		b.OSID = osID(x.Metadata.XML)
	}
	says := func(element string) bool { return strings.Contains(was.XML, "<"+element) }
	if x.Clock != nil && !says("clock") {
		b.System.Clock = x.Clock.Offset
	}
	if list := x.Devices.Videos; was.System.Video != "" && len(list) > 0 && !says("video") {
		b.System.Video = list[0].Model.Type
	}
	isUSB := func(c libvirtxml.DomainController) bool { return c.Type == "usb" }
	if i := slices.IndexFunc(x.Devices.Controllers, isUSB); was.System.USB != "" && i >= 0 && !says("controller") {
		b.System.USB = x.Devices.Controllers[i].Model
	}
	if n := max(was.VCPUs, was.MaxVCPUs); n > 1 && x.CPU != nil && !says("cpu") {
		b.System.Cores = x.CPU.Topology != nil && x.CPU.Topology.Sockets == 1
	}
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
