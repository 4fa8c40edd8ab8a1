package table

import "slices"

// nat6 is nat for IPv6, which can translate prefixes too.
func nat6() Block {
	b := nat()
	b.Kind, b.Instead = "nat6", instead()["nat6"]
	b.Doc = "Makes the machine a router that translates IPv6: NAT66 as nat does it for IPv4, or prefixes one to one (NPTv6, RFC 6296). It may stand beside nat. NAT64 is not had: nftables cannot do it."
	b.Attrs = slices.Clone(b.Attrs)
	for i := range b.Attrs {
		switch a := &b.Attrs[i]; a.Name {
		case "type":
			a.Enum = append(slices.Clone(a.Enum), "prefix")
			a.Derived = "prefix where prefix blocks are all that is given; else port_restricted_cone, or what mapping and filtering amount to"
			a.Doc = "The pair of mapping and filtering by its common name; prefix translates the prefix blocks alone, and filters nothing."
		case "ports":
			a.Doc = "How outside ports are numbered (RFC 4787, 4.2), where a mapping depends on the peer: contiguous, random, or a range such as 20000-30000. A mapping that does not preserves ports."
		}
	}
	b.Blocks = append(slices.Clone(b.Blocks), Block{
		Kind: "prefix", Labels: []Label{{Name: "name", Doc: "A name for it."}},
		Doc: "Gives every host of a prefix behind the router an outside address of its own, and none of the packets another checksum (RFC 6296).",
		Attrs: []Attr{
			{Name: "inside", Type: Prefix, Required: true, Doc: "The prefix behind the router, of at most 64 bits. Of one with at most 48 bits, the subnets are translated that the router has an interface or a route in."},
			{Name: "outside", Type: Prefix, Required: true, Doc: "What the outside sees, of the same length. With more than 48 bits both must have the same checksum; labctl says which prefix has."},
		}})
	return b
}

func nat() Block {
	return Block{
		Kind: "nat", Count: AtMost1, Instead: instead()["nat"],
		Doc: "Makes the machine a NAT router. The behaviour is named in the words of RFC 4787 and compiled to nftables.",
		Attrs: []Attr{
			{Name: "type", Type: String, Derived: "port_restricted_cone, or what mapping and filtering amount to", Enum: []string{"full_cone", "address_restricted_cone", "port_restricted_cone", "symmetric"}, Doc: "The pair of mapping and filtering by its common name."},
			{Name: "mapping", Type: String, Enum: []string{"endpoint_independent", "address_and_port_dependent"}, Doc: "How an outside port is chosen (RFC 4787, 4.1), where it differs from type's."},
			{Name: "filtering", Type: String, Enum: []string{"endpoint_independent", "address_dependent", "address_and_port_dependent"}, Doc: "Who may send to it (RFC 4787, 5), where it differs from type's."},
			{Name: "ports", Type: String, Doc: "How outside ports are numbered (RFC 4787, 4.2): preserve, contiguous, random, or a range such as 20000-30000."},
			{Name: "outside", Type: String, Required: true, Doc: "The interface towards the peers."},
			{Name: "inside", Type: String, Coll: List, Doc: "The interfaces towards the hosts behind it; left out on a router with one arm."},
			{Name: "hairpin", Type: Bool, Default: "false", Doc: "Whether hosts behind it reach one another at their outside addresses."},
			{Name: "udp_timeout", Type: Duration, Unit: "s", Doc: "How long an idle UDP mapping lives."},
			{Name: "tcp_timeout", Type: Duration, Unit: "s", Doc: "How long an idle TCP mapping lives."},
			{Name: "mapping_timeout", Type: Duration, Unit: "s", Doc: "Both of the timeouts at once."},
		},
		Blocks: []Block{
			{Kind: "forward", Labels: []Label{{Name: "name", Doc: "A name for it."}},
				Doc: "Sends what arrives at an outside port on to a host behind the router.",
				Attrs: []Attr{
					{Name: "protocol", Type: String, Enum: []string{"tcp", "udp"}, Default: `"tcp"`, Doc: "The protocol."},
					{Name: "port", Type: Int, Required: true, Min: ptr(1), Max: ptr(65535), Doc: "The outside port."},
					{Name: "to", Type: IP, Required: true, Doc: "The host behind the router."},
					{Name: "to_port", Type: Int, Min: ptr(1), Max: ptr(65535), Doc: "Its port; the same as port where it is left out."},
				}},
			{Kind: "one_to_one", Doc: "Gives a host behind the router an outside address of its own.",
				Attrs: []Attr{
					{Name: "outside", Type: IP, Required: true, Doc: "The outside address."},
					{Name: "inside", Type: IP, Required: true, Doc: "The host behind the router."},
				}},
		},
	}
}

