// Package drawing draws a lab as people draw networks: bridges and libvirt networks are segments, machines and hosts hang
// on them, and each connection is labelled with its interface and addresses.
//
// A Picture is made from the lab's files alone and written as DOT, Mermaid or SVG.
package drawing

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/labctl/labctl/schema"
)

// Picture is what is drawn: segments and what is connected to them.
type Picture struct {
	Title    string
	Segments []Segment
	Machines []Machine
}

// Segment is a bridge or a libvirt network.
type Segment struct {
	Name  string   // as the block is addressed, without its kind
	Notes []string // subnets, and what else there is to say
}

// Role is what a machine is for.
type Role int

// The roles. A router forwards packets of others.
const (
	Plain Role = iota
	Router
	Host
)

// Machine is a virtual machine or a host.
type Machine struct {
	Name  string
	Role  Role
	Notes []string
	Ports []Port
}

// Port is one connection of a machine to a segment.
type Port struct {
	Segment int // index into Picture.Segments
	Name    string
	Notes   []string // addresses, "dhcp", "down"
}

// New is the picture of lab.
func New(lab *schema.Lab) *Picture {
	d := drawer{lab: lab, picture: &Picture{Title: lab.Name}, segments: map[segmentKey]int{}, guests: map[schema.Addr]*schema.Guest{}}
	if lab.Description != "" {
		d.picture.Title += ": " + lab.Description
	}
	d.hosts = make([]Machine, len(lab.Hosts))
	for i, h := range lab.Hosts {
		d.hosts[i] = Machine{Name: "this host", Role: Host}
		if h.Name != "" {
			d.hosts[i].Name = "host " + h.Name
		}
	}
	for _, r := range lab.Resources {
		d.segment(r)
		if g, ok := r.Body.(*schema.Guest); ok {
			d.guests[r.Addr.Whole()] = g
		}
	}
	for _, h := range d.hosts {
		if len(h.Ports) > 0 {
			d.picture.Machines = append(d.picture.Machines, h)
		}
	}
	for _, r := range lab.Resources {
		if domain, ok := r.Body.(*schema.Domain); ok {
			d.machine(r, domain)
		}
	}
	d.subnets()
	return d.picture
}

// segmentKey is what a NIC says it is connected to.
type segmentKey struct{ host, kind, name string }

type drawer struct {
	lab      *schema.Lab
	picture  *Picture
	hosts    []Machine
	segments map[segmentKey]int
	guests   map[schema.Addr]*schema.Guest
}

// segment notes what r makes on a host: a segment, or a habit of the host itself.
func (d *drawer) segment(r schema.Resource) {
	switch body := r.Body.(type) {
	case *schema.Bridge:
		at := d.add(segmentKey{r.Host, "bridge", body.Name}, label(r.Addr))
		if len(body.Interfaces) > 0 {
			d.picture.Segments[at].Notes = append(d.picture.Segments[at].Notes, "with "+strings.Join(body.Interfaces, ", "))
		}
		notes := addressNotes(body.Addresses, body.DHCP4, body.DHCP6)
		if len(notes) > 0 {
			d.attach(r.Host, Port{Segment: at, Name: body.Name, Notes: notes})
		}
	case *schema.Network:
		at := d.add(segmentKey{r.Host, "network", body.Name}, label(r.Addr))
		if body.Mode != "" {
			d.picture.Segments[at].Notes = append(d.picture.Segments[at].Notes, body.Mode)
		}
		if len(body.Addresses) > 0 {
			d.attach(r.Host, Port{Segment: at, Name: body.Bridge, Notes: body.Addresses})
		}
	case *schema.Sysctl:
		if body.Values["net.ipv4.ip_forward"] == "1" {
			d.note(r.Host, "forwards")
		}
	case *schema.Ruleset:
		if r.Addr.Kind == "host" && strings.Contains(body.Text, "masquerade") {
			d.note(r.Host, "masquerades what leaves the lab")
		}
	}
}

