package schema

// Network is a libvirt network.
type Network struct {
	Name      string         `json:"name"`
	Existing  bool           `json:"existing,omitempty"` // it is only referred to, never made or changed
	Mode      string         `json:"mode,omitempty"`     // "nat", "route", "open", "isolated"
	Bridge    string         `json:"bridge,omitempty"`
	Domain    string         `json:"domain,omitempty"` // DNS domain
	MTU       int            `json:"mtu,omitempty"`
	Autostart bool           `json:"autostart,omitempty"`
	Addresses []string       `json:"addresses,omitempty"` // of the host on it, with prefix length
	DHCP      []DHCPRange    `json:"dhcp,omitempty"`
	Leases    []DHCPHost     `json:"lease,omitempty"` // fixed leases
	DNS       []DNSHost      `json:"dns,omitempty"`
	Forward   map[string]any `json:"forward,omitempty"`
}

// DHCPRange is the addresses that the network's DHCP server gives out.
type DHCPRange struct {
	Start string `json:"start"`
	End   string `json:"end"`
}

// DHCPHost is an address kept for one MAC.
type DHCPHost struct {
	MAC  string `json:"mac"`
	IP   string `json:"ip"`
	Name string `json:"name,omitempty"`
}

// DNSHost is names that the network's DNS server answers.
type DNSHost struct {
	IP    string   `json:"ip"`
	Names []string `json:"names"`
}
