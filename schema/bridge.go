package schema

// Bridge is a Linux bridge on a host, made by netplan. Durations are seconds, as in netplan's YAML reference.
// Pointers are nil where nothing is declared: then the system's own default stands and is not compared.
type Bridge struct {
	Name         string         `json:"name"`
	Addresses    []string       `json:"addresses,omitempty"` // with prefix length
	Interfaces   []string       `json:"interfaces,omitempty"`
	MTU          int            `json:"mtu,omitempty"`
	MAC          string         `json:"mac,omitempty"`
	Nameservers  []string       `json:"nameservers,omitempty"`
	Search       []string       `json:"search,omitempty"`
	DHCP4        bool           `json:"dhcp4,omitempty"`
	DHCP6        bool           `json:"dhcp6,omitempty"`
	AcceptRA     *bool          `json:"accept_ra,omitempty"`
	LinkLocal    []string       `json:"link_local,omitzero"` // "ipv4", "ipv6"; nil leaves netplan's default
	STP          *bool          `json:"stp,omitempty"`
	ForwardDelay *float64       `json:"forward_delay,omitempty"`
	HelloTime    *float64       `json:"hello_time,omitempty"`
	MaxAge       *float64       `json:"max_age,omitempty"`
	AgeingTime   *float64       `json:"ageing_time,omitempty"`
	Priority     *int           `json:"priority,omitempty"`
	PathCost     map[string]int `json:"path_cost,omitempty"`     // by member interface
	PortPriority map[string]int `json:"port_priority,omitempty"` // by member interface
	Routes       []Route        `json:"route,omitempty"`
	Optional     bool           `json:"optional,omitempty"`
	Renderer     string         `json:"renderer,omitempty"` // "networkd" or "NetworkManager"; "" leaves the host's default
}

// Route is one route, on a bridge of the host or in a guest.
type Route struct {
	To        string `json:"to"`                  // "default", "default6" or a prefix
	Via       string `json:"via,omitempty"`       // gateway
	Interface string `json:"interface,omitempty"` // device; derived from Via where not declared
	Metric    int    `json:"metric,omitempty"`
	Table     int    `json:"table,omitempty"` // 0 is the main table
	OnLink    bool   `json:"on_link,omitempty"`
	Source    string `json:"source,omitempty"` // preferred source address
	Type      string `json:"type,omitempty"`   // "" (unicast), "blackhole", "unreachable", "prohibit"
}
