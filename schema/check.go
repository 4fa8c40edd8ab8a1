package schema

// Check is something that the lab must show. Exactly one of the pointers is set.
type Check struct {
	Addr       Addr             `json:"address"`
	Pos        Pos              `json:"pos,omitzero"`
	Deadline   float64          `json:"deadline,omitempty"` // seconds for all tries; 0 is the default
	Retries    int              `json:"retries,omitempty"`
	Sensitive  bool             `json:"sensitive,omitempty"` // something in it must not be shown
	Ping       *PingCheck       `json:"ping,omitempty"`
	TCP        *PortCheck       `json:"tcp,omitempty"`
	UDP        *PortCheck       `json:"udp,omitempty"`
	HolePunch  *HolePunchCheck  `json:"hole_punch,omitempty"`
	NAT        *NATCheck        `json:"nat,omitempty"`
	Exec       *ExecCheck       `json:"exec,omitempty"`
	Route      *RouteCheck      `json:"route,omitempty"`
	Throughput *ThroughputCheck `json:"throughput,omitempty"`
}

// Endpoint is one end of a probe: a machine of the lab, an address, or both.
type Endpoint struct {
	VM      Addr   `json:"vm,omitzero"`       // zero where only an address was given
	Domain  string `json:"domain,omitempty"`  // name of the machine's libvirt domain
	Address string `json:"address,omitempty"` // without prefix length
	Port    int    `json:"port,omitempty"`
}

// PingCheck sends ICMP echo requests.
type PingCheck struct {
	From   Endpoint `json:"from"`
	To     Endpoint `json:"to"`
	Count  int      `json:"count,omitempty"`
	Expect string   `json:"expect"` // "success" or "failure"
}

// PortCheck connects to a TCP port, or sends to a UDP port.
type PortCheck struct {
	From   Endpoint `json:"from"`
	To     Endpoint `json:"to"`
	Expect string   `json:"expect"` // "open", "closed" or "filtered"
}

// HolePunchCheck lets two machines behind NATs reach each other at once (RFC 5128).
type HolePunchCheck struct {
	Protocol string    `json:"protocol"` // "udp" or "tcp"
	A        PunchPeer `json:"a"`
	B        PunchPeer `json:"b"`
	Via      *Endpoint `json:"via,omitempty"` // a server that tells both sides their outside addresses; nil: ports are taken as kept
	Expect   string    `json:"expect"`        // "success" or "failure"
}

// PunchPeer is one side of a hole punch: the machine, its own port, and the router that it is behind.
type PunchPeer struct {
	Endpoint
	Outside string `json:"outside,omitempty"` // address that the other side sends to: its NAT router's
}

// NATCheck classifies what a router really does (RFC 5780). What it expects nothing of is measured and told all the same.
type NATCheck struct {
	Router           Endpoint `json:"vm"`
	Client           Endpoint `json:"client,omitzero"`
	Server           Endpoint `json:"server,omitzero"`
	Protocol         string   `json:"protocol"`         // "udp" or "tcp"
	Family           string   `json:"family,omitempty"` // "ip" or "ip6"
	Expect           string   `json:"expect,omitempty"` // a type as in NAT, or "none" for no translation
	Mapping          string   `json:"mapping,omitempty"`
	Filtering        string   `json:"filtering,omitempty"`
	Hairpin          *bool    `json:"hairpin,omitempty"`
	PreservePorts    *bool    `json:"preserve_ports,omitempty"`
	SimultaneousOpen *bool    `json:"simultaneous_open,omitempty"` // RFC 5382 REQ-2
}

// ExecCheck runs a command in a machine.
type ExecCheck struct {
	VM           Endpoint `json:"vm"`
	Command      []string `json:"command"`
	ExpectExit   int      `json:"expect_exit"`
	ExpectOutput string   `json:"expect_output,omitempty"` // regular expression (RE2)
}

// RouteCheck asks a machine's kernel which way it would send.
type RouteCheck struct {
	VM        Endpoint `json:"vm"`
	To        string   `json:"to"`
	ExpectVia string   `json:"expect_via"`
}

// ThroughputCheck measures TCP throughput.
type ThroughputCheck struct {
	From Endpoint `json:"from"`
	To   Endpoint `json:"to"`
	Min  uint64   `json:"min"` // bits per second
}
