package table

func check() Block {
	return Block{
		Kind: "check", Meta: false,
		Labels: []Label{{Name: "label", Doc: "The check's name."}},
		Doc:    "Something that the lab must show, run by labctl test. It holds exactly one kind of probe.",
		Attrs: append([]Attr{
			{Name: "deadline", Type: Duration, Unit: "s", Doc: "How long all tries may take together."},
			{Name: "retries", Type: Int, Min: ptr(0), Doc: "How often to try again before it counts as failed."},
		}, metaAttrs()[:2]...),
		Blocks: probes(),
		Example: `check "ping" {
  ping {
    from = vm.client["a"]
    to   = vm.nat["a"]
  }
}`,
	}
}

func probes() []Block {
	from := Attr{Name: "from", Type: Endpoint, Required: true, Doc: "The vm that sends."}
	to := Attr{Name: "to", Type: Endpoint, Required: true, Doc: "A vm, an address, or { vm, address, port }."}
	port := Attr{Name: "port", Type: Int, Min: ptr(1), Max: ptr(65535), Doc: "The port; it may also stand in to."}
	success := Attr{Name: "expect", Type: String, Enum: []string{"success", "failure"}, Default: `"success"`, Doc: "What the lab must show."}
	state := Attr{Name: "expect", Type: String, Enum: []string{"open", "closed", "filtered"}, Default: `"open"`, Doc: "What the lab must show."}
	machine := Attr{Name: "vm", Type: Endpoint, Required: true, Doc: "The vm."}
	one := func(kind, doc string, attrs ...Attr) Block {
		return Block{Kind: kind, Count: AtMost1, Doc: doc, Attrs: attrs}
	}
	return []Block{
		one("ping", "Sends ICMP echo requests.", from, to,
			Attr{Name: "count", Type: Int, Min: ptr(1), Default: "3", Doc: "How many. One reply is enough."}, success),
		one("tcp", "Connects to a TCP port. Where open is expected and nothing in the lab's machine listens on it, labctl does for the time of the check: what is checked is the network. Forwards of a router are followed.", from, to, port, state),
		one("udp", "Sends to a UDP port, and watches in the lab's machine whether it arrives. Forwards of a router are followed.", from, to, port, state),
		one("hole_punch", "Lets two machines behind NATs reach each other at once (RFC 5128).",
			Attr{Name: "protocol", Type: String, Enum: []string{"udp", "tcp"}, Default: `"udp"`, Doc: "The protocol."},
			Attr{Name: "a", Type: Endpoint, Required: true, Doc: "One side: { vm, port }. Where its router translates by rules of its own and not by a nat block, address says what the other side sees."},
			Attr{Name: "b", Type: Endpoint, Required: true, Doc: "The other side: { vm, port }, and address likewise."},
			Attr{Name: "via", Type: Endpoint, Doc: "A server that tells each side the other's outside address and port; without it ports are taken to be kept."},
			success),
		one("nat", "Classifies what a router really does, for UDP (RFC 5780) or TCP (RFC 5382). At least one thing must be expected.", machine,
			Attr{Name: "client", Type: Endpoint, Doc: "The vm behind it to measure from; found where it is left out."},
			Attr{Name: "server", Type: Endpoint, Doc: "The vm outside to measure against; found where it is left out."},
			Attr{Name: "protocol", Type: String, Enum: []string{"udp", "tcp"}, Default: `"udp"`, Doc: "The protocol."},
			Attr{Name: "family", Type: String, Enum: []string{"ip", "ip6"}, Derived: "ip, or ip6 where the router has a nat6 block and no nat block", Doc: "The version of IP: ip is version 4."},
			Attr{Name: "expect", Type: String, Enum: []string{"full_cone", "address_restricted_cone", "port_restricted_cone", "symmetric", "none"}, Doc: "The type that it must turn out to be; none is no translation."},
			Attr{Name: "mapping", Type: String, Enum: []string{"endpoint_independent", "address_dependent", "address_and_port_dependent"}, Doc: "What a mapping must depend on (RFC 4787, 4.1)."},
			Attr{Name: "filtering", Type: String, Enum: []string{"endpoint_independent", "address_dependent", "address_and_port_dependent"}, Doc: "What must decide who gets in (RFC 4787, 5)."},
			Attr{Name: "hairpin", Type: Bool, Doc: "Whether two endpoints behind it must reach each other at their outside endpoints."},
			Attr{Name: "preserve_ports", Type: Bool, Doc: "Whether the outside port must be the sender's own."},
			Attr{Name: "simultaneous_open", Type: Bool, Doc: "For TCP: whether a connection request must get in that crosses one going out (RFC 5382, REQ-2)."}),
		one("exec", "Runs a command in a machine.", machine,
			Attr{Name: "command", Type: String, Coll: List, Required: true, Doc: "The program and its arguments; no shell is between."},
			Attr{Name: "expect_exit", Type: Int, Default: "0", Doc: "The exit status it must have."},
			Attr{Name: "expect_output", Type: String, Doc: "A regular expression (RE2) that its output must match."}),
		one("route", "Asks a machine which way it would send.", machine,
			Attr{Name: "to", Type: IP, Required: true, Doc: "The destination."},
			Attr{Name: "expect_via", Type: IP, Required: true, Doc: "The gateway that it must name."}),
		one("throughput", "Measures TCP throughput.", from, to,
			Attr{Name: "min", Type: Rate, Unit: "bit/s", Required: true, Doc: "The least that must pass."}),
	}
}