func vmDevices() []Block {
	char := []Attr{
		{Name: "type", Type: String, Enum: []string{"pty", "unix", "file", "tcp"}, Default: `"pty"`, Doc: "Where it ends on the host."},
		{Name: "target", Type: String, Doc: "What it is in the machine: serial or virtio for a console, the port's name for a channel."},
		{Name: "path", Type: String, Doc: "The socket's or file's path on the host."},
	}
	pty := Attr{Name: "pty", Type: String, Computed: true, Later: true, Doc: "Its pseudo-terminal on the host, where type is pty."}
	isTarget := func(a Attr) bool { return a.Name == "target" }
	return []Block{
		{Kind: "console", Doc: "A console. Where neither a console nor a serial block is declared, the machine has one console on a serial port. One on a serial port ends where the port of the same number does.", Attrs: append(slices.Clone(char), pty)},
		{Kind: "serial", Doc: "A serial port.", Attrs: append(slices.DeleteFunc(slices.Clone(char), isTarget), pty)},
		{Kind: "channel", Doc: "A virtio channel. The guest agent's is always there.", Attrs: char},
		{Kind: "graphics", Doc: "A screen that a person can connect to.", Attrs: []Attr{
			{Name: "type", Type: String, Enum: []string{"vnc", "spice"}, Default: `"vnc"`, Doc: "The protocol."},
			{Name: "listen", Type: IP, Default: `"127.0.0.1"`, Doc: "The address on the host."},
			{Name: "port", Type: Int, Min: ptr(0), Max: ptr(65535), Default: "0", Doc: "The port on the host; 0 lets libvirt choose one."},
			{Name: "address", Type: String, Computed: true, Later: true, Doc: "Where it is reached, as vnc://127.0.0.1:5900."},
		}},
		{Kind: "rng", Count: AtMost1, Doc: "A source of randomness. It is always there; this block changes it.", Attrs: []Attr{
			{Name: "source", Type: String, Default: `"/dev/urandom"`, Doc: "Where the host takes it from."},
		}},
		{Kind: "tpm", Count: AtMost1, Doc: "An emulated trusted platform module.", Attrs: []Attr{
			{Name: "version", Type: String, Enum: []string{"1.2", "2.0"}, Default: `"2.0"`, Doc: "Its version."},
			{Name: "model", Type: String, Enum: []string{"tpm-tis", "tpm-crb"}, Doc: "Its model."},
		}},
		{Kind: "filesystem", Doc: "A folder of the host that the machine can mount.", Attrs: []Attr{
			{Name: "source", Type: Path, Required: true, Doc: "The folder on the host."},
			{Name: "target", Type: String, Required: true, Doc: "The mount tag."},
			{Name: "driver", Type: String, Enum: []string{"virtiofs", "9p"}, Default: `"virtiofs"`, Doc: "How it is shared."},
			{Name: "readonly", Type: Bool, Default: "false", Doc: "Whether the machine may only read it."},
		}},
		{Kind: "hostdev", Doc: "A device of the host that the machine gets for itself.", Attrs: []Attr{
			{Name: "pci", Type: String, Doc: "Its PCI address, as 0000:03:00.0."},
			{Name: "usb", Type: String, Doc: "Its USB identity, as 046d:c52b."},
		}},
		{Kind: "watchdog", Count: AtMost1, Doc: "Acts when the machine hangs.", Attrs: []Attr{
			{Name: "model", Type: String, Enum: []string{"i6300esb", "ib700", "itco"}, Default: `"i6300esb"`, Doc: "Its model."},
			{Name: "action", Type: String, Enum: []string{"reset", "shutdown", "poweroff", "pause", "none", "dump"}, Default: `"reset"`, Doc: "What it does."},
		}},
	}
}