// add is the index of a segment, which is made if it is new.
func (d *drawer) add(key segmentKey, name string) int {
	if at, ok := d.segments[key]; ok {
		return at
	}
	if key.host != "" {
		name = key.host + ": " + name
	}
	at := len(d.picture.Segments)
	s := Segment{Name: name}
	if key.kind == "network" {
		s.Notes = []string{"libvirt network"}
	}
	d.picture.Segments = append(d.picture.Segments, s)
	d.segments[key] = at
	return at
}

func (d *drawer) attach(host string, port Port) {
	for i, h := range d.lab.Hosts {
		if h.Name == host {
			d.hosts[i].Ports = append(d.hosts[i].Ports, port)
		}
	}
}

func (d *drawer) note(host, text string) {
	for i, h := range d.lab.Hosts {
		if h.Name == host && !slices.Contains(d.hosts[i].Notes, text) {
			d.hosts[i].Notes = append(d.hosts[i].Notes, text)
		}
	}
}

func (d *drawer) machine(r schema.Resource, domain *schema.Domain) {
	m := Machine{Name: label(r.Addr)}
	guest := d.guests[r.Addr]
	if guest == nil {
		guest = &schema.Guest{}
	}
	if guest.Forwarding {
		m.Role = Router
		if guest.NAT == nil && guest.NAT6 == nil {
			m.Notes = append(m.Notes, "forwards")
		}
	}
	if guest.NAT != nil {
		m.Notes = append(m.Notes, "NAT "+guest.NAT.Type)
	}
	if guest.NAT6 != nil {
		m.Notes = append(m.Notes, "NAT of IPv6 "+guest.NAT6.Type)
	}
	for _, route := range guest.Routes {
		if route.Via != "" {
			m.Notes = append(m.Notes, route.To+" via "+route.Via)
		}
	}
	for _, nic := range domain.Interfaces {
		m.Ports = append(m.Ports, d.port(r.Host, nic, guest))
	}
	d.picture.Machines = append(d.picture.Machines, m)
}

func (d *drawer) port(host string, nic schema.NIC, guest *schema.Guest) Port {
	key := segmentKey{host, "bridge", nic.Bridge}
	if nic.Network != "" {
		key = segmentKey{host, "network", nic.Network}
	}
	p := Port{Segment: d.add(key, key.name), Name: nic.Name}
	for _, i := range guest.Interfaces {
		if i.Name == nic.Name {
			p.Notes = addressNotes(i.Addresses, i.DHCP4, i.DHCP6)
			if i.Impair != (schema.Impair{}) {
				p.Notes = append(p.Notes, "impaired")
			}
		}
	}
	if nic.Link == "down" {
		p.Notes = append(p.Notes, "down")
	}
	return p
}

// subnets notes on every segment the networks of the addresses on it.
func (d *drawer) subnets() {
	found := make([][]string, len(d.picture.Segments))
	for _, m := range d.picture.Machines {
		for _, p := range m.Ports {
			for _, note := range p.Notes {
				prefix, err := netip.ParsePrefix(note)
				if err != nil || prefix.IsSingleIP() {
					continue
				}
				if text := prefix.Masked().String(); !slices.Contains(found[p.Segment], text) {
					found[p.Segment] = append(found[p.Segment], text)
				}
			}
		}
	}
	for i := range d.picture.Segments {
		d.picture.Segments[i].Notes = append(found[i], d.picture.Segments[i].Notes...)
	}
}

// addressNotes is what is said of an interface's addresses; nothing where it has none.
func addressNotes(addresses []string, dhcp4, dhcp6 bool) []string {
	notes := slices.Clone(addresses)
	switch {
	case dhcp4 && dhcp6:
		notes = append(notes, "DHCP, DHCPv6")
	case dhcp4:
		notes = append(notes, "DHCP")
	case dhcp6:
		notes = append(notes, "DHCPv6")
	}
	return notes
}

// label is the address of a block as a reader of the picture wants it: without its kind, and with keys unquoted.
func label(a schema.Addr) string {
	text := a.Name
	if a.Key != "" {
		text = fmt.Sprintf("%s[%s]", a.Name, strings.Trim(a.Key, `"`))
	}
	if a.Module == "" {
		return text
	}
	return strings.ReplaceAll(strings.ReplaceAll(a.Module, "module.", ""), `"`, "") + "." + text
}
