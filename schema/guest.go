package schema

// Guest is the inner half of a vm block: what the system inside the machine is configured to.
type Guest struct {
	Domain      string              `json:"domain"` // name of the libvirt domain, by which its agent is reached
	Hostname    string              `json:"hostname,omitempty"`
	Interfaces  []GuestInterface    `json:"interface,omitempty"`
	Routes      []Route             `json:"route,omitempty"`
	Nameservers []string            `json:"nameservers,omitempty"`
	Search      []string            `json:"search,omitempty"`
	Hosts       map[string][]string `json:"hosts,omitempty"` // names by address, as in hosts(5)
	Forwarding  bool                `json:"forwarding"`
	Sysctl      map[string]string   `json:"sysctl,omitempty"`
	// Ruleset is the guest's whole ruleset, compiled NAT included; nil when the block declares neither nftables nor
	// nat, and then the guest's rules are left alone.
	Ruleset *Ruleset `json:"nftables,omitempty"`
	NAT     *NAT     `json:"nat,omitempty"`  // as declared, for the plan; the rules are in Ruleset
	NAT6    *NAT     `json:"nat6,omitempty"` // the same for IPv6
	Files   []File   `json:"file,omitempty"`

	// First boot only: cloud-init runs these once.
	Packages []string `json:"packages,omitempty"`
	UserData string   `json:"user_data,omitempty"`
	SSH      *SSH     `json:"ssh,omitempty"`

	AgentTimeout float64 `json:"agent_timeout,omitempty"` // seconds to wait for the agent; 0 is the default
}

// GuestInterface is one interface as the guest's kernel sees it.
type GuestInterface struct {
	Name           string   `json:"name"`
	MAC            string   `json:"mac"`
	MTU            int      `json:"mtu,omitempty"`       // 0 is not declared
	Addresses      []string `json:"addresses,omitempty"` // with prefix length
	DHCP4          bool     `json:"dhcp4,omitempty"`
	DHCP6          bool     `json:"dhcp6,omitempty"`
	AcceptRA       *bool    `json:"accept_ra,omitempty"`
	ConnectedRoute bool     `json:"connected_route"` // whether an address brings a route to its own subnet
	Impair         Impair   `json:"impair,omitzero"` // done by the guest's kernel
	Down           bool     `json:"down,omitempty"`  // never declared: a live interface that somebody has set down
}

// File is a file that the lab puts into a guest.
type File struct {
	Path    string `json:"path"`
	Content string `json:"content"`
	Mode    string `json:"mode,omitempty"`  // octal, default "0644"
	Owner   string `json:"owner,omitempty"` // "user" or "user:group", default "root:root"
}

// SSH is how people log in.
type SSH struct {
	User           string   `json:"user,omitempty"`
	AuthorizedKeys []string `json:"authorized_keys,omitempty"`
}

// NAT is a router's address translation as declared. Package schema/nat compiles it to nftables.
type NAT struct {
	Family         string       `json:"family,omitempty"`      // "ip6" for IPv6, derived
	Type           string       `json:"type"`                  // "full_cone", "address_restricted_cone", "port_restricted_cone", "symmetric"; IPv6: "prefix"
	Mapping        string       `json:"mapping,omitempty"`     // RFC 4787 4.1: "endpoint_independent", "address_and_port_dependent"
	Filtering      string       `json:"filtering,omitempty"`   // RFC 4787 5: "endpoint_independent", "address_dependent", "address_and_port_dependent"
	Ports          string       `json:"ports,omitempty"`       // RFC 4787 4.2: "preserve", "contiguous", "random", "20000-30000"
	Outside        string       `json:"outside"`               // interface towards the peers
	Inside         []string     `json:"inside,omitempty"`      // interfaces towards the hosts; empty on a one-armed router
	Hairpin        bool         `json:"hairpin,omitempty"`     // RFC 4787 6
	UDPTimeout     float64      `json:"udp_timeout,omitempty"` // seconds a mapping lives
	TCPTimeout     float64      `json:"tcp_timeout,omitempty"`
	Forwards       []NATForward `json:"forward,omitempty"`
	OneToOne       []OneToOne   `json:"one_to_one,omitempty"`
	Prefixes       []NATPrefix  `json:"prefix,omitempty"`          // IPv6 alone
	OutsideAddress string       `json:"outside_address,omitempty"` // first address of Outside, derived
}

// NATPrefix gives the hosts of an inside prefix addresses in an outside one, host by host (NPTv6, RFC 6296).
type NATPrefix struct {
	Name    string   `json:"name"`
	Inside  string   `json:"inside"`
	Outside string   `json:"outside"`
	Subnets []string `json:"subnets,omitempty"` // of Inside, those that the router knows a way to: /64s, derived
}

// NATForward sends what arrives at an outside port to an inside host.
type NATForward struct {
	Name     string `json:"name"`
	Protocol string `json:"protocol"` // "tcp" or "udp"
	Port     int    `json:"port"`
	To       string `json:"to"`                // inside address
	ToPort   int    `json:"to_port,omitempty"` // 0 is Port
}

// OneToOne binds an outside address to one inside host.
type OneToOne struct {
	Outside string `json:"outside"`
	Inside  string `json:"inside"`
}
